package controllers

import (
	"context"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// targetKey identifies a process type, whatever the app is called.
type targetKey struct{ appID, processType string }

func keyOf(target *v1.Target) targetKey { return targetKey{target.AppID, target.ProcessType} }

// claimant is an object that wants a target. The oldest owns it.
type claimant struct {
	name    types.NamespacedName
	uid     types.UID
	created metav1.Time
}

func claimantOf(object *v1.QueueScaler) claimant {
	return claimant{client.ObjectKeyFromObject(object), object.UID, object.CreationTimestamp}
}

func (c claimant) olderThan(other claimant) bool {
	if c.created.Equal(&other.created) {
		return c.uid < other.uid
	}
	return c.created.Before(&other.created)
}

// claims knows which objects want which targets, across namespaces. It knows of those reconciled
// since the operator started; what was owned before that stands in their status.
type claims struct {
	mu     sync.Mutex
	wanted map[types.NamespacedName]targetKey
	// by has one claimant for most targets.
	by map[targetKey][]claimant
}

func newClaims() *claims {
	return &claims{wanted: map[types.NamespacedName]targetKey{}, by: map[targetKey][]claimant{}}
}

// put notes what an object wants. It returns all who want the same, and those who wanted what it
// wanted before.
func (c *claims) put(who claimant, target targetKey) (rivals []claimant, freed []types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted[who.name] != target {
		freed = c.end(who.name)
	}
	c.wanted[who.name] = target
	claimants := c.by[target]
	if i := slices.IndexFunc(claimants, func(c claimant) bool { return c.name == who.name }); i >= 0 {
		claimants[i] = who
	} else {
		c.by[target] = append(claimants, who)
	}
	return c.others(who.name, target), freed
}

// drop ends an object's claim and returns those who may now get what it had.
func (c *claims) drop(name types.NamespacedName) []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end(name)
}

// end does what drop does, with the lock held.
func (c *claims) end(name types.NamespacedName) []types.NamespacedName {
	target, ok := c.wanted[name]
	if !ok {
		return nil
	}
	delete(c.wanted, name)
	others := c.others(name, target)
	if c.by[target] = others; len(others) == 0 {
		delete(c.by, target)
	}
	return namesOf(others)
}

// left says whether an object is known to want another target by now, whatever its status may say yet.
func (c *claims) left(name types.NamespacedName, target targetKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted, ok := c.wanted[name]
	return ok && wanted != target
}

// concerned are the objects that want a process type of an app, or any if it is empty.
func (c *claims) concerned(appID, processType string) []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	if processType != "" {
		return namesOf(c.by[targetKey{appID, processType}])
	}
	var names []types.NamespacedName
	for target, claimants := range c.by {
		if target.appID == appID {
			names = append(names, namesOf(claimants)...)
		}
	}
	return names
}

// others are the claimants of a target but for one.
func (c *claims) others(name types.NamespacedName, target targetKey) []claimant {
	var others []claimant
	for _, other := range c.by[target] {
		if other.name != name {
			others = append(others, other)
		}
	}
	return others
}

func namesOf(claimants []claimant) []types.NamespacedName {
	var names []types.NamespacedName
	for _, c := range claimants {
		names = append(names, c.name)
	}
	return names
}

// claim puts in an object's claim. It returns the owner, and those who must look again because of it.
// Objects that have not been reconciled yet are looked for once: whoever comes later puts in a claim.
func (r *Reconciler) claim(ctx context.Context, s *scope, target *v1.Target) (types.NamespacedName, []types.NamespacedName) {
	object, me := s.object, claimantOf(s.object)
	rivals, concerned := r.claims.put(me, keyOf(target))
	if s.memory.claimed != keyOf(target) {
		recorded, err := r.recorded(ctx, me, target)
		if err == nil && len(recorded) == 0 {
			s.memory.claimed = keyOf(target)
		}
		rivals = append(rivals, recorded...)
	}
	owner := me
	for _, rival := range rivals {
		if rival.olderThan(owner) {
			owner = rival
		}
	}
	if owner == me && object.Status.Target == nil {
		for _, rival := range rivals {
			concerned = append(concerned, rival.name)
			r.inheritDrain(ctx, s, rival.name)
		}
	}
	return owner.name, concerned
}

// recorded returns the other objects whose status names the target.
func (r *Reconciler) recorded(ctx context.Context, me claimant, target *v1.Target) ([]claimant, error) {
	var all v1.QueueScalerList
	if err := r.List(ctx, &all, client.MatchingFields{targetField: targetIndex(target)}); err != nil {
		log.FromContext(ctx).Error(err, "listing the QueueScalers of a target")
		return nil, err
	}
	var found []claimant
	for i := range all.Items {
		other := claimantOf(&all.Items[i])
		stays := isOf(all.Items[i].Status.Target, all.Items[i].Spec.Heroku) && !isDeleted(&all.Items[i])
		if other.uid != me.uid && stays && !r.claims.left(other.name, keyOf(target)) {
			found = append(found, other)
		}
	}
	return found, nil
}

// unclaim ends the claim of an object whose spec names no process type that Heroku shows.
func (r *Reconciler) unclaim(s *scope) {
	for _, other := range r.claims.drop(s.name) {
		r.wakeups.enqueue(other, false)
	}
}

// targetField indexes QueueScalers by the target in their status.
const targetField = "target"

func targetIndex(target *v1.Target) string { return target.AppID + "/" + target.ProcessType }

func indexTargets(mgr ctrl.Manager) error {
	return mgr.GetFieldIndexer().IndexField(context.Background(), &v1.QueueScaler{}, targetField, targetsOf)
}

func targetsOf(object client.Object) []string {
	if target := object.(*v1.QueueScaler).Status.Target; target != nil {
		return []string{targetIndex(target)}
	}
	return nil
}
