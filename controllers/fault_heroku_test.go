package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func mendHerokuSecret(e *env) { e.setSecret("heroku", "HEROKU_API_KEY", e.token) }

// herokuSecret makes a fault of the Secret with the token.
func herokuSecret(key, value string) func(e *env) change {
	return func(e *env) change { e.setSecret("heroku", key, value); return usual }
}

func TestHerokuFaults(t *testing.T) {
	t.Parallel()
	worker := simulator.Process{Type: "worker", Quantity: 1}
	for name, f := range map[string]fault{
		"Secret missing": {
			damage: func(e *env) change { e.deleteSecret("heroku"); return usual },
			reason: v1.ReasonSecretNotFound, message: []string{`no Secret "heroku"`, "create it", "spec.heroku.apiKeySecretRef"},
		},
		"key missing": {
			damage: herokuSecret("OTHER", canary),
			reason: v1.ReasonSecretKeyMissing, message: []string{`no key "HEROKU_API_KEY"`, "add it", "spec.heroku.apiKeySecretRef"},
		},
		"key empty": {
			damage: herokuSecret("HEROKU_API_KEY", ""),
			reason: v1.ReasonSecretKeyMissing, message: []string{"is empty", "spec.heroku.apiKeySecretRef"},
		},
		"token wrong": {
			damage: herokuSecret("HEROKU_API_KEY", canary+"-wrong"),
			reason: v1.ReasonHerokuUnauthorized, message: []string{`"HEROKU_API_KEY"`, `"heroku"`, "spec.heroku.apiKeySecretRef"}, stalled: true,
		},
		"token that no header can carry": {
			damage: herokuSecret("HEROKU_API_KEY", canary+"\nwrong"),
			reason: v1.ReasonHerokuUnauthorized, message: []string{"spec.heroku.apiKeySecretRef"}, stalled: true,
		},
		"token without the scope": {
			damage: func(e *env) change {
				reader := e.token + "-reader"
				w.heroku.AddToken(simulator.Token{Secret: reader, Account: e.tokenName() + "@example.com", Scopes: []string{"read"}})
				e.setSecret("heroku", "HEROKU_API_KEY", reader)
				return usual
			},
			reason: v1.ReasonHerokuForbidden, message: []string{"spec.heroku.apiKeySecretRef", "scope write"}, stalled: true,
		},
		"unknown app": {
			damage: func(e *env) change { w.heroku.RemoveApp(e.app); return usual },
			mend:   func(e *env) { e.addApp(simulator.App{Formation: []simulator.Process{worker}}) },
			reason: v1.ReasonAppNotFound, message: []string{"app-", "spec.heroku.app"},
		},
		"unknown process type": {
			damage: func(e *env) change {
				w.heroku.RemoveApp(e.app)
				e.addApp(simulator.App{Formation: []simulator.Process{{Type: "web"}}})
				return usual
			},
			mend: func(e *env) {
				w.heroku.RemoveApp(e.app)
				e.addApp(simulator.App{Formation: []simulator.Process{worker}})
			},
			reason: v1.ReasonProcessTypeNotFound, message: []string{`no process type "worker"`, "spec.heroku.processType", "Procfile"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, worker)
			if f.mend == nil {
				f.mend = mendHerokuSecret
			}
			f.play(e, v1.ConditionFormationSynced)
		})
	}
}

// TestMissingStaysMissing has a fault that lasts for a few attempts: it is told of once.
func TestMissingStaysMissing(t *testing.T) {
	e := newEnv(t)
	e.create()
	e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonProcessTypeNotFound)
	e.awaitReads(2)
	for _, event := range e.events() {
		e.Expect(event.Reason).NotTo(Equal(v1.ReasonReady), "it never was ready")
	}
}

// TestTokenRevoked has a token that ceases to be valid, and then a new one that is not valid either.
func TestTokenRevoked(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
	e.create()
	e.awaitReady("scaler")
	w.heroku.RemoveToken(e.token)
	e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonHerokuUnauthorized)
	e.push("default")
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsWaiting)
	e.setSecret("heroku", "HEROKU_API_KEY", canary+"-worse")
	e.expectAbnormal("scaler", v1.ReasonHerokuUnauthorized, true)
	e.Expect(e.quantity("worker")).To(Equal(1))

	w.heroku.AddToken(simulator.Token{Secret: e.token, Name: e.tokenName(), Account: "new@example.com"})
	mendHerokuSecret(e)
	e.awaitQuantity(2)
	e.awaitReady("scaler")
}

// TestQuantityLimit has a quantity that Heroku does not allow: as many dynos as it does are started.
func TestQuantityLimit(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int32{"from zero": 0, "from the limit itself": 3} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			w.heroku.RemoveApp(e.app)
			e.addApp(simulator.App{DynoLimit: 3, Formation: []simulator.Process{{Type: "worker"}}})
			if before > 0 {
				e.push("default")
			}
			e.create(plainList, func(s *v1.QueueScaler) { s.Spec.ActiveQuantity = max(1, before) })
			e.awaitReadyWith("scaler", int(before))
			e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.ActiveQuantity = 5 })
			e.push("default")
			e.awaitQuantity(3)
			condition := e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonQuantityLimited)
			e.Expect(condition.Message).To(And(ContainSubstring("at most 3"), ContainSubstring("spec.activeQuantity")))
			e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonQuantityLimited)
			e.expectAbnormal("scaler", v1.ReasonQuantityLimited, true)
			e.Expect(e.get("scaler").Status.QuantityLimit).To(HaveValue(BeEquivalentTo(3)))
			e.expectOthersWork()

			e.take("default") // the limit is no reason to keep the dynos
			e.awaitQuantity(0)
			e.push("default")
			e.awaitQuantity(3)
			e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.ActiveQuantity = 3 })
			e.awaitReady("scaler")
			e.Expect(e.get("scaler").Status.QuantityLimit).To(BeNil())
		})
	}
}

// TestAppRecreated has an app that is destroyed and made again while its scaler stays.
func TestAppRecreated(t *testing.T) {
	worker := simulator.Process{Type: "worker"}
	e := newEnv(t, worker)
	e.create()
	e.awaitReady("scaler")
	w.heroku.RemoveApp(e.app)
	e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonAppNotFound)
	e.Expect(e.get("scaler").Status.Quantity).To(BeNil(), "what an app had that is gone is no quantity")
	e.addApp(simulator.App{Formation: []simulator.Process{worker}})
	e.push("default")
	e.awaitQuantity(2)
	e.awaitReady("scaler")
}
