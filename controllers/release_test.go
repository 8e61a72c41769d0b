package controllers

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// TestTakenOver says who counts as the next owner of a target that is left.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	target := &v1.Target{AppID: "id", AppName: "shop", ProcessType: "worker"}
	for name, test := range map[string]struct {
		change func(rival *v1.QueueScaler)
		claims *v1.Target // what it is known to want
		want   bool
	}{
		"it has a claim":                     {func(*v1.QueueScaler) {}, target, true},
		"its status says so":                 {func(s *v1.QueueScaler) { s.Status.Target = target }, nil, true},
		"both":                               {func(s *v1.QueueScaler) { s.Status.Target = target }, target, true},
		"it is another's":                    {func(*v1.QueueScaler) {}, nil, false},
		"it goes as well":                    {deleted, target, false},
		"it goes as well, and had it":        {func(s *v1.QueueScaler) { s.Status.Target = target; deleted(s) }, target, false},
		"it has left, and its status is old": {func(s *v1.QueueScaler) { s.Status.Target = target }, &v1.Target{AppID: "id", ProcessType: "other"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			s.object.UID = "me"
			rival := idleScope().object
			rival.Name, rival.UID = "rival", "rival"
			test.change(rival)
			r := &Reconciler{Client: fakeCluster(s.object, rival), claims: newClaims()}
			r.claims.put(claimantOf(s.object), keyOf(target))
			if test.claims != nil {
				r.claims.put(claimantOf(rival), keyOf(test.claims))
			}
			if got := r.takenOver(t.Context(), s, target); got != test.want {
				t.Errorf("taken over: %v", got)
			}
		})
	}
}

func deleted(s *v1.QueueScaler) {
	now := metav1.NewTime(epoch)
	s.DeletionTimestamp, s.Finalizers = &now, []string{v1.Finalizer}
}

func fakeCluster(objects ...client.Object) client.Client {
	scheme := runtime.NewScheme()
	_ = v1.AddToScheme(scheme)
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&v1.QueueScaler{}, targetField, targetsOf).Build()
}

// TestLeaves says which target a deleted object leaves.
func TestLeaves(t *testing.T) {
	t.Parallel()
	had, wanted := &v1.Target{AppID: "had"}, &v1.Target{AppID: "wanted"}
	for name, test := range map[string]struct{ status, memory, want *v1.Target }{
		"the one it had":             {had, nil, had},
		"not the one to come":        {had, wanted, had},
		"the one that it never got":  {nil, wanted, wanted},
		"none, where none was found": {nil, nil, nil},
	} {
		s := idleScope()
		s.object.Status.Target, s.memory.target = test.status, test.memory
		if got := s.leaves(); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestConflictDecidesByAge has an owner be the older one, whatever order they come in.
func TestConflictDecidesByAge(t *testing.T) {
	t.Parallel()
	target := &v1.Target{AppID: "id", ProcessType: "worker"}
	for name, olderFirst := range map[string]bool{"older first": true, "younger first": false} {
		older, younger := idleScope(), idleScope()
		older.object.Name, older.object.UID, older.object.CreationTimestamp = "older", "z", metav1.NewTime(epoch)
		younger.object.Name, younger.object.UID, younger.object.CreationTimestamp = "younger", "a", metav1.NewTime(epoch.Add(time.Second))
		order := []*scope{older, younger}
		if !olderFirst {
			slices.Reverse(order)
		}
		r := &Reconciler{Client: fakeCluster(older.object, younger.object), claims: newClaims()}
		for _, s := range order {
			r.claim(t.Context(), s, target)
		}
		for _, s := range order {
			if owner, _ := r.claim(t.Context(), s, target); owner.Name != "older" {
				t.Errorf("%s: %s sees %s as the owner", name, s.object.Name, owner.Name)
			}
		}
	}
}
