package controllers

import (
	"net/http"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/internal/queue"
)

// afresh reports whether the workers were stopped once, and started after that.
func (e *env) afresh() bool { return slices.Equal(e.asked(), []int{0, 2}) }

// TestADrainGoesAlongWithTheTarget has an older scaler take the process type over in the middle of a drain.
func TestADrainGoesAlongWithTheTarget(t *testing.T) {
	e := newEnv(t, twoWorkers(), simulator.Process{Type: "other"})
	older := e.create(func(s *v1.QueueScaler) { s.Name, s.Spec.Heroku.ProcessType = "older", "other" })
	e.beats(false, first, second)
	e.createAfter(older, drains)
	e.awaitTold()
	e.patch("older", func(s *v1.QueueScaler) { s.Spec.Heroku.ProcessType = "worker" })
	e.push("default")
	e.beatUntil("the workers should be started afresh", e.afresh, true, first, second)
	e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonTargetConflict)
	for _, name := range []string{"older", "scaler"} {
		e.Eventually(func() *metav1.Time { return e.get(name).Status.DrainStartTime }).Should(BeNil(), name)
	}
}

// TestQuietWorkersAreStartedAfresh has a person quiet all workers, with and without a drain in the spec, while
// jobs wait.
func TestQuietWorkersAreStartedAfresh(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]change{"no drain": usual, "a drain": drains} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, twoWorkers())
			e.push("default")
			e.beats(true, first, second)
			e.create(change)
			begin := time.Now()
			e.Eventually(func() bool { e.beats(true, first, second); return e.afresh() }, 2*patience, time.Second).Should(BeTrue())
			e.Expect(time.Since(begin)).To(BeNumerically(">=", strandPatience), "dynos that restart are quiet for a while")
			e.awaitDrainEnd()
		})
	}
}

// TestABusyWorkerOfALeftTargetIsAwaited has a job run in a drain whose scaler goes elsewhere.
func TestABusyWorkerOfALeftTargetIsAwaited(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(e *env){
		"deleted": func(e *env) { e.delete("scaler") },
		"another process type": func(e *env) {
			e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.ProcessType = "other" })
		},
		"another process type and queue": func(e *env) {
			e.patch("scaler", func(s *v1.QueueScaler) {
				s.Spec.Heroku.ProcessType, s.Spec.Queue.Names = "other", []string{"mailers"}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, twoWorkers(), simulator.Process{Type: "other"})
			e.work()
			e.awaitTold()
			busy := func() { e.beats(true, second); e.beat(first, serving("default"), "1", "true") }
			busy()
			e.beatUntil("the drain goes on", func() bool { busy(); return true }, true)
			left := time.Now()
			leave(e)
			e.Eventually(func() bool { busy(); return time.Since(left) > leavingPatience/2 }, patience, time.Second).Should(BeTrue())
			e.Expect(e.asked()).To(BeEmpty(), "a worker was stopped in its job")
			e.beatUntil("the workers should be started afresh", e.afresh, true, first, second)
		})
	}
}

// TestTheEndOfADrainWasNotWrittenDown has an operator find the mark of a drain that has ended, and fresh workers.
func TestTheEndOfADrainWasNotWrittenDown(t *testing.T) {
	t.Parallel()
	e := bareEnv(t, "drain-4")
	e.addApp(simulator.App{Formation: []simulator.Process{twoWorkers()}})
	busy := func() {
		e.beat(first, serving("default"), "1", "false")
		e.beat(second, serving("default"), "1", "false")
	}
	busy()
	e.create(drains)
	e.mark()
	e.push("default")
	stop, err := startManager(cache.Options{DefaultNamespaces: map[string]cache.Config{e.namespace: {}}})
	e.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = stop() })
	e.Eventually(func() string {
		busy()
		if active := meta.FindStatusCondition(e.get("scaler").Status.Conditions, v1.ConditionActive); active != nil {
			return active.Message
		}
		return ""
	}, patience, time.Second).Should(ContainSubstring("may have ended"))
	e.Eventually(func() *metav1.Time { busy(); return e.get("scaler").Status.DrainStartTime }, patience, time.Second).Should(BeNil())
	e.Expect(e.told(first) || e.told(second)).To(BeFalse(), "fresh workers are left alone")
	e.Expect(slices.Contains(e.asked(), 0)).To(BeFalse())
	e.delete("scaler")
	e.awaitGone("scaler")
}

// mark writes down that a drain has begun, as an operator does.
func (e *env) mark() {
	e.Helper()
	scaler := e.get("scaler")
	before := scaler.DeepCopy()
	scaler.Status.DrainStartTime = ptr.To(metav1.Now())
	e.Expect(w.cluster.Status().Patch(e.ctx, scaler, client.MergeFrom(before))).To(Succeed())
}

// TestADrainEndsWithoutABudget has a job wait for the end of a drain when the account has hardly any requests left.
func TestADrainEndsWithoutABudget(t *testing.T) {
	e := newEnv(t, twoWorkers())
	e.work()
	e.awaitTold()
	w.heroku.SetBudget(e.tokenName()+"@example.com", 100)
	e.push("default")
	e.beatUntil("the workers should be started afresh", e.afresh, true, first, second)
}

// TestQuieting is the table of what is known of a drain.
func TestQuieting(t *testing.T) {
	t.Parallel()
	after := func(d time.Duration) time.Time { return epoch.Add(d) }
	const timeout = 5 * time.Minute
	found := quieting{}.found(epoch, false)
	proven := found.found(after(time.Second), true)
	waited := proven.awaited(after(time.Hour), true)
	for name, test := range map[string]struct{ got, want any }{
		"a mark is not believed for ever":         {found.disproven(after(markPatience)), true},
		"nor disbelieved at once":                 {found.disproven(after(markPatience - 1)), false},
		"a quiet worker proves it":                {proven.disproven(after(time.Hour)), false},
		"for good":                                {proven.found(after(time.Minute), false).proven, true},
		"the time out begins when jobs wait":      {waited.deadline(after(time.Hour), timeout), after(time.Hour + timeout)},
		"not anew with each look":                 {waited.awaited(after(2*time.Hour), true).deadline(after(2*time.Hour), timeout), after(time.Hour + timeout)},
		"but when they waited in between no more": {waited.awaited(after(2*time.Hour), false).deadline(after(2*time.Hour), timeout), after(2*time.Hour + timeout)},
		"an unproven mark interrupts nothing":     {found.awaited(epoch, true).deadline(after(time.Hour), timeout), after(time.Hour + timeout)},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", name, test.got, test.want)
		}
	}
}

// TestAnUnreadQueueHasNoFreeWorkers has nobody be taken for free that was not looked at.
func TestAnUnreadQueueHasNoFreeWorkers(t *testing.T) {
	t.Parallel()
	s := idleScope()
	if !s.workersFree() {
		t.Error("a queue that was read, and has no workers")
	}
	s.snapshot.End = time.Time{}
	if s.workersFree() {
		t.Error("a queue that was never read")
	}
	s = idleScope()
	s.snapshot.Processes = []queue.Process{{Identity: first, Dyno: "worker.1", HeardAgo: time.Second, Busy: 1, Quiet: true}}
	s.memory.quieting.told = map[string]time.Time{first: epoch}
	if s.object.Spec.Drain.ProcessTag = "new"; s.workersFree() {
		t.Error("a worker was told, is busy, and has another tag than the spec names now")
	}
	s = idleScope()
	s.queueProblem = &problemInternal
	if s.workersFree() {
		t.Error("a queue that cannot be read")
	}
}

// TestAStopIsFinishedBeforeTheOperatorEnds has the operator be told to end while Heroku carries out a stop.
func TestAStopIsFinishedBeforeTheOperatorEnds(t *testing.T) {
	t.Parallel()
	e := bareEnv(t, "stop-1")
	e.addApp(simulator.App{Formation: []simulator.Process{twoWorkers()}})
	stop, err := startManager(cache.Options{DefaultNamespaces: map[string]cache.Config{e.namespace: {}}})
	e.Expect(err).NotTo(HaveOccurred())
	held, release := e.hold(http.MethodPatch)
	e.create(plainList, retains)
	e.Eventually(held).Should(BeClosed())
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	select {
	case err := <-ended:
		t.Errorf("the operator has ended, and its stop is on its way: %v", err)
	case <-time.After(stopDeadline / 4):
	}
	release()
	e.Eventually(ended).Should(Receive(BeNil()))
	e.Expect(e.quantity("worker")).To(BeZero())
	e.free()
}

// free lets a scaler go that no operator reconciles any more.
func (e *env) free() {
	e.Helper()
	e.patch("scaler", func(s *v1.QueueScaler) { s.Finalizers = nil })
}

// TestAReadAfterALostStopVouchesForNothing has Heroku carry out a stop late whose answer was lost: after a read that
// showed all dynos, and after the start of a job.
func TestAReadAfterALostStopVouchesForNothing(t *testing.T) {
	t.Parallel()
	e := bareEnv(t, "stop-2")
	e.addApp(simulator.App{Formation: []simulator.Process{twoWorkers()}})
	stop, err := startManager(cache.Options{DefaultNamespaces: map[string]cache.Config{e.namespace: {}}}, func(o *Options) { o.DriftPeriod = time.Hour })
	e.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = stop() })
	w.heroku.Inject(e.scaling(simulator.Fault{Effect: simulator.Reset, Times: 1}))
	e.create(plainList, reportDrift)
	e.awaitHeroku(func() bool { return e.patches() >= 1 }, "the stop, whose answer is lost")
	e.push("default")
	e.awaitHeroku(func() bool { return e.patches() >= 2 }, "the job should start workers, whatever is believed")
	e.Expect(w.heroku.Scale(e.app, "worker", 0)).To(Succeed()) // late
	e.awaitQuantity(2)
	e.delete("scaler")
	e.awaitGone("scaler")
}

// TestADrainIsThatOfItsTarget has a target be left that is not the one whose workers were told.
func TestADrainIsThatOfItsTarget(t *testing.T) {
	t.Parallel()
	s := idleScope()
	drained, left := &v1.Target{AppID: "id", ProcessType: "worker"}, &v1.Target{AppID: "old", ProcessType: "worker"}
	s.object.Status.Target, s.object.Status.DrainStartTime = drained, stamp(0)
	s.object.Spec.DeletionPolicy = v1.DeletionRetain
	if p := (&Reconciler{}).release(t.Context(), s, nil, left); p != nil || !s.draining() {
		t.Errorf("a target that is left without a drain ends another's: %+v", p)
	}
	if !s.drainsAt(drained) || s.drainsAt(left) {
		t.Error("the drain is that of another target")
	}
	if s.object.Status.Target = nil; !s.drainsAt(s.memory.target) || s.drainsAt(left) {
		t.Error("the drain is that of the target that is not written down yet")
	}
}

// TestLostStop is the life of a stop whose answer was lost.
func TestLostStop(t *testing.T) {
	t.Parallel()
	l, after := lostStop{at: epoch}, func(d time.Duration) time.Time { return epoch.Add(d) }
	if l = l.read(after(10 * time.Second)); l.overdue(after(29*time.Second)) || !l.overdue(after(30*time.Second)) {
		t.Errorf("the first read is due at %v", l.due())
	}
	if l = l.read(after(31 * time.Second)); !l.open() || l.overdue(after(59*time.Second)) || !l.overdue(after(time.Minute)) {
		t.Errorf("the second read is due at %v", l.due())
	}
	if l = l.read(after(time.Minute)); l.open() || l.overdue(after(time.Hour)) || !l.due().IsZero() {
		t.Error("it is open for ever")
	}
	if late := (lostStop{at: epoch}).read(after(time.Hour)); late.open() {
		t.Error("a read that comes late does for both")
	}
}

// TestAnEdgeAfterALostStopWrites has a job come after a read that showed all dynos, and workers that are heard.
func TestAnEdgeAfterALostStopWrites(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lost lostStop
		want bool
	}{
		"a stop was lost": {lostStop{at: epoch.Add(-time.Second)}, true},
		"long ago":        {lostStop{at: epoch.Add(-time.Minute)}, false},
		"none":            {lostStop{}, false},
	} {
		s := idleScope()
		s.snapshot.Depth, s.snapshot.IdleSince = 1, time.Time{}
		s.snapshot.Processes = []queue.Process{process(1), process(2)}
		s.memory.lost, s.memory.vouchedUntil = test.lost, epoch.Add(time.Hour)
		s.memory.doubt()
		s.memory.read(heroku.Formation{Quantity: 2}, epoch)
		if s.decide(); s.wantsStart() != test.want {
			t.Errorf("%s: a start is wanted: %v", name, s.wantsStart())
		}
	}
}

// TestStandstill has work that does not move be a reason to read, less and less often.
func TestStandstill(t *testing.T) {
	t.Parallel()
	after := func(d time.Duration) time.Time { return epoch.Add(d) }
	still := standstill{}.after(epoch, 5).after(after(30*time.Second), 7)
	if still.overdue(after(59*time.Second), epoch) || !still.overdue(after(time.Minute), epoch) {
		t.Errorf("the first read is due at %v", still.readDue(epoch))
	}
	var reads []time.Duration
	for now, readAt := epoch, epoch; now.Before(after(20 * time.Minute)); now = now.Add(time.Second) {
		if still.overdue(now, readAt) {
			readAt = now
			reads = append(reads, now.Sub(epoch))
		}
	}
	if want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute}; !slices.Equal(reads, want) {
		t.Errorf("read after %v, want %v", reads, want)
	}
	if moved := still.after(after(time.Minute), 6); moved.overdue(after(119*time.Second), epoch) {
		t.Error("work that was taken stands still")
	}
	if none := still.after(after(time.Minute), 0); none.overdue(after(time.Hour), epoch) || !none.readDue(epoch).IsZero() {
		t.Error("no work stands still")
	}
}

// TestWorkThatStandsStillHasTheFormationBeRead has somebody stop the workers of a job system that shows none, without
// a word and long before drift is looked for.
func TestWorkThatStandsStillHasTheFormationBeRead(t *testing.T) {
	t.Parallel()
	e := bareEnv(t, "stop-3")
	e.addApp(simulator.App{Formation: []simulator.Process{twoWorkers()}})
	stop, err := startManager(cache.Options{DefaultNamespaces: map[string]cache.Config{e.namespace: {}}}, func(o *Options) { o.DriftPeriod = time.Hour })
	e.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = stop() })
	e.push("default")
	e.create(plainList)
	e.awaitReadyWith("scaler", 2)
	e.Expect(w.heroku.Scale(e.app, "worker", 0)).To(Succeed())
	e.awaitQuantity(2)
	e.delete("scaler")
	e.awaitGone("scaler")
}
