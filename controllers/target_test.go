package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// TestTargetAndTokenChangeTogether has a scaler go to an app of another account: the new app's jobs do not wait
// for the old one to be left, and the old one is left scaled up, although the new token does not show it.
func TestTargetAndTokenChangeTogether(t *testing.T) {
	t.Parallel()
	e := bareEnv(t, "")
	const old, new = "old@example.com", "new@example.com"
	for account, app := range map[string]string{old: e.app, new: e.app + "-new"} {
		w.heroku.AddToken(simulator.Token{Secret: e.token + account, Account: account, Scopes: []string{"write"}})
		e.setSecret("token-"+account[:3], "HEROKU_API_KEY", e.token+account)
		e.Expect(w.heroku.AddApp(simulator.App{Name: app, Accounts: []string{account}, Formation: []simulator.Process{{Type: "worker"}}})).To(Succeed())
	}
	t.Cleanup(func() { w.heroku.RemoveApp(e.app + "-new") })
	e.create(plainList, func(s *v1.QueueScaler) { s.Spec.Heroku.APIKeySecretRef.Name = "token-old" })
	e.awaitReadyWith("scaler", 0)
	path := "/apps/" + e.get("scaler").Status.Target.AppID + "/formation/worker"
	w.heroku.Inject(simulator.Fault{Effect: simulator.HTMLPage, Path: path, Times: 3}) // the release fails at first
	since := time.Now()
	e.push("default")
	e.patch("scaler", func(s *v1.QueueScaler) {
		s.Spec.Heroku.APIKeySecretRef.Name, s.Spec.Heroku.App = "token-new", e.app+"-new"
	})
	e.awaitHeroku(func() bool { return w.heroku.Quantity(e.app+"-new", "worker") == 2 }, "the new app's workers should be started")
	e.Logf("from the change to the PATCH: %v", time.Since(since).Round(10*time.Millisecond))
	e.Expect(time.Since(since)).To(BeNumerically("<", 20*time.Second))
	e.awaitQuantity(2)
	e.awaitReady("scaler")
	e.Expect(e.get("scaler").Status.Leaving).To(BeEmpty())
}

// TestNothingGoesAlongToAnotherTarget has what is known of a target hold it, and the scaler turn to another
// one, which then is held by none of that.
func TestNothingGoesAlongToAnotherTarget(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]struct {
		change change
		hold   func(e *env)
	}{
		"drift that is reported": {reportDrift, func(e *env) {
			e.Expect(w.heroku.Scale(e.app, "worker", 1)).To(Succeed())
			e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonDrift)
		}},
		"a limit": {usual, func(e *env) {
			w.heroku.SetDynoLimit(e.app, 2)
			e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.ActiveQuantity = 3 })
			e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonQuantityLimited)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"})
			other := e.app + "-other"
			e.Expect(w.heroku.AddApp(simulator.App{Name: other, Formation: []simulator.Process{{Type: "worker"}}})).To(Succeed())
			t.Cleanup(func() { w.heroku.RemoveApp(other) })
			e.push("default")
			e.create(plainList, hold.change)
			e.awaitReadyWith("scaler", 2)
			hold.hold(e)
			e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.App = other })
			wanted := int(e.get("scaler").Spec.ActiveQuantity)
			e.awaitHeroku(func() bool { return w.heroku.Quantity(other, "worker") == wanted }, "the other app's workers should be started")
			e.awaitReadyWith("scaler", wanted)
			e.Expect(e.get("scaler").Status.QuantityLimit).To(BeNil())
		})
	}
}

// TestAppOfTheSameName has another app get the name of one that is gone, on which more was known: nothing of
// that holds the new one.
func TestAppOfTheSameName(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.push("default")
	e.create(plainList, reportDrift)
	e.awaitReadyWith("scaler", 2)
	e.Expect(w.heroku.Scale(e.app, "worker", 1)).To(Succeed())
	e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonDrift)
	before := e.get("scaler").Status.Target.AppID
	e.Expect(w.heroku.RenameApp(e.app, e.app+"-gone")).To(Succeed())
	e.addApp(simulator.App{Formation: []simulator.Process{{Type: "worker"}}})
	w.heroku.RemoveApp(e.app + "-gone")
	e.awaitQuantity(2)
	e.awaitReadyWith("scaler", 2)
	e.Expect(e.get("scaler").Status.Target.AppID).NotTo(Equal(before))
}

// TestLeaveForgetsTheTarget has all that is known of a target go when another one is named, or the app is gone.
func TestLeaveForgetsTheTarget(t *testing.T) {
	t.Parallel()
	known := formation{
		app: "shop", processType: "worker", target: &v1.Target{AppID: "id"}, claimed: targetKey{"id", "worker"},
		quantity: ptr.To(2), uncertain: true, remembered: ptr.To(2), readAt: epoch, nextDrift: epoch, drift: drift{foreign: true},
		confirmed: true, vouchedUntil: epoch, size: "eco", limit: 1, limitUntil: epoch, unservedSince: epoch, crashed: true,
		rescue: rescue{mark: 1, failed: 3}, startedAt: epoch, workerStart: time.Second,
	}
	for name, test := range map[string]struct {
		change func(m *memory)
		want   types.GomegaMatcher
	}{
		"the same":             {func(m *memory) { m.aim("shop", "worker") }, Equal(known)},
		"another app":          {func(m *memory) { m.aim("mill", "worker") }, Equal(formation{app: "mill", processType: "worker"})},
		"another process type": {func(m *memory) { m.aim("shop", "mailer") }, Equal(formation{app: "shop", processType: "mailer"})},
		"the app is gone":      {func(m *memory) { m.gone() }, Equal(formation{app: "shop", processType: "worker", byName: true})},
	} {
		m := memory{formation: known}
		test.change(&m)
		NewWithT(t).Expect(m.formation).To(test.want, name)
	}
}

// TestReplaceKeepsWhatIsYetToBeLeft has a scaler turn from one target to the next, and back.
func TestReplaceKeepsWhatIsYetToBeLeft(t *testing.T) {
	t.Parallel()
	s, r := idleScope(), &Reconciler{}
	for _, turn := range []struct{ to, leaving string }{{"b", "a"}, {"c", "ab"}, {"a", "bc"}, {"d", "bca"}} {
		old := s.object.Status.Target
		if old == nil {
			old = &v1.Target{AppID: "a"}
		}
		s.memory.target = &v1.Target{AppID: turn.to}
		if p := r.replace(t.Context(), s, old); p != nil {
			t.Fatal(p)
		}
		s.object.Status.Target = s.memory.target
		leaving := ""
		for _, left := range s.object.Status.Leaving {
			leaving += left.AppID
		}
		if leaving != turn.leaving {
			t.Errorf("to %s: leaving %q, want %q", turn.to, leaving, turn.leaving)
		}
	}
}

// TestReadPriority has reads spend the reserve only where a start needs the answer.
func TestReadPriority(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(s *scope)
		want   heroku.Priority
	}{
		"nothing to do":             {func(s *scope) { s.snapshot.Depth = 0 }, heroku.Drift},
		"busy":                      {func(s *scope) { s.memory.confirmed = true }, heroku.Drift},
		"busy, nothing vouches":     {func(*scope) {}, heroku.Wake},
		"busy, not known":           {func(s *scope) { s.memory.quantity = nil }, heroku.Wake},
		"busy, nobody heard":        {func(s *scope) { s.memory.confirmed, s.memory.unservedSince = true, epoch.Add(-blindPatience) }, heroku.Wake},
		"busy, somebody scaled":     {func(s *scope) { s.news = news{formation: true, quantity: ptr.To(0)} }, heroku.Wake},
		"idle, somebody scaled":     {func(s *scope) { s.snapshot.Depth, s.news = 0, news{formation: true} }, heroku.Drift},
		"idle, not known":           {func(s *scope) { s.snapshot.Depth, s.memory.quantity = 0, nil }, heroku.Drift},
		"idle, after a lost answer": {func(s *scope) { s.snapshot.Depth, s.memory.uncertain = 0, true }, heroku.Sleep},
	} {
		s := idleScope()
		s.memory.quantity, s.snapshot.Depth = ptr.To(2), 1
		test.change(s)
		s.decide()
		if got := s.readPriority(); got != test.want {
			t.Errorf("%s: priority %v, want %v", name, got, test.want)
		}
	}
}

// TestAStopWithLittleBudget has the account have too little left to look for drift, and enough to stop.
func TestAStopWithLittleBudget(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.push("default")
	e.create(plainList)
	e.awaitReadyWith("scaler", 2)
	w.heroku.SetBudget(e.tokenName()+"@example.com", 1350)
	e.awaitReads(1) // tells of it
	e.Eventually(e.drifts).WithTimeout(patience).Should(BeFalse(), "drift should not be looked for")
	since := time.Now()
	e.take("default")
	e.awaitQuantity(0)
	e.Logf("from the end of the work to the stop: %v", time.Since(since).Round(10*time.Millisecond))
	e.Expect(time.Since(since)).To(BeNumerically("<", 20*time.Second))
}

// drifts reports whether drift is looked for within two of its periods.
func (e *env) drifts() bool {
	before := len(e.requests())
	time.Sleep(3 * driftPeriod)
	return len(e.requests()) > before
}
