package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/redisserver"
	"github.com/queuescaler/queuescaler/test/stack"
)

func reportDrift(s *v1.QueueScaler) { s.Spec.DriftPolicy = v1.DriftReport }

// TestDriftIsReported leaves what a person sets until the queue falls idle, and then until it is active.
func TestDriftIsReported(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.push("default")
	e.create(plainList, reportDrift)
	e.awaitQuantity(2)
	e.awaitReadyWith("scaler", 2)
	e.Expect(w.heroku.Scale(e.app, "worker", 1)).To(Succeed())
	condition := e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonDrift)
	e.Expect(condition.Message).To(And(ContainSubstring("1 dynos, not 2"), ContainSubstring("spec.driftPolicy")))
	e.awaitReads(2)
	e.Expect(e.quantity("worker")).To(Equal(1))
	e.take("default")
	e.awaitQuantity(0)
	e.awaitReadyWith("scaler", 0)
	e.Expect(w.heroku.Scale(e.app, "worker", 3)).To(Succeed())
	e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonDrift)
	e.awaitReads(2)
	e.Expect(e.quantity("worker")).To(Equal(3))
	e.push("default")
	e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionTrue, v1.ReasonSurplus)
	e.take("default")
	e.awaitQuantity(0)
}

// TestAContestIsNotFought has another program take away the workers again and again.
func TestAContestIsNotFought(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.push("default")
	e.create(plainList)
	for range contestAfter + 1 {
		e.awaitQuantity(2)
		e.awaitReadyWith("scaler", 2)
		e.Expect(w.heroku.Scale(e.app, "worker", 1)).To(Succeed())
	}
	condition := e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonContested)
	e.Expect(condition.Message).To(ContainSubstring("have only one program scale it"))
	e.expectAbnormal("scaler", v1.ReasonContested, true)
	e.awaitEvent(v1.ReasonContested)
	patches := e.patches()
	e.awaitReads(3)
	e.Expect(e.patches()).To(Equal(patches))
	e.take("default")
	e.awaitQuantity(0) // the queue's own edges are no contest
}

func TestDynoSizeComesWithAStartFromZero(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.push("default")
	e.create(plainList, func(s *v1.QueueScaler) { s.Spec.Heroku.DynoSize = "standard-9x" })
	condition := e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonHerokuRefused)
	e.Expect(condition.Message).To(ContainSubstring("No such size as standard-9x. Available dyno sizes are"))
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.DynoSize = "standard-2x" })
	e.awaitQuantity(2)
	e.awaitReadyWith("scaler", 2)
	e.Expect(e.dynoSize()).To(Equal("Standard-2X"))
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.DynoSize, s.Spec.ActiveQuantity = "standard-1x", 3 })
	e.awaitQuantity(3)
	e.Expect(e.dynoSize()).To(Equal("Standard-2X"), "dynos that run are not resized, which would restart them")
}

// dynoSize is that of the workers, as Heroku tells.
func (e *env) dynoSize() string {
	client := heroku.NewClient(heroku.Options{BaseURL: w.heroku.URL(), Token: e.token})
	defer client.Close()
	formation, err := client.Formation(e.ctx, e.app, "worker", heroku.ReadOptions{})
	e.Expect(err).NotTo(HaveOccurred())
	return formation.Size
}

// fromApp takes the Redis URL from the app.
func fromApp(s *v1.QueueScaler) {
	s.Spec.Redis.URLFrom = v1.RedisURLSource{HerokuConfigVar: &v1.HerokuConfigVar{Name: "REDIS_URL"}}
}

// TestRedisURLFromTheApp follows a config var: to a new server when the old one is gone.
func TestRedisURLFromTheApp(t *testing.T) {
	t.Parallel()
	e := bareEnv(t, "")
	e.addApp(simulator.App{
		ConfigVars: map[string]string{"OTHER": canary + "-other"},
		Formation:  []simulator.Process{{Type: "worker"}},
	})
	e.create(plainList, fromApp)
	condition := e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionFalse, v1.ReasonHerokuForbidden)
	e.Expect(condition.Message).To(And(ContainSubstring("read-protected"), ContainSubstring("spec.heroku.apiKeySecretRef")))
	e.token += "-2"
	w.heroku.AddToken(simulator.Token{Secret: e.token, Name: e.tokenName(), Account: e.tokenName() + "@example.com", Scopes: []string{"global"}})
	e.setSecret("heroku", "HEROKU_API_KEY", e.token)
	condition = e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionFalse, v1.ReasonConfigVarMissing)
	e.Expect(condition.Message).To(And(ContainSubstring("REDIS_URL"), ContainSubstring("spec.redis.urlFrom.herokuConfigVar.name")))

	first := redisserver.StartT(t, redisserver.Options{Password: canary + "-first"})
	e.Expect(w.heroku.RotateConfigVar(e.app, "REDIS_URL", first.URL())).To(Succeed())
	e.awaitReadyWith("scaler", 0)
	e.Expect(w.heroku.RotateConfigVar(e.app, "REDIS_URL", e.redisURL)).To(Succeed())
	e.Expect(first.Stop()).To(Succeed())
	e.push("default")
	e.awaitQuantity(2)
	e.awaitReadyWith("scaler", 2)
}

// TestStopsLeaveTheReserve has an account with little left: a start goes out, a stop does not.
func TestStopsLeaveTheReserve(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create(plainList)
	e.awaitReadyWith("scaler", 0)
	w.heroku.SetBudget(e.tokenName()+"@example.com", 100)
	e.push("default")
	e.awaitQuantity(2)
	e.take("default")
	condition := e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonRateLimited)
	e.Expect(condition.Message).To(ContainSubstring("API rate limit"))
	e.Expect(e.quantity("worker")).To(Equal(2))
}

// TestWebhooks has a change be read that nobody looks for.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	address, err := stack.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	const namespace, secret = "webhooks", canary + "-webhook"
	stop, err := startManager(cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}}, func(o *Options) {
		o.DriftPeriod, o.WebhookAddress, o.WebhookSecrets = time.Hour, address, []string{secret}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() }) // after the env has left
	e := bareEnv(t, namespace)
	e.addApp(simulator.App{Formation: []simulator.Process{{Type: "worker"}}})
	client := heroku.NewClient(heroku.Options{BaseURL: w.heroku.URL(), Token: e.token})
	defer client.Close()
	_, err = client.EnsureWebhook(e.ctx, e.app, heroku.Webhook{URL: "http://" + address, Secret: secret})
	e.Expect(err).NotTo(HaveOccurred())

	e.push("default")
	e.create(plainList)
	e.awaitReadyWith("scaler", 2)
	before := len(e.requests())
	e.Expect(w.heroku.Scale(e.app, "worker", 1)).To(Succeed())
	e.awaitQuantity(2)
	e.awaitEvent(v1.ReasonDrift)
	e.awaitReadyWith("scaler", 2)
	e.Expect(e.requests()[before:]).To(HaveLen(2), "one read, one PATCH, and none because of the event of that")
}
