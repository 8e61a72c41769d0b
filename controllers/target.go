package controllers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
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
		if other.uid != me.uid && !isDeleted(&all.Items[i]) && !r.claims.left(other.name, keyOf(target)) {
			found = append(found, other)
		}
	}
	return found, nil
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

const (
	// releasePatience is how long a release is tried before it is given up, and releaseTries how often at least.
	releasePatience = 30 * time.Second
	releaseTries    = 3
	// leastRelease is the least time for the calls of one try, and releaseRead bounds the read among them.
	leastRelease = 5 * time.Second
	releaseRead  = 3 * time.Second
)

// finalize carries the deletion policy out and lets the object go: after releasePatience in any case.
func (r *Reconciler) finalize(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(s.object, v1.Finalizer) {
		return ctrl.Result{}, nil
	}
	r.wakeups.served(s.name)
	for _, other := range r.claims.drop(s.name) {
		r.wakeups.enqueue(other, false)
	}
	if target := s.leaves(); target != nil {
		if s.memory.client == nil {
			_ = r.account(ctx, s) // without a client the release fails and says so
		}
		if p := r.release(ctx, s, target); p != nil {
			return ctrl.Result{RequeueAfter: time.Second}, nil
		}
	}
	before := s.object.DeepCopy()
	controllerutil.RemoveFinalizer(s.object, v1.Finalizer)
	if err := r.Patch(ctx, s.object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	r.forget(s.name)
	return ctrl.Result{}, nil
}

// leaves returns the target that a deleted object leaves: the one that it had, or was to get if
// whoever had it is going as well.
func (s *scope) leaves() *v1.Target {
	if target := s.object.Status.Target; target != nil {
		return target
	}
	return s.memory.target
}

// release leaves a target by the deletion policy. A problem means: not yet.
func (r *Reconciler) release(ctx context.Context, s *scope, target *v1.Target) *problem {
	if s.draining() {
		if p := r.leaveDrain(ctx, s, target); p != nil {
			return p
		}
	}
	if s.object.Spec.DeletionPolicy == v1.DeletionRetain || s.suspended() || r.takenOver(ctx, s, target) {
		return nil
	}
	s.releasing()
	return r.unlessAbandoned(s, target, r.scaleUp(ctx, s, target))
}

// leaveDrain ends a drain of a target that is left. A problem means: not yet.
func (r *Reconciler) leaveDrain(ctx context.Context, s *scope, target *v1.Target) *problem {
	if s.memory.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.releasing())
	defer cancel()
	return r.unlessAbandoned(s, target, r.restart(ctx, s, target))
}

// releasing notes since when a release is tried, and returns how long one call may take.
func (s *scope) releasing() time.Duration {
	if s.memory.releasingSince.IsZero() {
		s.memory.releasingSince = s.now
	}
	left := releasePatience - s.now.Sub(s.memory.releasingSince)
	return max(leastRelease, min(startDeadline, left))
}

// unlessAbandoned returns the problem of a release for as long as it is worth another try. A machine that is busy
// may have taken all of the time for a few tries.
func (r *Reconciler) unlessAbandoned(s *scope, target *v1.Target, p *problem) *problem {
	m := s.memory
	if p == nil || p.reason == v1.ReasonDraining {
		return p
	}
	if m.releaseTries++; m.releaseTries < releaseTries || s.now.Sub(m.releasingSince) < releasePatience {
		return p
	}
	r.tell(s, warning, v1.ReasonReleaseAbandoned, "Release", "gave up leaving "+target.ProcessType+" of "+target.AppName+" scaled up: "+p.message)
	return nil
}

func (s *scope) suspended() bool {
	o, _ := s.overrides()
	return o.suspended
}

// takenOver says whether another object wants the target, and stays: then it is that one's to scale.
func (r *Reconciler) takenOver(ctx context.Context, s *scope, target *v1.Target) bool {
	me := claimantOf(s.object)
	for _, name := range r.claims.rivals(me.name, keyOf(target)) {
		var rival v1.QueueScaler
		if err := r.Get(ctx, name, &rival); err == nil && !isDeleted(&rival) {
			return true
		}
	}
	recorded, _ := r.recorded(ctx, me, target)
	return len(recorded) > 0
}

func (c *claims) rivals(name types.NamespacedName, target targetKey) []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	return namesOf(c.others(name, target))
}

// scaleUp raises a target to the active quantity, so that no job of it is left waiting.
func (r *Reconciler) scaleUp(ctx context.Context, s *scope, target *v1.Target) *problem {
	if s.memory.client == nil {
		return &problem{reason: v1.ReasonSecretNotFound, message: "there is no Heroku token"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.releasing())
	defer cancel()
	wanted := s.activeQuantity()
	err := s.raise(ctx, target, wanted)
	if refused, ok := errors.AsType[*heroku.Error](err); ok && refused.Kind == heroku.AboveLimit && refused.Limit > 0 {
		err = s.raise(ctx, target, min(wanted, refused.Limit))
	}
	if err == nil || isGone(err) {
		return nil
	}
	return s.ofHeroku(err)
}

// raise scales a target to a quantity, unless it has as many. What cannot be read, or may yet be stopped by a PATCH
// whose answer was lost, is scaled all the same: to no fewer dynos than were known.
func (s *scope) raise(ctx context.Context, target *v1.Target, quantity int) error {
	m := s.memory
	mine := m.target != nil && keyOf(m.target) == keyOf(target)
	quick, cancel := context.WithTimeout(ctx, releaseRead)
	defer cancel()
	formation, err := m.client.Formation(quick, target.AppID, target.ProcessType, heroku.ReadOptions{})
	switch {
	case err == nil && formation.Quantity >= quantity && !(mine && m.lost.open()):
		return nil
	case err == nil:
		quantity = max(quantity, formation.Quantity)
	case isGone(err) || !mine || m.quantity == nil:
		return err
	default:
		quantity = max(quantity, *m.quantity)
	}
	_, err = m.client.Scale(ctx, s.scaling(target, quantity))
	return err
}

// isGone says whether there is nothing left to scale.
func isGone(err error) bool {
	known, ok := errors.AsType[*heroku.Error](err)
	return ok && (known.Kind == heroku.AppNotFound || known.Kind == heroku.ProcessTypeNotFound)
}
