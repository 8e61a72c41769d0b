package controllers

import (
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// TestWhenTheConfigVarIsRead has news of a formation, such as each change of one's own brings, ask for
// no read, and each sign of another server for one.
func TestWhenTheConfigVarIsRead(t *testing.T) {
	t.Parallel()
	const ago, next, retry = time.Minute, 4 * time.Minute, 9 * time.Second
	known := configVar{url: "redis://x", readAt: epoch.Add(-ago), nextAt: epoch.Add(next), retryAt: epoch.Add(retry)}
	broken := known
	broken.problem = &problem{}
	for name, test := range map[string]struct {
		known  configVar
		change func(s *scope)
		at     time.Time
	}{
		"never read":           {configVar{}, func(*scope) {}, time.Time{}},
		"read a minute ago":    {known, func(*scope) {}, epoch.Add(next)},
		"released since":       {known, func(s *scope) { s.news = news{at: epoch, released: true} }, time.Time{}},
		"released before":      {known, func(s *scope) { s.news = news{at: epoch.Add(-2 * ago), released: true} }, epoch.Add(next)},
		"scaled since":         {known, func(s *scope) { s.news = news{at: epoch, formation: true} }, epoch.Add(next)},
		"could not be read":    {broken, func(*scope) {}, epoch.Add(retry)},
		"jobs that none takes": {known, func(s *scope) { s.memory.unservedSince = epoch.Add(-blindPatience) }, time.Time{}},
		"jobs that none has taken yet": {known, func(s *scope) {
			s.memory.unservedSince = epoch.Add(time.Second - blindPatience)
		}, epoch.Add(next)},
		"a worker that fell silent": {known, func(s *scope) { s.memory.configVar.heard = true }, time.Time{}},
		"a worker that was stopped": {known, func(s *scope) {
			s.memory.configVar.heard, *s.memory.quantity = true, 0
		}, epoch.Add(next)},
		"a worker that is heard": {known, func(s *scope) {
			s.memory.configVar.heard, s.snapshot.Processes = true, []queue.Process{process(1)}
		}, epoch.Add(next)},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			quantity := 2
			s.memory.configVar, s.memory.quantity = test.known, &quantity
			test.change(s)
			s.noteURLSigns()
			if got := s.memory.configVar.due(false); !got.Equal(test.at) {
				t.Errorf("reads it at %v, want %v", got, test.at)
			}
		})
	}
}

// TestPausesOfTheConfigVar have a bound of a minute.
func TestPausesOfTheConfigVar(t *testing.T) {
	t.Parallel()
	for _, class := range []class{transient, limited, missing, settled} {
		var known configVar
		for range 20 {
			known.failed(&problem{class: class, held: class == limited, retryAfter: time.Second}, epoch)
			if pause := known.retryAt.Sub(epoch); pause <= 0 || pause > time.Minute {
				t.Errorf("class %v: %v", class, pause)
			}
		}
	}
	var known configVar
	for range 20 {
		known.read("redis://x", true, epoch)
		if pause := known.retryAt.Sub(epoch); pause < brokenURLPeriod || pause > longestURLWait {
			t.Errorf("while Redis fails: %v", pause)
		}
	}
}

// TestAimOfTheConfigVar keeps what is known of an app whose UUID turns out, and of no other.
func TestAimOfTheConfigVar(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		app  appNamed
		name string
		kept bool
	}{
		"the same":        {appNamed{"shop", "1"}, "REDIS_URL", true},
		"not known again": {appNamed{"shop", ""}, "REDIS_URL", true},
		"another UUID":    {appNamed{"shop", "2"}, "REDIS_URL", false},
		"another name":    {appNamed{"mill", "1"}, "REDIS_URL", false},
		"another var":     {appNamed{"shop", "1"}, "OTHER_URL", false},
	} {
		v := configVar{app: appNamed{name: "shop"}, name: "REDIS_URL", url: "redis://x"}
		v.aim(appNamed{"shop", "1"}, "REDIS_URL")
		if v.url == "" {
			t.Fatal("forgotten when the UUID turned out")
		}
		if v.aim(test.app, test.name); (v.url != "") != test.kept {
			t.Errorf("%s: kept %v", name, v.url != "")
		}
	}
}

// varEnv is an env whose Redis URL is a config var of its app, which has some workers.
func varEnv(t *testing.T, workers int) *env {
	t.Helper()
	t.Parallel()
	e := bareEnv(t, "")
	e.addApp(simulator.App{
		ConfigVars: map[string]string{"REDIS_URL": e.redisURL},
		Formation:  []simulator.Process{{Type: "worker", Quantity: workers}},
	})
	e.token += "-vars"
	w.heroku.AddToken(simulator.Token{Secret: e.token, Name: e.tokenName(), Account: e.tokenName() + "@example.com", Scopes: []string{"global"}})
	e.setSecret("heroku", "HEROKU_API_KEY", e.token)
	return e
}

// promote has the env's config var name another server, and the old one stay up.
func (e *env) promote() (old *redis.Client) {
	e.Helper()
	server := redisserver.StartT(e.T, redisserver.Options{Password: canary + "-promoted"})
	e.Expect(w.heroku.RotateConfigVar(e.app, "REDIS_URL", server.URL())).To(Succeed())
	old = e.redis
	e.Cleanup(func() { _ = old.Close() })
	e.redis = clientOf(e, server.URL())
	return old
}

// TestPromotionAsleep has work come on the new server.
func TestPromotionAsleep(t *testing.T) {
	e := varEnv(t, 0)
	e.create(plainList, fromApp)
	e.awaitReadyWith("scaler", 0)
	e.promote()
	e.awaitStart(time.Minute)
	e.awaitReadyWith("scaler", 2)
}

// TestPromotionAwake has the old server be without work, and not the new one.
func TestPromotionAwake(t *testing.T) {
	e := varEnv(t, 2)
	e.push("default")
	e.create(plainList, fromApp)
	e.awaitReadyWith("scaler", 2)
	old := e.promote()
	e.push("new")
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Queue.Names = append(s.Spec.Queue.Names, "queue:new") })
	e.Expect(old.Del(e.ctx, "queue:default").Err()).To(Succeed())
	e.Eventually(func() int64 { return e.get("scaler").Status.Queue.Depth }).Should(BeEquivalentTo(1))
	e.awaitReadyWith("scaler", 2)
	for _, scaling := range e.scalings() {
		e.Expect(scaling.NewQuantity).NotTo(BeZero(), "stopped because another server is empty")
	}
	e.take("new")
	e.awaitQuantity(0)
}

// TestTheConfigVarIsReadWithLittleBudget has the Redis URL appear when the account has less left than drift
// reads may use.
func TestTheConfigVarIsReadWithLittleBudget(t *testing.T) {
	e := varEnv(t, 0)
	missing := map[string]*string{"REDIS_URL": nil}
	e.Expect(w.heroku.SetConfigVars(e.app, missing)).To(Succeed())
	w.heroku.SetBudget(e.tokenName()+"@example.com", 900)
	e.create(plainList, fromApp)
	e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionFalse, v1.ReasonConfigVarMissing)
	w.heroku.SetBudget(e.tokenName()+"@example.com", 900)
	e.Expect(w.heroku.RotateConfigVar(e.app, "REDIS_URL", e.redisURL)).To(Succeed())
	e.awaitStart(time.Minute)
	e.awaitReadyWith("scaler", 2)
}

// TestTheConfigVarIsReadAgainAfterARefusal has Heroku refuse it once while the queue is not known.
func TestTheConfigVarIsReadAgainAfterARefusal(t *testing.T) {
	e := varEnv(t, 0)
	for _, status := range []int{403, 401, 500} {
		refusal := e.calling(http.MethodGet, simulator.Fault{Effect: simulator.Status, Status: status, ID: "once", Times: 1})
		refusal.Path = "/apps/*/config-vars"
		w.heroku.Inject(refusal)
	}
	e.create(plainList, fromApp)
	e.awaitStart(time.Minute)
}

func clientOf(e *env, url string) *redis.Client {
	e.Helper()
	options, err := redis.ParseURL(url)
	e.Expect(err).NotTo(HaveOccurred())
	return redis.NewClient(options)
}
