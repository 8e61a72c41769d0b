package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

const (
	normal  = corev1.EventTypeNormal
	warning = corev1.EventTypeWarning
)

func (r *Reconciler) tell(s *scope, kind, reason, action, note string) {
	r.recorder.Eventf(s.object, nil, kind, reason, action, "%s", shortened(note))
}

func scaleReason(wanted int) string {
	if wanted == 0 {
		return v1.ReasonStopped
	}
	return v1.ReasonWoken
}

// tellTransitions makes an event of each condition that turned bad, changed its reason while bad,
// or turned good again.
func (r *Reconciler) tellTransitions(s *scope, before *v1.QueueScaler) {
	for _, conditionType := range []string{v1.ConditionReady, v1.ConditionWorkersHealthy} {
		old := meta.FindStatusCondition(before.Status.Conditions, conditionType)
		now := meta.FindStatusCondition(s.object.Status.Conditions, conditionType)
		wasBad := old != nil && old.Status == metav1.ConditionFalse
		isBad := now.Status == metav1.ConditionFalse && now.Reason != v1.ReasonUnknown
		switch {
		case isBad && (!wasBad || old.Reason != now.Reason):
			r.tell(s, warning, now.Reason, "Observe", now.Message)
		case wasBad && old.Reason != v1.ReasonUnknown && now.Status == metav1.ConditionTrue:
			r.tell(s, normal, now.Reason, "Observe", now.Message)
		}
	}
}
