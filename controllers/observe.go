package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/secret"
)

// observeQueue makes a Hub watch the queue and takes what it knows of it. The Hub outlives the
// reconcile and tells of changes through wakeups.
func (r *Reconciler) observeQueue(ctx context.Context, s *scope) {
	if hub := s.memory.hub; hub != nil && s.leavesDrain() {
		s.takeSnapshot(hub.Snapshot(s.id())) // of the workers that were told to take no more jobs
		return
	}
	endpoint, problem := r.endpoint(ctx, s)
	if problem != nil {
		s.queueProblem = problem
		return
	}
	hub, err := r.hubs.Acquire(s.id(), endpoint)
	if err == nil {
		s.useHub(hub)
		name, spec := s.name, s.queueSpec()
		s.place = endpoint.Place(spec)
		spec.Seen = s.seen()
		err = hub.Watch(s.id(), spec, func(wake bool) {
			if r.wakeups.enqueue(name, wake); wake {
				r.interrupts.end(name)
			}
		})
	}
	if err != nil {
		s.queueProblem = &problemInternal
		return
	}
	s.takeSnapshot(hub.Snapshot(s.id()))
}

var problemInternal = problem{reason: v1.ReasonInternalError, message: "the queue cannot be watched; see the operator's log"}

// useHub leaves the Hub of the connection used before.
func (s *scope) useHub(hub *queue.Hub) {
	if old := s.memory.hub; old != nil && old != hub {
		old.Forget(s.id())
	}
	s.memory.hub = hub
}

func (s *scope) takeSnapshot(snapshot queue.Snapshot) {
	if s.object.Spec.ScheduledJobs == v1.ScheduledJobsIgnore {
		snapshot.NextDue, snapshot.DueKnownUntil = time.Time{}, time.Time{}
	}
	s.snapshot, s.queueProblem = snapshot, nil
	if snapshot.Err != nil {
		s.queueProblem = ofQueue(snapshot.Err)
	}
}

func (s *scope) queueSpec() queue.Spec {
	spec := s.object.Spec
	period := time.Duration(spec.PollPeriodSeconds) * time.Second
	wanted := queue.Spec{
		System:      queue.System(spec.Queue.Type),
		Names:       spec.Queue.Names,
		KeyPrefix:   spec.Queue.KeyPrefix,
		MayBeAbsent: spec.Queue.MayBeAbsent,
		ProcessType: s.watchedType(),
		Period:      period,
	}
	if spec.Queue.List != nil {
		wanted.ProcessingKeys = spec.Queue.List.ProcessingKeys
	}
	if stream := spec.Queue.Stream; stream != nil {
		wanted.Group = stream.Group
		wanted.ClaimIdle = time.Duration(ptr.Deref(stream.ClaimIdleSeconds, 0)) * time.Second
	}
	if celery := spec.Queue.Celery; celery != nil {
		wanted.ClaimIdle = time.Duration(ptr.Deref(celery.VisibilityTimeoutSeconds, 0)) * time.Second
		wanted.EarlyAck = celery.Acknowledgement == v1.AcknowledgementEarly
	}
	// Scheduled jobs are read whatever spec.scheduledJobs says: that one was taken is activity.
	wanted.DueHorizon = s.wakeLead() + s.idleTimeout() + 2*period
	return wanted
}

// idleSeconds is the longest of the idle timeout, the longest job that Redis does not show, and the least
// that is safe for the job system.
func (s *scope) idleSeconds() int32 {
	spec := s.object.Spec
	least := int32(queue.System(spec.Queue.Type).LeastIdle().Seconds())
	return max(spec.IdleTimeoutSeconds, ptr.Deref(spec.Queue.MaxJobSeconds, 0), least)
}

func (s *scope) idleTimeout() time.Duration { return time.Duration(s.idleSeconds()) * time.Second }

// wakeLead is how long before its time work starts the dynos.
func (s *scope) wakeLead() time.Duration {
	return time.Duration(ptr.Deref(s.object.Spec.WakeLeadSeconds, 45)) * time.Second
}

// observeFormation makes sure of a client and a target, and reads the formation if it must.
func (r *Reconciler) observeFormation(ctx context.Context, s *scope) {
	if s.formationProblem = r.account(ctx, s); s.formationProblem != nil {
		return
	}
	m := s.memory
	s.watchUnserved()
	s.decide()
	known := m.target
	if known == nil {
		r.unclaim(s)
	}
	notMine := r.adopt(ctx, s)
	if must, maxAge := r.mustRead(s); must && (notMine != nil || !s.startsFirst()) {
		r.readFormation(ctx, s, maxAge)
	}
	if known == nil || m.target == nil {
		notMine = r.adopt(ctx, s)
	}
	if s.rest(); notMine != nil {
		s.formationProblem = notMine
	}
}

// aim turns to the target that the spec names.
func (s *scope) aim() {
	s.memory.aim(s.object.Spec.Heroku.App, s.object.Spec.Heroku.ProcessType)
	s.recallTarget()
}

// recallTarget takes the target, and what was last known of its quantity, from the status: whoever was the
// operator before has found them for the same names. A renamed app keeps its UUID.
func (s *scope) recallTarget() {
	m, status := s.memory, &s.object.Status
	if m.target != nil || m.byName || status.Target == nil || !isOf(status.Target, s.object.Spec.Heroku) {
		return
	}
	m.target = status.Target.DeepCopy()
	if status.Quantity == nil { // the answer to a stop may have been lost
		m.lost = lostStop{at: s.now}
	}
	for _, told := range []*int32{status.Quantity, status.DesiredQuantity} {
		if told != nil {
			m.remembered = ptr.To(max(int(*told), ptr.Deref(m.remembered, 0)))
		}
	}
}

// isOf reports whether a target was found for what the spec names.
func isOf(target *v1.Target, spec v1.HerokuSpec) bool {
	found := target.App
	if found == "" { // told by an operator that did not say
		found = target.AppName
	}
	return target.ProcessType == spec.ProcessType && (found == spec.App || target.AppID == spec.App)
}

// startsFirst reports whether a start is due, which no read may delay. An operator that has just started
// reads once before: more dynos may run than it was told of.
func (s *scope) startsFirst() bool {
	m := s.memory
	return s.wantsStart() && s.mayStart() && !s.mayRunMore() && (m.quantity != nil || m.retries.failures > 0)
}

// mayRunMore reports whether more dynos may run than are known of, since a person has started some: more are heard,
// or the quantity should do and nothing has vouched for it for a while. An absolute PATCH would stop those dynos
// without proof, so a start reads once before. After a lost stop a read vouches for nothing.
func (s *scope) mayRunMore() bool {
	m := s.memory
	if m.quantity == nil || m.lost.open() {
		return false
	}
	desired := s.decision.Desired
	unconfirmed := !m.uncertain && !m.confirmed && desired != nil && *desired <= *m.quantity
	return unconfirmed || s.dynosHeard() > *m.quantity
}

// dynosHeard counts the dynos of which a process was heard after Heroku last told the quantity. What a stop of the
// operator's own left behind does not count: it may be heard until Heroku's SIGKILL, 30 s later.
func (s *scope) dynosHeard() int {
	told := s.memory.readAt
	if stopped := s.memory.vouchedUntil; stopped.After(told) {
		told = stopped
	}
	heard := map[string]bool{}
	for _, process := range s.snapshot.Processes {
		if process.Dyno != "" && s.snapshot.HeardAfter(process, told) {
			heard[process.Dyno] = true
		}
	}
	return len(heard)
}

// awaited reports whether jobs wait for dynos, or dynos must run, whatever else keeps the decision open.
func (s *scope) awaited() bool { return s.decision.Reason.Active() || s.jobsWait() }

// rest keeps the last problem for as long as nothing is tried because of it, or nothing is known.
func (s *scope) rest() {
	m := s.memory
	if s.formationProblem == nil && (m.quantity == nil || s.now.Before(m.retries.restAt)) {
		s.formationProblem = m.retries.last
	}
}

// account takes the client of the API token.
func (r *Reconciler) account(ctx context.Context, s *scope) *problem {
	token, p := r.secrets.value(ctx, s.name.Namespace, s.object.Spec.Heroku.APIKeySecretRef, "spec.heroku.apiKeySecretRef")
	if p != nil {
		return p
	}
	m := s.memory
	if m.token != secret.Text(token) {
		r.keepFormer(s)
	}
	client, err := r.accounts.Acquire(s.id(), secret.Text(token))
	if err != nil {
		return &problem{reason: v1.ReasonInternalError, message: "no client for Heroku; see the operator's log"}
	}
	if m.token = secret.Text(token); m.client != client { // a new token is tried at once
		m.client, m.retries, m.nextDrift = client, retries{}, time.Time{}
	}
	return nil
}

// readAccount reads what no start has to wait for: whose account the token is of, and what dynos cost. Where
// other calls fail it would only hold up the next try.
func (r *Reconciler) readAccount(ctx context.Context, s *scope) {
	ctx = s.unhurried(ctx)
	if client := s.memory.client; client != nil && s.formationProblem == nil {
		client.Identify(ctx)
		r.prices.refresh(ctx, client, s.now)
	}
}

// blindPatience is how long work may wait without a fresh heartbeat before the formation is read.
const blindPatience = time.Minute

// watchUnserved notes since when work waits and no worker is heard, where workers can be heard.
func (s *scope) watchUnserved() {
	m := s.memory
	running := m.quantity != nil && *m.quantity > 0
	switch {
	case !running:
		m.standstill = standstill{}
	case s.queueProblem == nil && s.snapshot.Known():
		m.standstill = m.standstill.after(s.now, s.snapshot.Depth)
	}
	unserved := running && s.queueProblem == nil && s.snapshot.Heartbeats && s.snapshot.Depth > 0 && s.snapshot.Live() == 0
	m.unservedSince, m.crashed = since(m.unservedSince, s.now, unserved), m.crashed && unserved
}

func (s *scope) unservedForLong() bool {
	since := s.memory.unservedSince
	return !since.IsZero() && s.now.Sub(since) >= blindPatience
}

// mustRead says whether the formation has to be read now: it is not known, work waits and no worker
// is heard, or somebody else may have changed it since. An answer that came to another object of the
// app does, if it is not older than maxAge.
func (r *Reconciler) mustRead(s *scope) (must bool, maxAge time.Duration) {
	m := s.memory
	switch {
	case m.quantity == nil && s.awaited():
		return !s.now.Before(m.retries.lookAt), adoptionAge
	case m.quantity == nil:
		return !s.now.Before(m.retries.restAt), adoptionAge
	case s.wantsStart() && s.mayStart() && s.mayRunMore():
		return true, 0
	case s.now.Before(m.retries.restAt):
		return false, 0
	case m.uncertain || m.retries.failures > 0:
		return true, 0
	case s.outdated():
		return true, s.now.Sub(s.news.at)
	case m.lost.overdue(s.now) || m.standstill.overdue(s.now, m.readAt):
		return true, 0
	case s.unservedForLong() && (s.now.Sub(m.readAt) >= blindPatience || m.readAt.Before(m.unservedSince.Add(blindPatience))):
		return true, 0
	}
	return !s.now.Before(m.nextDrift), r.options.DriftPeriod / 2
}

// adoptionAge is how old an answer may be that tells of a target for the first time.
const adoptionAge = 5 * time.Second

const (
	// quickRead bounds a read that a start waits for although it could do without the answer.
	quickRead = 2 * time.Second
	// leastRead is how long a read may take at least while starts pause.
	leastRead = time.Second
	// usualRead bounds all other reads.
	usualRead = 15 * time.Second
)

// readContext bounds a read by what waits for it.
func (s *scope) readContext(ctx context.Context) (context.Context, context.CancelFunc) {
	m, bound := s.memory, usualRead
	switch {
	case !s.awaited():
		ctx = s.unhurried(ctx)
	case m.target == nil: // nothing can be started without the answer
	case m.quantity == nil:
		bound = quickRead
	case s.wantsStart():
		bound = min(bound, max(leastRead, m.retries.wakeAt.Sub(s.now)))
	}
	return context.WithTimeout(ctx, bound)
}

// readPriority is a wake's where a start needs the answer.
func (s *scope) readPriority() heroku.Priority {
	m := s.memory
	switch {
	case s.awaited() && (m.quantity == nil || (s.wantsStart() && s.mayRunMore()) || s.outdated() || s.unservedForLong() || m.lost.open() || m.standstill.overdue(s.now, m.readAt)),
		s.jobsAwaitStop():
		return heroku.Wake
	case m.uncertain:
		return heroku.Sleep // a stop does
	}
	return heroku.Drift
}

func (r *Reconciler) readFormation(ctx context.Context, s *scope, maxAge time.Duration) {
	m, spec := s.memory, s.object.Spec.Heroku
	app := spec.App
	if m.target != nil {
		app = m.target.AppID // a renamed app keeps its id
	}
	bounded, cancel := s.readContext(ctx)
	defer cancel()
	formation, err := m.client.Formation(bounded, app, spec.ProcessType, heroku.ReadOptions{Priority: s.readPriority(), MaxAge: maxAge})
	if s.elapse(); err != nil {
		s.readFailed(err)
		return
	}
	m.retries.read()
	r.planDrift(s)
	m.target = &v1.Target{App: spec.App, AppID: formation.AppID, AppName: formation.AppName, ProcessType: formation.ProcessType}
	r.noteDrift(s, formation)
	m.read(formation, s.now)
	m.adopter = m.client
	s.noteStopped()
	if s.unservedForLong() {
		s.lookForCrashes(ctx)
	}
}

// planDrift plans the next read of the formation in search of changes made by others. The jitter only
// makes it later: all together must not spend more than their share of the rate budget.
func (r *Reconciler) planDrift(s *scope) {
	period := s.memory.client.DriftPeriod(r.options.DriftPeriod)
	s.memory.nextDrift = s.now.Add(period + rand.N(period/5+1))
}

// lookForCrashes asks Heroku whether dynos crash, when nothing is heard of them.
func (s *scope) lookForCrashes(ctx context.Context) {
	dynos, err := s.memory.client.Dynos(ctx, s.memory.target.AppID, s.memory.target.ProcessType, heroku.Drift)
	if err != nil {
		return // the formation itself was just read; this only refines a message
	}
	s.memory.crashed = false
	for _, dyno := range dynos {
		s.memory.crashed = s.memory.crashed || dyno.State == "crashed"
	}
}

// readFailed takes in that the formation could not be read. A read that was ended for a job, or that waits
// for a better time although all is known, is no problem.
func (s *scope) readFailed(err error) {
	m, p := s.memory, s.ofHeroku(err)
	switch {
	case s.interrupted():
	case p.held && m.quantity != nil && !m.uncertain:
		m.nextDrift = s.now.Add(p.retryAfter)
	default:
		s.failed(err)
		if isGone(err) {
			m.gone()
		}
	}
}

// failed takes in an error of a call that was not a start.
func (s *scope) failed(err error) {
	s.formationProblem = s.ofHeroku(err)
	s.memory.retries.failed(s.formationProblem, s.now)
}

// adopt takes the target over, if there is one: from whoever had it, and from the target this object had
// before.
func (r *Reconciler) adopt(ctx context.Context, s *scope) *problem {
	target := s.memory.target
	if target == nil {
		return nil
	}
	if old := s.object.Status.Target; old != nil && keyOf(old) != keyOf(target) {
		if p := r.replace(ctx, s, old); p != nil {
			return p
		}
	}
	owner, displaced := r.claim(ctx, s, target)
	for _, other := range displaced {
		r.wakeups.enqueue(other, false)
	}
	if owner != s.name {
		s.endDrain() // a drain goes along with the target
		return conflict(target, owner)
	}
	return nil
}

// replace turns from an old target to the new one, which does not wait for the old one to be left. Only the end
// of a drain is awaited: its workers are watched until then.
func (r *Reconciler) replace(ctx context.Context, s *scope, old *v1.Target) *problem {
	status := &s.object.Status
	if s.draining() {
		if p := r.release(ctx, s, s.releaser(), old); p != nil {
			return p
		}
		s.memory.released()
	} else {
		status.Leaving = append(status.Leaving, *old)
	}
	target := keyOf(s.memory.target)
	status.Leaving = slices.DeleteFunc(status.Leaving, func(left v1.Target) bool { return keyOf(&left) == target })
	status.Target, status.WorkerStartSeconds = nil, nil
	return nil
}

func conflict(target *v1.Target, owner types.NamespacedName) *problem {
	return &problem{reason: v1.ReasonTargetConflict, class: settled, message: fmt.Sprintf(
		"process type %q of app %q belongs to QueueScaler %s, which is older: delete one of the two",
		target.ProcessType, target.AppName, owner)}
}
