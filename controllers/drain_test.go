package controllers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

const (
	first  = "worker.1:4:a"
	second = "worker.2:4:b"
)

func drains(s *v1.QueueScaler) { s.Spec.Drain.Mode = v1.DrainQuiet }

// work is a formation of two whose processes are heard.
func (e *env) work(changes ...change) {
	e.Helper()
	e.beats(false, first, second)
	e.create(append([]change{drains}, changes...)...)
}

// beats has processes be heard that have no job, quiet or not.
func (e *env) beats(quiet bool, identities ...string) {
	e.Helper()
	for _, identity := range identities {
		e.beat(identity, serving("default"), "0", fmt.Sprint(quiet))
	}
}

// beatUntil keeps processes alive until something is so.
func (e *env) beatUntil(what string, done func() bool, quiet bool, identities ...string) {
	e.Helper()
	e.Eventually(func() bool {
		e.beats(quiet, identities...)
		return done()
	}, patience, time.Second).Should(BeTrue(), what)
}

// told says whether a process has a signal to take.
func (e *env) told(identity string) bool {
	e.Helper()
	signals, err := e.redis.LRange(e.ctx, identity+"-signals", 0, -1).Result()
	e.Expect(err).NotTo(HaveOccurred())
	return slices.Contains(signals, "TSTP")
}

// asked are the quantities that were asked for, equal ones in a row once.
func (e *env) asked() []int {
	var quantities []int
	for _, scaling := range e.scalings() {
		quantities = append(quantities, scaling.NewQuantity)
	}
	return slices.Compact(quantities)
}

// awaitTold waits until both processes are told, as they are when the drain has begun.
func (e *env) awaitTold() {
	e.Helper()
	e.beatUntil("the workers should be told", func() bool { return e.told(first) && e.told(second) }, false, first, second)
}

func (e *env) awaitDrainEnd() {
	e.Helper()
	e.Eventually(func() *metav1.Time { return e.get("scaler").Status.DrainStartTime }).Should(BeNil())
}

func twoWorkers() simulator.Process { return simulator.Process{Type: "worker", Quantity: 2} }

// TestDrain tells the workers, waits until they are free, and stops them.
func TestDrain(t *testing.T) {
	e := newEnv(t, twoWorkers())
	e.work()
	e.awaitTold()
	e.Expect(e.get("scaler").Status.DrainStartTime).NotTo(BeNil(), "the drain is written down before anybody is told")
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonDraining)
	e.beatUntil("still draining", func() bool { return len(e.requests()) > 3 }, false, first, second)
	e.Expect(e.quantity("worker")).To(Equal(2), "a worker that is not quiet may take a job")
	e.beats(true, first)
	e.beat(second, serving("default"), "1", "true")
	e.awaitReads(3)
	e.Expect(e.quantity("worker")).To(Equal(2), "a job runs")
	e.beatUntil("the free workers should be stopped", func() bool { return e.quantity("worker") == 0 }, true, first, second)
	e.awaitDrainEnd()
	e.Expect(e.asked()).To(Equal([]int{0}))
	e.awaitEvent(v1.ReasonDraining)
}

// TestWorkDuringDrain has a job come that no quiet worker takes: the formation is stopped and started.
func TestWorkDuringDrain(t *testing.T) {
	e := newEnv(t, twoWorkers())
	e.work()
	e.awaitTold()
	e.push("default")
	e.beat(first, serving("default"), "1", "true")
	e.beats(true, second)
	e.awaitReads(3)
	e.Expect(e.quantity("worker")).To(Equal(2), "a job runs on")
	e.beatUntil("the workers should be started afresh", func() bool { return slices.Equal(e.asked(), []int{0, 2}) }, true, first, second)
	e.awaitDrainEnd()
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsWaiting)
}

// TestDrainTimesOut has a job run on while another waits.
func TestDrainTimesOut(t *testing.T) {
	e := newEnv(t, twoWorkers())
	e.work(func(s *v1.QueueScaler) { s.Spec.Drain.TimeoutSeconds = 30 })
	e.awaitTold()
	e.Eventually(func() []int {
		e.beat(first, serving("default"), "1", "true")
		e.beats(true, second)
		return e.asked()
	}, 32*time.Second, time.Second).Should(BeEmpty(), "a job that runs on is waited for")
	e.push("default")
	e.Eventually(func() []int {
		e.beat(first, serving("default"), "1", "true")
		e.beats(true, second)
		return e.asked()
	}, patience, time.Second).Should(Equal([]int{0, 2}))
}

// TestNewWorkerDuringDrain has Heroku restart a dyno, whose process knows of nothing.
func TestNewWorkerDuringDrain(t *testing.T) {
	e := newEnv(t, twoWorkers())
	e.work()
	e.awaitTold()
	e.do("srem", "processes", second)
	e.do("del", second)
	const third = "worker.2:4:c"
	e.Eventually(func() bool {
		e.beats(true, first)
		e.beats(false, third)
		return e.told(third)
	}, patience, time.Second).Should(BeTrue())
	e.Expect(e.quantity("worker")).To(Equal(2))
	e.beatUntil("the free workers should be stopped", func() bool { return e.quantity("worker") == 0 }, true, first, third)
}

// TestDrainRefused has processes that cannot be told from those of another app.
func TestDrainRefused(t *testing.T) {
	e := newEnv(t, twoWorkers())
	const foreign = "worker.1:4:z"
	tagged := func(tag string, identities ...string) {
		for _, identity := range identities {
			e.beat(identity, `{"queues":["default"],"tag":"`+tag+`"}`, "0", "false")
		}
	}
	beatAll := func() { tagged("shop", first, second); tagged("blog", foreign) }
	beatAll()
	e.create(drains)
	e.Eventually(func(g Gomega) {
		beatAll()
		conditions := e.get("scaler").Status.Conditions
		g.Expect(conditions).To(ContainElement(And(HaveField("Type", v1.ConditionStalled), HaveField("Reason", v1.ReasonDrainRefused),
			HaveField("Message", And(ContainSubstring("worker.1"), ContainSubstring("spec.drain.processTag"))))))
	}, patience, time.Second).Should(Succeed())
	e.Expect(e.quantity("worker")).To(Equal(2))
	e.Expect(e.get("scaler").Status.DrainStartTime).To(BeNil())
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Drain.ProcessTag = "shop" })
	e.Eventually(func() bool { beatAll(); return e.told(first) && e.told(second) }, patience, time.Second).Should(BeTrue())
	e.Expect(e.told(foreign)).To(BeFalse(), "another app's worker is left alone")
}

// TestDrainOfEmbeddedWorkers has workers that ignore the signal: a drain of them would never end.
func TestDrainOfEmbeddedWorkers(t *testing.T) {
	e := newEnv(t, twoWorkers())
	const embedded = `{"queues":["default"],"embedded":true}`
	beatAll := func() { e.beat(first, embedded, "0", "false"); e.beat(second, embedded, "0", "false") }
	beatAll()
	e.create(drains)
	e.Eventually(func(g Gomega) {
		beatAll()
		g.Expect(e.get("scaler").Status.Conditions).To(ContainElement(And(HaveField("Type", v1.ConditionStalled),
			HaveField("Reason", v1.ReasonDrainRefused), HaveField("Message", ContainSubstring("set spec.drain.mode to None")))))
	}, patience, time.Second).Should(Succeed())
	e.Expect(e.told(first)).To(BeFalse())
	e.Expect(e.quantity("worker")).To(Equal(2))
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Drain.Mode = v1.DrainNone })
	e.Eventually(func() int { beatAll(); return e.quantity("worker") }, patience, time.Second).Should(BeZero())
}

// TestOthersDuringDrain has workers of another app appear while this one's are being told: they are left alone,
// and a person learns of them.
func TestOthersDuringDrain(t *testing.T) {
	e := newEnv(t, twoWorkers())
	e.work()
	e.awaitTold()
	const third, foreign = "worker.2:4:c", "worker.1:4:z"
	e.do("srem", "processes", second)
	e.do("del", second)
	e.Eventually(func(g Gomega) {
		e.beats(true, first)
		e.beats(false, foreign, third)
		g.Expect(e.get("scaler").Status.Conditions).To(ContainElement(And(HaveField("Type", v1.ConditionStalled),
			HaveField("Reason", v1.ReasonDrainRefused), HaveField("Message", ContainSubstring("spec.drain.processTag")))))
	}, patience, time.Second).Should(Succeed())
	e.Expect(e.told(foreign) || e.told(third)).To(BeFalse(), "nobody is told on doubt")
	e.do("srem", "processes", foreign)
	e.do("del", foreign)
	e.beatUntil("the formation's own is told", func() bool { e.beats(true, first); return e.told(third) }, false, third)
	e.beatUntil("the free workers should be stopped", func() bool { return e.quantity("worker") == 0 }, true, first, third)
}

// TestDrainWithoutRights has a Redis user that may only read.
func TestDrainWithoutRights(t *testing.T) {
	e := newEnv(t, twoWorkers())
	server := redisserver.StartT(t, redisserver.Options{User: "reader", Password: canary + "-password",
		Rights: []string{"~*", "resetchannels", "-@all", "+@read", "+@connection", "+time"},
		Args:   []string{"--user", "worker", "on", "nopass", "~*", "+@all"}})
	e.setSecret("redis", "REDIS_URL", server.URL())
	options := e.redis.Options()
	options.Addr, options.Username = server.Addr(), "worker"
	e.Expect(e.redis.Close()).To(Succeed())
	e.redis = redis.NewClient(options)
	e.work()
	e.Eventually(func(g Gomega) {
		e.beats(false, first, second)
		g.Expect(e.get("scaler").Status.Conditions).To(ContainElement(And(HaveField("Reason", v1.ReasonDrainRefused),
			HaveField("Message", And(ContainSubstring("-signals"), ContainSubstring("spec.drain.mode"))))))
	}, patience, time.Second).Should(Succeed())
	e.Expect(e.quantity("worker")).To(Equal(2))
	e.awaitDrainEnd()

	// Redis is not asked again at each of the looks that follow.
	looks := func() (count int) {
		_, stats, _ := strings.Cut(e.redis.Info(e.ctx, "commandstats").Val(), "cmdstat_time:calls=")
		_, err := fmt.Sscan(strings.Split(stats, ",")[0], &count)
		e.Expect(err).NotTo(HaveOccurred())
		return count
	}
	before := looks()
	e.beatUntil("five more looks", func() bool { return looks() >= before+5 }, false, first, second)
	for _, refused := range e.redis.ACLLog(e.ctx, 10).Val() {
		e.Expect(refused.Count).To(BeNumerically("<=", 2), "once for each process: %+v", refused)
	}
}

// TestLeaveDuringDrain has a scaler be deleted, suspended and pointed elsewhere while its workers are
// quiet: none stays so.
func TestLeaveDuringDrain(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(e *env){
		"deleted":            func(e *env) { e.delete("scaler") },
		"deleted, retaining": func(e *env) { e.patch("scaler", retains); e.delete("scaler") },
		"suspended":          func(e *env) { e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Suspend = true }) },
		"another process type": func(e *env) {
			e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.ProcessType = "other" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, twoWorkers(), simulator.Process{Type: "other"})
			e.work()
			e.awaitTold()
			leave(e)
			since := time.Now() // the operator must hear of it before the drain has ended
			e.Eventually(func() bool {
				e.beats(true, second)
				e.beat(first, serving("default"), "1", "true")
				return time.Since(since) > leavingPatience/2
			}, patience, time.Second).Should(BeTrue())
			e.beatUntil("the workers should be started afresh", func() bool { return slices.Equal(e.asked(), []int{0, 2}) }, true, first, second)
			if strings.HasPrefix(name, "deleted") {
				e.awaitGone("scaler")
				return
			}
			e.awaitDrainEnd()
			e.awaitReads(2)
			e.Expect(e.quantity("worker")).To(Equal(2))
		})
	}
}

func retains(s *v1.QueueScaler) { s.Spec.DeletionPolicy = v1.DeletionRetain }

// TestDrainIsInherited has an operator begin with what another left at each step of a drain.
func TestDrainIsInherited(t *testing.T) {
	t.Parallel()
	for i, test := range []struct {
		name     string
		quantity int
		quiet    bool
		// told says whether workers have to be told (again), and asked what is to become of the formation.
		told  bool
		asked []int
	}{
		{"nobody was told", 2, false, true, []int{0}},
		{"all were told", 2, true, false, []int{0}},
		{"all were stopped", 0, true, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := bareEnv(t, restarted[2+i])
			e.addApp(simulator.App{Formation: []simulator.Process{{Type: "worker", Quantity: test.quantity}}})
			e.work()
			scaler := e.get("scaler")
			before := scaler.DeepCopy()
			scaler.Status.DrainStartTime = ptr.To(metav1.Now())
			e.Expect(w.cluster.Status().Patch(e.ctx, scaler, client.MergeFrom(before))).To(Succeed())
			stop, err := startManager(cache.Options{DefaultNamespaces: map[string]cache.Config{e.namespace: {}}})
			e.Expect(err).NotTo(HaveOccurred())
			defer func() { e.Expect(stop()).To(Succeed()) }()
			if test.told {
				e.awaitTold()
			}
			e.beatUntil("the workers should be stopped", func() bool { return e.quantity("worker") == 0 }, test.quiet || test.told, first, second)
			e.awaitDrainEnd()
			e.Expect(e.asked()).To(Equal(test.asked))
			e.do("del", first, second, "processes")
			e.push("default")
			e.awaitQuantity(2)
			e.Expect(e.asked()).To(Equal(append(test.asked, 2)), "a start is not taken for the formation of the drain")
			e.delete("scaler")
			e.awaitGone("scaler")
		})
	}
}

// TestLostStopOfDrain has the answer to the stop be lost: it is read back, and the drain ends once.
func TestLostStopOfDrain(t *testing.T) {
	e := newEnv(t, twoWorkers())
	w.heroku.Inject(e.scaling(simulator.Fault{Effect: simulator.LoseAnswer, Times: 1}))
	e.work()
	e.awaitTold()
	e.push("default")
	e.beatUntil("the workers should be started afresh", func() bool { return slices.Equal(e.asked(), []int{0, 2}) }, true, first, second)
	e.awaitDrainEnd()
	e.Expect(e.patches()).To(BeNumerically("<=", 3))
}

// TestMayDrain is the table of what tells a formation's processes from others'.
func TestMayDrain(t *testing.T) {
	t.Parallel()
	process := func(identity, dyno, tag string) queue.Process {
		return queue.Process{Identity: identity, Dyno: dyno, Tag: tag, HeardAgo: time.Second}
	}
	one, two := process(first, "worker.1", "app"), process(second, "worker.2", "app")
	fir1, fir2 := process("f:1:a", "worker-23z34x56y-w78k9", "app"), process("f:1:b", "worker-12a34b56d-e78f9", "app")
	for name, test := range map[string]struct {
		processes []queue.Process
		tag       string
		why       string // a part of it; empty if it may
	}{
		"its dynos":                      {[]queue.Process{one, two}, "", ""},
		"one of them":                    {[]queue.Process{two}, "", ""},
		"Fir's":                          {[]queue.Process{fir1, fir2}, "", ""},
		"none":                           {nil, "", "DYNO"},
		"only others":                    {[]queue.Process{process("host:1:a", "", "app")}, "", "DYNO"},
		"beside others":                  {[]queue.Process{one, process("heavy.1:4:x", "", "app")}, "", ""},
		"two of one name":                {[]queue.Process{one, process("worker.1:4:z", "worker.1", "app")}, "", "called worker.1"},
		"two tags":                       {[]queue.Process{one, process(second, "worker.2", "other")}, "", "spec.drain.processTag"},
		"a number beyond the formation":  {[]queue.Process{process("worker.3:4:z", "worker.3", "app")}, "", "more worker processes"},
		"more of Fir's than it has":      {[]queue.Process{fir1, fir2, process("f:1:c", "worker-00a34b56d-e78f9", "app")}, "", "more worker processes"},
		"two of one name, one tag right": {[]queue.Process{one, two, process("worker.1:4:z", "worker.1", "other")}, "app", ""},
		"no tag right":                   {[]queue.Process{one, two}, "shop", `tagged "shop"`},
		"several processes in a dyno":    {[]queue.Process{one, process("worker.1:5:z", "worker.1", "app")}, "app", ""},
		"an embedded one":                {[]queue.Process{one, {Identity: second, Dyno: "worker.2", Tag: "app", Embedded: true}}, "", "set spec.drain.mode to None"},
		"another's that is embedded":     {[]queue.Process{one, {Identity: "web.1:4:b", Tag: "app", Embedded: true}}, "", ""},
		"a tag on too many":              {[]queue.Process{one, two, process("worker.3:4:z", "worker.3", "app")}, "app", "more worker processes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			s.memory.quantity = ptr.To(2)
			s.snapshot.Processes = test.processes
			s.object.Spec.Drain.ProcessTag = test.tag
			why := s.mayDrain()
			if (test.why == "") != (why == "") || !strings.Contains(why, test.why) {
				t.Errorf("got %q", why)
			}
		})
	}
}

// TestWindows has workers run in a window of the schedules, and a broken one be told of.
func TestWindows(t *testing.T) {
	t.Parallel()
	window := func(cron, zone string) change {
		return func(s *v1.QueueScaler) {
			s.Spec.Schedules = []v1.Schedule{{Name: "hours", Cron: cron, TimeZone: zone, DurationSeconds: 7200}}
		}
	}
	for name, test := range map[string]struct {
		change   change
		reason   string
		quantity int
	}{
		"open":           {window("0 * * * *", ""), v1.ReasonWindowOpen, 2},
		"open in a zone": {window(fmt.Sprintf("0 %d * * *", time.Now().In(time.FixedZone("", 9*3600)).Hour()), "Asia/Tokyo"), v1.ReasonWindowOpen, 2},
		"closed":         {window("0 0 29 2 1", "UTC"), v1.ReasonIdle, 0},
		"broken":         {window("61 * * * *", ""), v1.ReasonScheduleInvalid, 1},
		"a zone on Mars": {window("0 * * * *", "Mars/Olympus"), v1.ReasonScheduleInvalid, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
			e.create(plainList, test.change)
			e.awaitQuantity(test.quantity)
			if test.reason == v1.ReasonScheduleInvalid {
				condition := e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonScheduleInvalid)
				e.Expect(condition.Message).To(ContainSubstring(`spec.schedules["hours"]`))
				e.expectAbnormal("scaler", v1.ReasonScheduleInvalid, true)
				return
			}
			status := metav1.ConditionTrue
			if test.quantity == 0 {
				status = metav1.ConditionFalse
			}
			e.await("scaler", v1.ConditionActive, status, test.reason)
			e.awaitReady("scaler")
		})
	}
}

// TestWorkerStart measures a start up to the first heartbeat.
func TestWorkerStart(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.beats(false, "worker.1:4:dead")
	e.create()
	e.awaitReadyWith("scaler", 0)
	e.push("default")
	e.awaitQuantity(2)
	e.Expect(e.get("scaler").Status.WorkerStartSeconds).To(BeNil())
	e.beats(false, first)
	e.Eventually(func() *int32 { return e.get("scaler").Status.WorkerStartSeconds }).Should(HaveValue(And(
		BeNumerically(">=", 0), BeNumerically("<", 60))))
	e.Expect(e.patches()).To(Equal(1))
	e.Expect(e.requests()).NotTo(ContainElement(HaveField("Method", http.MethodDelete)))
}
