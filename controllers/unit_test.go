package controllers

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

// TestPatience has things that are missing be somebody's job after ten minutes.
func TestPatience(t *testing.T) {
	t.Parallel()
	s := idleScope()
	check := func(offset time.Duration, p *problem, stalled bool) {
		t.Helper()
		s.now, s.formationProblem = epoch.Add(offset), p
		s.writeConditions()
		conditions := s.object.Status.Conditions
		if got := meta.IsStatusConditionTrue(conditions, v1.ConditionStalled); got != stalled {
			t.Errorf("after %v stalled is %v", offset, got)
		}
		if got := meta.IsStatusConditionTrue(conditions, v1.ConditionReconciling); got != (p != nil && !stalled) {
			t.Errorf("after %v reconciling is %v", offset, got)
		}
	}
	app := &problem{reason: v1.ReasonAppNotFound, message: "no app", class: missing}
	processType := &problem{reason: v1.ReasonProcessTypeNotFound, message: "no process type", class: missing}
	check(0, app, false)
	check(10*time.Minute-time.Second, app, false)
	check(10*time.Minute, app, true)
	check(11*time.Minute, processType, false) // the app has come
	check(20*time.Minute, processType, false)
	check(21*time.Minute, processType, true)
	check(22*time.Minute, nil, false)
	check(23*time.Minute, processType, false)
	check(time.Hour, &problem{reason: v1.ReasonHerokuUnavailable, message: "down"}, false)
	check(2*time.Hour, &problem{reason: v1.ReasonHerokuUnavailable, message: "down"}, false)
	check(3*time.Hour, &problem{reason: v1.ReasonRateLimited, message: "slow", class: limited}, false)
	check(3*time.Hour, &problem{reason: v1.ReasonHerokuForbidden, message: "no", class: settled}, true)
}

// TestRetries has bounds for every class, after any number of failures.
func TestRetries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		class                         class
		wakeAtMost, leastRest, atMost time.Duration
	}{
		"transient": {transient, 5 * time.Second, 800 * time.Millisecond, 5 * time.Minute},
		"limited":   {limited, 5 * time.Second, 800 * time.Millisecond, 5 * time.Minute},
		"missing":   {missing, 30 * time.Second, 24 * time.Second, 30 * time.Second},
		"settled":   {settled, time.Minute, 8 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p := &problem{class: test.class, retryAfter: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "retry after"))}
				r := retries{scalings: rapid.IntRange(0, 100).Draw(t, "scalings")}
				for range rapid.IntRange(1, 100).Draw(t, "failures") {
					r.failed(p, epoch)
					r.startFailed(p, epoch)
				}
				if look := r.lookAt.Sub(epoch); look <= 0 || look > test.wakeAtMost {
					t.Errorf("a read that a start needs waits %v", look)
				}
				wake, rest := r.wakeAt.Sub(epoch), r.restAt.Sub(epoch)
				if wake <= 0 || wake > test.wakeAtMost {
					t.Errorf("a start waits %v", wake)
				}
				if rest < max(test.leastRest, p.retryAfter) || rest > max(test.atMost, p.retryAfter+p.retryAfter/4) {
					t.Errorf("the rest waits %v", rest)
				}
				if r.last != p {
					t.Error("the problem is forgotten")
				}
			})
		})
	}
}

// TestBackoffGrowsDespiteReads has PATCHes fail and reads succeed.
func TestBackoffGrowsDespiteReads(t *testing.T) {
	t.Parallel()
	var r retries
	for range 10 {
		r.read()
		r.scalings++
		r.failed(&problem{}, epoch)
	}
	if rest := r.restAt.Sub(epoch); rest < 4*time.Minute {
		t.Errorf("after ten PATCHes the rest waits %v", rest)
	}
	r.scaled()
	r.failed(&problem{}, epoch)
	if rest := r.restAt.Sub(epoch); rest > time.Second {
		t.Errorf("after one failure the rest waits %v", rest)
	}
}

// TestUnknownFormationIsNeverReady covers the moment between the two ends of a wait.
func TestUnknownFormationIsNeverReady(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.memory.quantity = nil
	s.memory.retries = retries{failures: 1, last: &problem{reason: v1.ReasonAppNotFound, message: "x", class: missing},
		restAt: epoch.Add(time.Second), lookAt: epoch.Add(-time.Second)}
	r := &Reconciler{}
	if must, _ := r.mustRead(s); must {
		t.Fatal("it is too early to read")
	}
	s.rest()
	if s.formationProblem == nil {
		t.Error("a formation that was never read has no problem")
	}
}

// TestWorthWriting has newer counts written once a minute, and newer times of the same once an hour.
func TestWorthWriting(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reason scaling.Reason
		later  time.Duration
		change func(status *v1.QueueScalerStatus)
		write  bool
	}{
		"nothing":                           {scaling.JobsWaiting, 0, func(*v1.QueueScalerStatus) {}, false},
		"counts soon":                       {scaling.JobsWaiting, 59 * time.Second, func(s *v1.QueueScalerStatus) { s.Queue.Depth++ }, false},
		"counts after a minute":             {scaling.JobsWaiting, time.Minute, func(s *v1.QueueScalerStatus) { s.Queue.Depth++ }, true},
		"times after a minute, asleep":      {scaling.Asleep, time.Minute, func(*v1.QueueScalerStatus) {}, false},
		"times after an hour, asleep":       {scaling.Asleep, time.Hour, func(*v1.QueueScalerStatus) {}, true},
		"a new read of the same quantity":   {scaling.Asleep, time.Minute, func(s *v1.QueueScalerStatus) { s.QuantityObservedTime = stamp(time.Minute) }, false},
		"a new idle time, asleep":           {scaling.Asleep, time.Second, func(s *v1.QueueScalerStatus) { s.IdleStartTime = stamp(time.Minute) }, false},
		"a new idle time, awake":            {scaling.IdleTimeout, time.Second, func(s *v1.QueueScalerStatus) { s.IdleStartTime = stamp(time.Minute) }, true},
		"a quantity":                        {scaling.Asleep, time.Second, func(s *v1.QueueScalerStatus) { s.Quantity = ptr.To[int32](1) }, true},
		"a condition":                       {scaling.JobsWaiting, time.Second, func(s *v1.QueueScalerStatus) { s.Conditions = []metav1.Condition{{Type: "Ready"}} }, true},
		"the first counts":                  {scaling.Asleep, time.Second, nil, true},
		"a read while Redis never answered": {scaling.QueueUnknown, time.Hour, func(s *v1.QueueScalerStatus) { s.Queue, s.QuantityObservedTime = nil, stamp(time.Hour) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			status := v1.QueueScalerStatus{Quantity: ptr.To[int32](2), QuantityObservedTime: stamp(0), IdleStartTime: stamp(0), Queue: &v1.QueueStatus{ObservedTime: *stamp(0)}}
			s.before.Status, s.object.Status = *status.DeepCopy(), *status.DeepCopy()
			s.object.Status.Queue.ObservedTime = *stamp(test.later)
			if test.change == nil {
				s.before.Status.Queue = nil
			} else {
				test.change(&s.object.Status)
			}
			if s.object.Status.Queue == nil {
				s.before.Status.Queue = nil
			}
			s.decision.Reason = test.reason
			if got := s.worthWriting(); got != test.write {
				t.Errorf("worth writing: %v", got)
			}
		})
	}
}

// TestUrgent has only what is scaled, and what is wrong, be written at once.
func TestUrgent(t *testing.T) {
	t.Parallel()
	active := func(status metav1.ConditionStatus, reason string) func(*scope) {
		return func(s *scope) { s.set(v1.ConditionActive, condition{status, reason, "x"}) }
	}
	for name, test := range map[string]struct {
		change func(*scope)
		urgent bool
	}{
		"work came":      {active(metav1.ConditionTrue, v1.ReasonJobsWaiting), false},
		"work is done":   {func(s *scope) { s.object.Status.IdleStartTime = stamp(0) }, false},
		"newer counts":   {func(s *scope) { s.object.Status.Queue = &v1.QueueStatus{Depth: 1} }, false},
		"dynos wanted":   {func(s *scope) { s.object.Status.DesiredQuantity = ptr.To[int32](2) }, true},
		"dynos started":  {func(s *scope) { s.object.Status.Quantity = ptr.To[int32](2) }, true},
		"something else": {func(s *scope) { s.set(v1.ConditionReady, no("Broken", "x")) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			active(metav1.ConditionTrue, v1.ReasonIdleTimeout)(s)
			s.before = s.object.DeepCopy()
			if test.change(s); s.urgent() != test.urgent {
				t.Errorf("urgent: %v", s.urgent())
			}
		})
	}
}

func stamp(later time.Duration) *metav1.Time { return ptr.To(metav1.NewTime(epoch.Add(later))) }

// TestKstatus has any state at all be one that kstatus understands, in words that are whole.
func TestKstatus(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawScope(t)
		s.decide()
		s.writeStatus()
		s.writeConditions()
		status := s.object.Status
		if status.ObservedGeneration != s.object.Generation {
			t.Error("no observed generation")
		}
		for _, c := range status.Conditions {
			if c.ObservedGeneration != s.object.Generation || c.Reason == "" || c.Message == "" || strings.Contains(c.Message, "%!") {
				t.Errorf("%+v", c)
			}
		}
		ready := meta.FindStatusCondition(status.Conditions, v1.ConditionReady)
		stalled := meta.FindStatusCondition(status.Conditions, v1.ConditionStalled)
		reconciling := meta.FindStatusCondition(status.Conditions, v1.ConditionReconciling)
		if bad := ready.Status != metav1.ConditionTrue; (stalled != nil || reconciling != nil) != bad || (stalled != nil && reconciling != nil) {
			t.Errorf("ready %v, stalled %v, reconciling %v", ready, stalled, reconciling)
		}
		if status.Quantity != nil && s.memory.uncertain {
			t.Error("an uncertain quantity is told")
		}
		if len(status.Conditions) < 5 {
			t.Errorf("conditions are missing: %v", status.Conditions)
		}
	})
}

// TestLongMessages has a name out of Redis be longer than an event or a condition can hold.
func TestLongMessages(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.snapshot.NotServed = []string{strings.Repeat("ü", 40000)}
	s.decide()
	s.writeConditions()
	message := meta.FindStatusCondition(s.object.Status.Conditions, v1.ConditionWorkersHealthy).Message
	if len(message) > 1024 || !strings.HasPrefix(message, "jobs wait in ü") || strings.ToValidUTF8(message, "") != message {
		t.Errorf("%d bytes: %.50s", len(message), message)
	}
}

// TestEveryReasonHasWords has each decision be explained.
func TestEveryReasonHasWords(t *testing.T) {
	t.Parallel()
	for reason, phrase := range phrases {
		s := idleScope()
		s.memory.quieting.proven = true // the mark of a drain says more while nobody has proven the drain
		s.decision = scaling.Decision{Reason: reason, Desired: ptr.To(2)}
		condition := s.activeCondition()
		if activeReasons[reason] != "" && (condition.reason != activeReasons[reason] || !strings.Contains(condition.message, phrase)) {
			t.Errorf("%s: %+v", reason, condition)
		}
		s.decision.Desired = nil
		if condition = s.activeCondition(); condition.status != metav1.ConditionUnknown {
			t.Errorf("%s, held: %+v", reason, condition)
		}
	}
}

// TestClaims has exactly one owner per target, the oldest, whoever comes and goes.
func TestClaims(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, wanted := newClaims(), map[types.NamespacedName]claimant{}
		targets := map[types.NamespacedName]targetKey{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			name := types.NamespacedName{Namespace: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"), Name: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")}
			if rapid.Bool().Draw(t, "goes") {
				c.drop(name)
				delete(wanted, name)
				delete(targets, name)
				continue
			}
			who, ok := wanted[name]
			if !ok {
				who = claimant{name: name, uid: types.UID(name.String()), created: metav1.NewTime(epoch.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "age")) * time.Second))}
			}
			target := targetKey{rapid.SampledFrom([]string{"p", "q"}).Draw(t, "app"), "worker"}
			wanted[name], targets[name] = who, target
			c.put(who, target)
		}
		for _, app := range []string{"p", "q"} {
			target := targetKey{app, "worker"}
			var owners, all []types.NamespacedName
			for name, who := range wanted {
				if targets[name] != target {
					continue
				}
				all = append(all, name)
				rivals, _ := c.put(who, target)
				oldest := true
				for _, rival := range rivals {
					oldest = oldest && !rival.olderThan(who)
				}
				if oldest {
					owners = append(owners, name)
				}
			}
			if len(all) > 0 && len(owners) != 1 {
				t.Fatalf("%v own what %v want", owners, all)
			}
			for _, name := range all {
				if len(owners) == 1 && wanted[name].olderThan(wanted[owners[0]]) {
					t.Fatalf("%v is older than the owner %v", name, owners[0])
				}
				if c.left(name, target) {
					t.Fatalf("%v has not left", name)
				}
			}
		}
	})
}

// TestQueueErrors has each kind of error name the field and be of the right class.
func TestQueueErrors(t *testing.T) {
	t.Parallel()
	for kind, test := range map[queue.ErrorKind]struct {
		reason, part string
		class        class
	}{
		queue.Unreachable:  {v1.ReasonRedisUnreachable, "", transient},
		queue.Full:         {v1.ReasonRedisUnreachable, "", transient},
		queue.Unauthorized: {v1.ReasonRedisUnauthorized, "", settled},
		queue.URLInvalid:   {v1.ReasonRedisURLInvalid, "spec.redis.urlFrom", settled},
		queue.TLSFailed:    {v1.ReasonRedisTLSFailed, "", settled},
		queue.WrongType:    {v1.ReasonRedisKeyWrongType, "", settled},
		"Surprise":         {v1.ReasonRedisUnreachable, "", transient},
	} {
		p := ofQueue(&queue.Error{Kind: kind, Message: "what went wrong"})
		if p.reason != test.reason || p.class != test.class || !strings.Contains(p.message, "what went wrong") || !strings.Contains(p.message, test.part) {
			t.Errorf("%s: %+v", kind, p)
		}
	}
}
