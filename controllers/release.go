package controllers

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
)

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
	if s.memory.client == nil {
		_ = r.account(ctx, s) // without a client the release fails and says so
	}
	if !r.leaveAll(ctx, s) {
		return s.again(time.Second), nil
	}
	before := s.object.DeepCopy()
	controllerutil.RemoveFinalizer(s.object, v1.Finalizer)
	if err := r.Patch(ctx, s.object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{Priority: ptr.To(0)}, err
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
func (r *Reconciler) release(ctx context.Context, s *scope, client *heroku.Client, target *v1.Target) *problem {
	// Another owner ends the drain by itself, and need not interrupt a job for that.
	if s.drainsAt(target) && !r.takenOver(ctx, s, target) {
		if p := r.leaveDrain(ctx, s, client, target); p != nil {
			return p
		}
	}
	if s.object.Spec.DeletionPolicy == v1.DeletionRetain || s.suspended() || r.takenOver(ctx, s, target) {
		return nil
	}
	s.releasing()
	return r.unlessAbandoned(s, target, r.scaleUp(ctx, s, client, target))
}

// leaveDrain ends a drain of a target that is left. A problem means: not yet.
func (r *Reconciler) leaveDrain(ctx context.Context, s *scope, client *heroku.Client, target *v1.Target) *problem {
	if client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.releasing())
	defer cancel()
	return r.unlessAbandoned(s, target, r.restart(ctx, s, client, target))
}

// leaveAll leaves all targets of a deleted object, and reports whether that is done.
func (r *Reconciler) leaveAll(ctx context.Context, s *scope) bool {
	if target := s.leaves(); target != nil && r.release(ctx, s, s.releaser(), target) != nil {
		return false
	}
	r.leaveOld(ctx, s)
	return s.leavingProblem == nil
}

// leaveOld leaves the targets that the spec names no more. The new one does not wait for that, and a job that
// comes ends it for now.
func (r *Reconciler) leaveOld(ctx context.Context, s *scope) {
	m, status := s.memory, &s.object.Status
	ctx = s.unhurried(ctx)
	s.leavingProblem = nil
	for len(status.Leaving) > 0 {
		p := r.release(ctx, s, s.releaser(), &status.Leaving[0])
		if s.elapse(); p != nil {
			s.leavingProblem = p
			return
		}
		status.Leaving = status.Leaving[1:]
		m.released()
	}
	if status.Leaving = nil; m.former != nil && m.adopter == m.client {
		r.accounts.Release(s.formerOwner())
		m.former = nil
	}
}

// released notes that a release has ended.
func (m *memory) released() { m.releasingSince, m.releaseTries = time.Time{}, 0 }

// releaser is the client that a target is left with: the one that it was adopted with.
func (s *scope) releaser() *heroku.Client {
	if former := s.memory.former; former != nil {
		return former
	}
	return s.memory.client
}

// formerSuffix makes another owner of an object's name.
const formerSuffix = "/former"

// formerOwner names the object as an owner of the client that its target was adopted with, after it has got a
// new token.
func (s *scope) formerOwner() string { return s.id() + formerSuffix }

// keepFormer keeps the client of the old token for as long as there may be a target to leave with it.
func (r *Reconciler) keepFormer(s *scope) {
	m := s.memory
	if m.client == nil || m.adopter != m.client {
		return
	}
	if former, err := r.accounts.Acquire(s.formerOwner(), m.token); err == nil {
		m.former = former
	}
}

// isRevoked reports whether Heroku does not take a token any more.
func isRevoked(err error) bool {
	known, ok := errors.AsType[*heroku.Error](err)
	return ok && known.Kind == heroku.Unauthorized
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
func (r *Reconciler) scaleUp(ctx context.Context, s *scope, client *heroku.Client, target *v1.Target) *problem {
	if client == nil {
		return &problem{reason: v1.ReasonSecretNotFound, message: "there is no Heroku token"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.releasing())
	defer cancel()
	wanted := s.activeQuantity()
	err := s.raise(ctx, client, target, wanted)
	if refused, ok := errors.AsType[*heroku.Error](err); ok && refused.Kind == heroku.AboveLimit && refused.Limit > 0 {
		err = s.raise(ctx, client, target, min(wanted, refused.Limit))
	}
	if isRevoked(err) && client != s.memory.client && s.raise(ctx, s.memory.client, target, wanted) == nil {
		return nil // the new token is of the same account
	}
	if err == nil || isGone(err) {
		return nil
	}
	return s.ofHeroku(err)
}

// raise scales a target to a quantity, unless it has as many. What cannot be read, or may yet be stopped by a PATCH
// whose answer was lost, is scaled all the same: to no fewer dynos than were known.
func (s *scope) raise(ctx context.Context, client *heroku.Client, target *v1.Target, quantity int) error {
	m := s.memory
	mine := m.target != nil && keyOf(m.target) == keyOf(target)
	quick, cancel := context.WithTimeout(ctx, releaseRead)
	defer cancel()
	formation, err := client.Formation(quick, target.AppID, target.ProcessType, heroku.ReadOptions{})
	switch {
	case err == nil && formation.Quantity >= quantity && (!mine || !m.lost.open()):
		return nil
	case err == nil:
		quantity = max(quantity, formation.Quantity)
	case isGone(err) || !mine || m.quantity == nil:
		return err
	default:
		quantity = max(quantity, *m.quantity)
	}
	_, err = client.Scale(ctx, s.scaling(target, quantity))
	return err
}

// isGone says whether there is nothing left to scale.
func isGone(err error) bool {
	known, ok := errors.AsType[*heroku.Error](err)
	return ok && (known.Kind == heroku.AppNotFound || known.Kind == heroku.ProcessTypeNotFound)
}
