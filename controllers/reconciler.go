package controllers

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/cost"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/lease"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

// Options are the operator's own settings.
type Options struct {
	// HerokuURL is where the Platform API is; empty for Heroku's own.
	HerokuURL string
	// HerokuReserve is the share of an account's rate budget, from 0 to 1, that only starts may use.
	HerokuReserve float64
	// DriftPeriod is the least time between two reads of a formation that nobody but a person changes.
	DriftPeriod time.Duration
	// WebhookAddress is where Heroku's webhooks are received; empty or 0 for nowhere. They must be
	// signed with one of the WebhookSecrets.
	WebhookAddress string
	WebhookSecrets []string
	// Health is what the probes ask; nil for none.
	Health *Health
	// Leadership is what is known of the lease; nil without leader election.
	Leadership *Leadership
	// Workers is the number of objects reconciled side by side.
	Workers int
	// Clock tells the time; nil for the real one.
	Clock clock.PassiveClock
}

// Reconciler reconciles QueueScalers.
type Reconciler struct {
	client.Client
	options    Options
	clock      clock.PassiveClock
	recorder   events.EventRecorder
	secrets    *secrets
	hubs       *lease.Registry[queue.Endpoint, *queue.Hub]
	accounts   *heroku.Accounts
	claims     *claims
	memories   *memories
	wakeups    *wakeups
	prices     *prices
	turns      *turns
	interrupts *interrupts
}

// +kubebuilder:rbac:groups=queuescaler.dev,resources=queuescalers,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=queuescaler.dev,resources=queuescalers/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=queuescaler.dev,resources=queuescalers/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager makes a Reconciler and has the manager run it.
func SetupWithManager(mgr ctrl.Manager, options Options) error {
	r := newReconciler(mgr, options)
	perAccount.accounts.Store(r.accounts)
	if err := errors.Join(indexSecrets(mgr), indexTargets(mgr), r.receiveWebhooks(mgr), options.Health.follow(mgr, r.wakeups)); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("queuescaler").
		For(&v1.QueueScaler{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, beingDeleted{}))).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.usersOfSecret)).
		WatchesRawSource(r.wakeups).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: options.Workers,
			// Due jobs are waited for by requeueing: a spell of API errors must not put them off for long.
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](5*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

func newReconciler(mgr ctrl.Manager, options Options) *Reconciler {
	r := &Reconciler{
		Client:     mgr.GetClient(),
		options:    options,
		clock:      options.Clock,
		recorder:   mgr.GetEventRecorder("queuescaler"),
		secrets:    newSecrets(mgr.GetClient(), mgr.GetAPIReader()),
		claims:     newClaims(),
		memories:   newMemories(),
		wakeups:    &wakeups{},
		accounts:   newAccounts(options),
		prices:     &prices{},
		turns:      newTurns(options.Workers),
		interrupts: newInterrupts(),
	}
	if r.clock == nil {
		r.clock = clock.RealClock{}
	}
	r.hubs = lease.NewRegistry(
		func(endpoint queue.Endpoint) (*queue.Hub, error) { return queue.NewHub(endpoint), nil },
		func(hub *queue.Hub) { _ = hub.Close() })
	return r
}

// Reconcile brings one QueueScaler's formation to where its queue wants it.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	told := r.wakeups.begin(request.NamespacedName)
	object := &v1.QueueScaler{}
	if err := r.Get(ctx, request.NamespacedName, object); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.forget(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if isDeleted(object) {
		return r.finalize(ctx, r.newScope(object))
	}
	s := r.newScope(object)
	s.takeNews(told)
	patient, end := r.interrupts.begin(ctx, s.name)
	defer end()
	s.patient = patient
	s.aim()
	r.observeQueue(ctx, s)
	r.observeFormation(ctx, s)
	s.noteWorkerStart()
	s.decide()
	if s.interrupted() {
		return s.reportLater(time.Millisecond), nil
	}
	defer r.endTurn(s)
	r.apply(ctx, s)
	r.wakeups.served(s.name)
	r.refreshURL(ctx, s)
	r.ensureFinalizer(ctx, s)
	r.leaveOld(ctx, s)
	switch {
	case s.wantsStop() && !s.hasTurn && !s.stopHeld && !s.jobsAwaitStop():
		return s.reportLater(r.next(s)), nil
	case s.woke && r.wakeups.more():
		// Others wait for workers, which a report can do without: it comes when they have theirs.
		return s.reportLater(time.Millisecond), nil
	case s.awaitsFirstLook():
		return s.reportLater(firstLookPatience), nil
	}
	return r.report(ctx, s), nil
}

// firstLookPatience is how long a first report waits for the first look at the queue, which comes any
// moment: an operator that starts must not write for each object that its queue is not known yet.
const firstLookPatience = 6 * time.Second

func (s *scope) awaitsFirstLook() bool {
	problems := s.specProblem != nil || s.formationProblem != nil || s.queueProblem != nil
	return !problems && !s.snapshot.Known() && s.now.Sub(s.memory.since) < firstLookPatience
}

// reportLater keeps what a report would have told.
func (s *scope) reportLater(wait time.Duration) ctrl.Result {
	s.memory.unwritten = s.object.Status.DeepCopy()
	return s.again(wait)
}

// again asks for another look. It has no priority: the workqueue would keep that of a wake for ever.
func (s *scope) again(wait time.Duration) ctrl.Result {
	return ctrl.Result{RequeueAfter: wait, Priority: ptr.To(0)}
}

// forget drops all that is kept for an object that is gone.
func (r *Reconciler) forget(name client.ObjectKey) {
	id := name.String()
	r.wakeups.served(name)
	if memory := r.memories.drop(name); memory != nil && memory.hub != nil {
		memory.hub.Forget(id)
	}
	r.hubs.Release(id)
	r.accounts.Release(id)
	r.accounts.Release(id + formerSuffix)
	for _, other := range r.claims.drop(name) {
		r.wakeups.enqueue(other, false)
	}
	perObject.drop(name)
}

// scope is one reconcile of one object.
type scope struct {
	object *v1.QueueScaler
	// before is the object as it was when the reconcile began.
	before *v1.QueueScaler
	name   client.ObjectKey
	memory *memory
	// now is sampled when the reconcile begins, and after each call to Heroku, which may take long: waits
	// count from the end of a call.
	now   time.Time
	clock clock.PassiveClock
	// patient ends the calls that a job need not wait for, as soon as a job comes.
	patient context.Context

	place            string // of the queues
	snapshot         queue.Snapshot
	queueProblem     *problem
	formationProblem *problem
	leavingProblem   *problem // of a target that the spec names no more
	specProblem      *problem // of the spec itself, an annotation or a schedule
	woke             bool     // dynos were started
	news             news     // of the app
	decision         scaling.Decision

	hasTurn  bool // for what is not urgent
	stopHeld bool // a stop is due and may not be made
}

func (r *Reconciler) newScope(object *v1.QueueScaler) *scope {
	name := client.ObjectKeyFromObject(object)
	memory := r.memories.get(name, object)
	switch {
	case memory.status == nil:
	case memory.version == object.ResourceVersion:
		memory.status = nil
	default:
		object.Status = *memory.status.DeepCopy() // the cache lags behind
	}
	now := r.clock.Now()
	if memory.since.IsZero() {
		memory.since = now
		memory.ledger = cost.NewLedger(totalsOf(object.Status.Savings), r.prices.perSecond)
	}
	before := object.DeepCopy()
	if memory.unwritten != nil {
		object.Status = *memory.unwritten.DeepCopy()
	}
	return &scope{
		object: object,
		before: before,
		name:   name,
		memory: memory,
		now:    now,
		clock:  r.clock,
	}
}

// elapse takes the time into account that a call took.
func (s *scope) elapse() {
	if s.clock != nil { // a test's time stands still
		s.now = s.clock.Now()
	}
}

// id is the object's name as an owner of shared resources.
func (s *scope) id() string { return s.name.String() }
