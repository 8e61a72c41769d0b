package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
)

// epoch is the time of the tests without a clock.
var epoch = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// idleScope is a reconcile of an object whose workers are off, with nothing to do.
func idleScope() *scope {
	object := &v1.QueueScaler{
		ObjectMeta: metav1.ObjectMeta{Name: "scaler", Namespace: "unit", Generation: 3},
		Spec: v1.QueueScalerSpec{
			Queue:          v1.QueueSpec{Type: v1.QueueSidekiq},
			Heroku:         v1.HerokuSpec{App: "shop", ProcessType: "worker", APIKeySecretRef: v1.SecretKeyRef{Name: "heroku", Key: "KEY"}},
			ActiveQuantity: 2, IdleTimeoutSeconds: 60, PollPeriodSeconds: 15, WakeLeadSeconds: ptr.To(int32(wakeLead.Seconds())),
		},
	}
	return &scope{
		object: object, before: object.DeepCopy(), name: client.ObjectKeyFromObject(object),
		memory: &memory{formation: formation{
			quantity: ptr.To(0), readAt: epoch, nextDrift: epoch.Add(time.Minute),
			target: &v1.Target{AppID: "id", AppName: "shop", ProcessType: "worker"},
		}},
		now: epoch,
		snapshot: queue.Snapshot{
			Observation: queue.Observation{Start: epoch, End: epoch, Heartbeats: true, Processed: -1},
			IdleSince:   epoch.Add(-time.Hour), Heard: true,
		},
	}
}

// process is a worker that was just heard.
func process(n int) queue.Process {
	return queue.Process{Identity: fmt.Sprintf("worker.%d:4:x", n), Dyno: fmt.Sprintf("worker.%d", n), HeardAgo: time.Second}
}

// drawScope makes any scope at all.
func drawScope(t *rapid.T) *scope {
	s := idleScope()
	spec, m := &s.object.Spec, s.memory
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "never") {
			return time.Time{}
		}
		return epoch.Add(time.Duration(rapid.Int64Range(-int64(2*time.Hour), int64(2*time.Hour)).Draw(t, "offset")))
	})
	anyProblem := rapid.Custom(func(t *rapid.T) *problem {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return &problem{
			reason:  rapid.SampledFrom([]string{v1.ReasonSecretNotFound, v1.ReasonHerokuUnavailable, v1.ReasonTargetConflict}).Draw(t, "reason"),
			message: "100% wrong", class: class(rapid.IntRange(0, int(settled)).Draw(t, "class")),
			retryAfter: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "retry after")),
		}
	})
	spec.ActiveQuantity = rapid.Int32Range(1, 255).Draw(t, "active quantity")
	spec.IdleTimeoutSeconds = rapid.Int32Range(1, 86400).Draw(t, "idle timeout")
	spec.Suspend = rapid.Bool().Draw(t, "suspend")
	s.object.Annotations = map[string]string{}
	for _, name := range []string{v1.AnnotationSuspendUntil, v1.AnnotationWakeUntil, v1.AnnotationIgnoreSilentUntil} {
		value := rapid.SampledFrom([]string{"", "soon", moment.Draw(t, name).Format(time.RFC3339)}).Draw(t, "value")
		if value != "" {
			s.object.Annotations[name] = value
		}
	}
	m.quantity = nil
	switch quantity := rapid.IntRange(0, 5).Draw(t, "quantity"); {
	case rapid.Bool().Draw(t, "quantity known"):
		m.quantity = &quantity
	case rapid.Bool().Draw(t, "quantity remembered"):
		m.remembered = &quantity
	}
	m.vouchedUntil, m.turnAt = moment.Draw(t, "vouched until"), moment.Draw(t, "turn at")
	m.uncertain, m.confirmed, m.crashed = rapid.Bool().Draw(t, "uncertain"), rapid.Bool().Draw(t, "confirmed"), rapid.Bool().Draw(t, "crashed")
	m.readAt, m.nextDrift, m.unservedSince = moment.Draw(t, "read"), moment.Draw(t, "drift"), moment.Draw(t, "unserved")
	m.limit, m.limitUntil = rapid.IntRange(0, 3).Draw(t, "limit"), moment.Draw(t, "limit until")
	m.releasingSince, m.idleFloor, m.problemSince = moment.Draw(t, "releasing"), moment.Draw(t, "floor"), moment.Draw(t, "problem since")
	if p := anyProblem.Draw(t, "failure"); p != nil {
		for range rapid.IntRange(1, 20).Draw(t, "failures") {
			m.retries.failed(p, moment.Draw(t, "failed"))
		}
	}
	s.queueProblem, s.formationProblem = anyProblem.Draw(t, "queue"), anyProblem.Draw(t, "formation")
	s.snapshot = queue.Snapshot{
		Observation: queue.Observation{
			Depth: rapid.Int64Range(0, 3).Draw(t, "depth"), InFlight: rapid.Int64Range(0, 3).Draw(t, "in flight"),
			NextDue: moment.Draw(t, "due"), DueKnownUntil: moment.Draw(t, "due known"),
			Heartbeats: rapid.Bool().Draw(t, "heartbeats"), End: moment.Draw(t, "end"),
			Doubt: rapid.SampledFrom([]string{"", "what is this"}).Draw(t, "doubt"),
		},
		IdleSince: moment.Draw(t, "idle"), SettledAt: moment.Draw(t, "settled"), Heard: rapid.Bool().Draw(t, "heard"),
	}
	for n := range rapid.IntRange(0, 3).Draw(t, "processes") {
		s.snapshot.Processes = append(s.snapshot.Processes, process(n+1))
	}
	if rapid.Bool().Draw(t, "silent") {
		s.snapshot.Silent = []queue.Silent{{Identity: "worker.1:5:x", Dyno: "worker.1", FirstHeard: moment.Draw(t, "first"), LastHeard: moment.Draw(t, "last")}}
	}
	if m.quantity != nil && rapid.Bool().Draw(t, "listed") {
		list := []heroku.Dyno{{Name: "worker.1", State: rapid.SampledFrom([]string{"up", "crashed"}).Draw(t, "state"), Age: time.Hour, StateAge: time.Hour}}
		m.roll = m.roll.answered(list, s.crew(), moment.Draw(t, "asked"), s.snapshot.IdleSince)
	}
	return s
}

// TestNextIsAboveZero, or the object would be reconciled without end.
func TestNextIsAboveZero(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawScope(t)
		s.decide()
		if next := (&Reconciler{}).next(s); next <= 0 || next > 10*time.Minute {
			t.Fatalf("next in %v", next)
		}
	})
}

// TestLawsOfApply has no stop go out on doubt, and none but to zero.
func TestLawsOfApply(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawScope(t)
		s.decide()
		if s.wantsStop() && (*s.decision.Desired != 0 || s.memory.uncertain || s.formationProblem != nil ||
			s.queueProblem != nil || s.snapshot.Active() || !s.accounted() || s.snapshot.Doubt != "" || s.object.Spec.Suspend) {
			t.Fatalf("a stop to %d: %s", *s.decision.Desired, s.decision.Reason)
		}
		known := s.memory.before(0)
		if s.wantsStart() && (*s.decision.Desired < known || s.object.Spec.Suspend) {
			t.Fatalf("a start that stops: from %d to %d", known, *s.decision.Desired)
		}
	})
}

// TestWebIsNotStopped has an object that was stored before the API refused process type web.
func TestWebIsNotStopped(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{false, true} {
		s := idleScope()
		s.object.Spec.Heroku.ProcessType, s.object.Spec.Heroku.AllowWeb = "web", allowed
		s.memory.quantity = ptr.To(1)
		s.snapshot.Processes = []queue.Process{{Identity: "web.1:4:x", Dyno: "web.1", HeardAgo: time.Second}}
		s.decide()
		p := s.worst()
		if s.wantsStop() != allowed || (p == nil) != allowed {
			t.Fatalf("allowed %v: stops %v, %+v", allowed, s.wantsStop(), p)
		}
		if !allowed && (!s.stalled(p) || !strings.Contains(p.message, "spec.heroku.allowWeb") || s.activeCondition().reason != v1.ReasonWebNotAllowed) {
			t.Fatalf("%+v, %+v", p, s.activeCondition())
		}
		s.snapshot.Depth = 1
		s.memory.quantity = ptr.To(0)
		if s.decide(); !s.wantsStart() {
			t.Fatalf("allowed %v: does not start", allowed)
		}
	}
}

// TestStopNeedsCertainty takes one thing at a time away from a stop.
func TestStopNeedsCertainty(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(s *scope)
		stops  bool
	}{
		"all is known":             {func(*scope) {}, true},
		"the quantity is not":      {func(s *scope) { s.memory.quantity = nil }, false},
		"the quantity is doubtful": {func(s *scope) { s.memory.uncertain = true }, false},
		"Heroku fails":             {func(s *scope) { s.formationProblem = &problem{} }, false},
		"Redis fails":              {func(s *scope) { s.queueProblem = &problem{} }, false},
		"never read":               {func(s *scope) { s.snapshot = queue.Snapshot{} }, false},
		"something is not clear":   {func(s *scope) { s.snapshot.Doubt = "what is this" }, false},
		"suspended":                {func(s *scope) { s.object.Spec.Suspend = true }, false},
		"just resumed":             {func(s *scope) { s.memory.suspended = true }, false},
		"a worker is not heard":    {func(s *scope) { s.snapshot.Heard = false }, false},
		"a dyno is not heard":      {func(s *scope) { s.snapshot.Processes = s.snapshot.Processes[:1] }, false},
		"an idle time too short":   {func(s *scope) { s.snapshot.IdleSince = epoch.Add(-59 * time.Second) }, false},
		"a long job may run":       {func(s *scope) { s.object.Spec.Queue.MaxJobSeconds = ptr.To[int32](7200) }, false},
		"off already":              {func(s *scope) { s.memory.quantity = ptr.To(0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			s.memory.quantity, s.snapshot.Processes = ptr.To(2), []queue.Process{process(1), process(2)}
			test.change(s)
			s.decide()
			if s.wantsStop() != test.stops {
				t.Errorf("wants a stop: %v (%s)", s.wantsStop(), s.decision.Reason)
			}
		})
	}
}

// TestEdgeWrites has the PATCH go out when the queue becomes active, whatever is believed of the
// formation, unless an answer or the workers themselves vouch for it.
func TestEdgeWrites(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(s *scope)
		writes bool
	}{
		"believed to run":            {func(*scope) {}, true},
		"confirmed in the idle time": {func(s *scope) { s.memory.confirmed = true; s.idle() }, true},
		"confirmed since":            {func(s *scope) { s.memory.confirmed = true }, false},
		"all heard":                  {func(s *scope) { s.snapshot.Processes = []queue.Process{process(1), process(2)} }, false},
		"one heard of two":           {func(s *scope) { s.snapshot.Processes = []queue.Process{process(1)} }, true},
		"answered not long ago":      {func(s *scope) { s.memory.vouchedUntil = epoch.Add(time.Second) }, false},
		"answered long ago":          {func(s *scope) { s.memory.vouchedUntil = epoch }, true},
		"answered not long ago, but uncertain": {func(s *scope) {
			s.memory.vouchedUntil, s.memory.uncertain = epoch.Add(time.Second), true
		}, true},
		"all heard, but uncertain": {func(s *scope) {
			s.snapshot.Processes = []queue.Process{process(1), process(2)}
			s.memory.uncertain = true
		}, true},
		"fewer than wanted":             {func(s *scope) { s.memory.confirmed = true; s.memory.quantity = ptr.To(1) }, true},
		"not known":                     {func(s *scope) { s.memory.quantity = nil }, true},
		"suspended":                     {func(s *scope) { s.object.Spec.Suspend = true }, false},
		"above a limit that was found":  {func(s *scope) { s.memory.confirmed = true; s.memory.quantity = ptr.To(1); s.limited(1, time.Hour) }, false},
		"above a limit found long ago":  {func(s *scope) { s.memory.confirmed = true; s.memory.quantity = ptr.To(1); s.limited(1, -time.Second) }, true},
		"above a limit of more than it": {func(s *scope) { s.memory.confirmed = true; s.memory.quantity = ptr.To(1); s.limited(7, time.Hour) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			s.memory.quantity = ptr.To(2)
			test.change(s)
			s.snapshot.Depth, s.snapshot.IdleSince = 1, time.Time{}
			s.decide()
			if s.wantsStart() != test.writes {
				t.Errorf("wants a start: %v", s.wantsStart())
			}
		})
	}
}

// TestAnAnswerVouchesForAWhile has the PATCH of an edge go out late, if the queue is still active then.
func TestAnAnswerVouchesForAWhile(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.memory.quantity, s.memory.vouchedUntil = ptr.To(2), epoch.Add(7*time.Second)
	s.snapshot.Depth, s.snapshot.IdleSince = 1, time.Time{}
	s.decide()
	if next := (&Reconciler{}).next(s); next != 7*time.Second {
		t.Errorf("next in %v", next)
	}
	if s.now = s.memory.vouchedUntil; !s.wantsStart() {
		t.Error("wants no start then")
	}
}

// TestDoubt has the quantity be uncertain after a PATCH that may have been applied, and no other.
func TestDoubt(t *testing.T) {
	t.Parallel()
	for kind, uncertain := range map[heroku.Kind]bool{
		heroku.Unknown: true, heroku.Unavailable: true, "": true,
		heroku.Unauthorized: false, heroku.Forbidden: false, heroku.AppNotFound: false, heroku.ProcessTypeNotFound: false,
		heroku.AboveLimit: false, heroku.Invalid: false, heroku.RateLimited: false,
	} {
		s := idleScope()
		s.memory.confirmed = true
		s.scaleFailed(&heroku.Error{Kind: kind}, heroku.Wake)
		left := kind == heroku.AppNotFound
		if s.memory.uncertain != uncertain || s.memory.confirmed == (uncertain || left) {
			t.Errorf("%q: uncertain %v, confirmed %v", kind, s.memory.uncertain, s.memory.confirmed)
		}
	}
	s := idleScope()
	s.scaleFailed(errors.New("a surprise"), heroku.Wake)
	if !s.memory.uncertain {
		t.Error("an error that nobody knows should leave doubt")
	}
}

// idle has a reconcile without work come first.
func (s *scope) idle() { s.decide() }

func (s *scope) limited(limit int, left time.Duration) {
	s.memory.limit, s.memory.limitUntil = limit, s.now.Add(left)
}

// TestForcedRead has work wait without a fresh heartbeat for a minute.
func TestForcedRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		waited, read time.Duration // ago
		change       func(s *scope)
		reads        bool
	}{
		"not yet a minute":             {59 * time.Second, 50 * time.Second, func(*scope) {}, false},
		"a minute":                     {time.Minute, 50 * time.Second, func(*scope) {}, true},
		"read since the minute ended":  {90 * time.Second, 10 * time.Second, func(*scope) {}, false},
		"read a minute ago":            {3 * time.Minute, time.Minute, func(*scope) {}, true},
		"somebody is heard":            {time.Minute, 50 * time.Second, func(s *scope) { s.snapshot.Processes = []queue.Process{process(1)} }, false},
		"nothing waits":                {time.Minute, 50 * time.Second, func(s *scope) { s.snapshot.Depth = 0 }, false},
		"nobody could be heard":        {time.Minute, 50 * time.Second, func(s *scope) { s.snapshot.Heartbeats = false }, false},
		"the dynos are off":            {time.Minute, 50 * time.Second, func(s *scope) { s.memory.quantity = ptr.To(0) }, false},
		"Heroku failed a moment ago":   {time.Minute, 50 * time.Second, func(s *scope) { s.failedAt(0) }, false},
		"Heroku failed and has rested": {time.Second, time.Second, func(s *scope) { s.failedAt(-time.Second) }, true},
		"an answer was lost":           {time.Second, time.Second, func(s *scope) { s.memory.uncertain = true }, true},
		"drift":                        {time.Second, time.Minute, func(s *scope) { s.memory.nextDrift = epoch }, true},
		"drift, nobody heard":          {90 * time.Second, 10 * time.Second, func(s *scope) { s.memory.nextDrift = epoch }, true},
		"never read":                   {time.Second, time.Second, func(s *scope) { s.memory.quantity = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			s.memory.quantity, s.snapshot.Depth = ptr.To(2), 1
			s.memory.unservedSince, s.memory.readAt = epoch.Add(-test.waited), epoch.Add(-test.read)
			test.change(s)
			s.watchUnserved()
			if got, _ := (&Reconciler{}).mustRead(s); got != test.reads {
				t.Errorf("must read: %v", got)
			}
		})
	}
}

func (s *scope) failedAt(offset time.Duration) {
	s.memory.retries.failed(&problem{}, s.now.Add(offset))
}
