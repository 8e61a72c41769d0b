package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// QueueScalerStatus is what was last observed and done.
type QueueScalerStatus struct {
	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// target is the process type in force, as Heroku names it.
	// +optional
	Target *Target `json:"target,omitempty"`

	// leaving are process types that spec.heroku names no more, and that have yet to be left by
	// spec.deletionPolicy.
	// +listType=atomic
	// +optional
	Leaving []Target `json:"leaving,omitempty"`

	// desiredQuantity is the quantity the operator wants now. Absent while it does not know.
	// +optional
	DesiredQuantity *int32 `json:"desiredQuantity,omitempty"`

	// quantity is what Heroku last answered. Absent while it is not known.
	// +optional
	Quantity *int32 `json:"quantity,omitempty"`

	// quantityObservedTime is when Heroku gave that answer.
	// +optional
	QuantityObservedTime *metav1.Time `json:"quantityObservedTime,omitempty"`

	// quantityLimit is the most that Heroku allowed when it refused a larger quantity.
	// +optional
	QuantityLimit *int32 `json:"quantityLimit,omitempty"`

	// effectiveIdleTimeoutSeconds is how long the queue must be idle before the dynos are stopped: the
	// longest of spec.idleTimeoutSeconds, spec.queue.maxJobSeconds and, for RQ, Celery and Resque, 5 s.
	// +optional
	EffectiveIdleTimeoutSeconds int32 `json:"effectiveIdleTimeoutSeconds,omitempty"`

	// queue is what the queue looked like, written at transitions and else at most once a minute.
	// +optional
	Queue *QueueStatus `json:"queue,omitempty"`

	// knownQueues are the queues that were seen in Redis. One that was seen and is gone is empty.
	// +optional
	KnownQueues *KnownQueues `json:"knownQueues,omitempty"`

	// idleStartTime is when the queue was first seen idle, without a gap since. Absent while active
	// or not known.
	// +optional
	IdleStartTime *metav1.Time `json:"idleStartTime,omitempty"`

	// drainStartTime is when the operator began to tell the worker processes to take no more jobs, or found
	// that they take none. It stays until the dynos have been stopped, unless no worker process turns
	// out to be quiet.
	// +optional
	DrainStartTime *metav1.Time `json:"drainStartTime,omitempty"`

	// workerStartSeconds is the time from the last start of the dynos to the first heartbeat of a new
	// worker process. spec.wakeLeadSeconds should be this and 15 s more.
	// +optional
	WorkerStartSeconds *int32 `json:"workerStartSeconds,omitempty"`

	// lastWakeTime is when the dynos were last started because of work.
	// +optional
	LastWakeTime *metav1.Time `json:"lastWakeTime,omitempty"`

	// lastScaleTime is when the quantity was last changed by the operator.
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// savings are what the dynos used, and what was saved by having none, since this resource exists.
	// +optional
	Savings *Savings `json:"savings,omitempty"`

	// conditions: Ready, QueueReachable, FormationSynced, Active, WorkersHealthy; Reconciling and
	// Stalled only when true.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Target is a process type of an app.
type Target struct {
	// appID is the app's UUID.
	// +required
	AppID string `json:"appID"`

	// app is spec.heroku.app as it was when the app was found by it.
	// +optional
	App string `json:"app,omitempty"`

	// appName is the app's name when it was last read.
	// +required
	AppName string `json:"appName"`

	// processType is the process type.
	// +required
	ProcessType string `json:"processType"`
}

// QueueStatus is what a queue looked like.
type QueueStatus struct {
	// depth is the number of jobs waiting.
	// +required
	Depth int64 `json:"depth"`

	// inFlight is the number of jobs taken and not finished, as far as Redis shows them.
	// +required
	InFlight int64 `json:"inFlight"`

	// orphans is the number of jobs taken by workers that died. Only running workers recover them.
	// +optional
	Orphans int64 `json:"orphans,omitempty"`

	// nextDueTime is when the next scheduled or retried job is due.
	// +optional
	NextDueTime *metav1.Time `json:"nextDueTime,omitempty"`

	// observedTime is when the queue looked like this.
	// +required
	ObservedTime metav1.Time `json:"observedTime"`
}

// KnownQueues are queues that were seen, so that an operator that starts anew need not see them again.
type KnownQueues struct {
	// place is a digest of the job system, the key prefix, and the address and database of Redis.
	// Elsewhere nothing is known of the queues.
	// +required
	Place string `json:"place"`

	// names are those of spec.queue.names that were seen there; * where none are named, and with the
	// group of a Stream.
	// +listType=set
	// +required
	Names []string `json:"names"`
}

// Condition types. Ready, QueueReachable, FormationSynced and WorkersHealthy are good when True;
// Active is neither good nor bad; Reconciling and Stalled are bad, and absent otherwise, as kstatus
// wants them.
const (
	// ConditionReady: the queue and the formation are known and agree with the spec.
	ConditionReady = "Ready"
	// ConditionQueueReachable: the queue can be read, and what it holds is understood.
	ConditionQueueReachable = "QueueReachable"
	// ConditionFormationSynced: the formation has the desired quantity.
	ConditionFormationSynced = "FormationSynced"
	// ConditionActive: there is work, or there was until less than the idle timeout ago.
	ConditionActive = "Active"
	// ConditionWorkersHealthy: nothing says that the workers fail to take the jobs that wait, or that they
	// are at work without being heard.
	ConditionWorkersHealthy = "WorkersHealthy"
	// ConditionReconciling: the operator is retrying; no help is needed yet.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: somebody must change something.
	ConditionStalled = "Stalled"
)

// Reasons of conditions and events.
const (
	ReasonReady             = "Ready"
	ReasonSuspended         = "Suspended"
	ReasonAnnotationInvalid = "AnnotationInvalid"
	ReasonWebNotAllowed     = "WebNotAllowed" // and of Active

	// Of Active.
	ReasonWakeRequested     = "WakeRequested"
	ReasonJobsWaiting       = "JobsWaiting"
	ReasonJobsInFlight      = "JobsInFlight"
	ReasonJobDue            = "JobDue"
	ReasonJobDueSoon        = "JobDueSoon"
	ReasonIdleTimeout       = "IdleTimeout"
	ReasonAwaitingHeartbeat = "AwaitingHeartbeat"
	ReasonWindowOpen        = "WindowOpen"
	ReasonWindowOpensSoon   = "WindowOpensSoon"
	ReasonScheduleInvalid   = "ScheduleInvalid" // and of Ready
	ReasonDraining          = "Draining"
	ReasonDrainTimedOut     = "DrainTimedOut"
	ReasonDrainRefused      = "DrainRefused"     // and of Ready
	ReasonWorkersElsewhere  = "WorkersElsewhere" // and of WorkersHealthy
	ReasonJobsUnseen        = "JobsUnseen"       // and of WorkersHealthy
	ReasonDueUnknown        = "DueUnknown"
	ReasonIdle              = "Idle"
	ReasonUnknown           = "Unknown"

	// Of QueueReachable.
	ReasonQueueRead           = "QueueRead"
	ReasonRedisUnreachable    = "RedisUnreachable"
	ReasonRedisUnauthorized   = "RedisUnauthorized"
	ReasonRedisURLInvalid     = "RedisURLInvalid"
	ReasonRedisTLSFailed      = "RedisTLSFailed"
	ReasonRedisKeyWrongType   = "RedisKeyWrongType"
	ReasonQueueDataUnreadable = "QueueDataUnreadable"
	ReasonQueueNotFound       = "QueueNotFound" // and of Active
	ReasonSecretNotFound      = "SecretNotFound"
	ReasonSecretKeyMissing    = "SecretKeyMissing"

	// Of FormationSynced.
	ReasonSynced              = "Synced"
	ReasonScaling             = "Scaling"
	ReasonSurplus             = "Surplus"
	ReasonQuantityLimited     = "QuantityLimited"
	ReasonAppNotFound         = "AppNotFound"
	ReasonProcessTypeNotFound = "ProcessTypeNotFound"
	ReasonHerokuUnauthorized  = "HerokuUnauthorized"
	ReasonHerokuForbidden     = "HerokuForbidden"
	ReasonHerokuRefused       = "HerokuRefused"
	ReasonHerokuUnavailable   = "HerokuUnavailable"
	ReasonRateLimited         = "RateLimited"
	ReasonTargetConflict      = "TargetConflict"

	// Of WorkersHealthy.
	ReasonWorkersHeard         = "WorkersHeard"
	ReasonWorkersOff           = "WorkersOff"
	ReasonWorkersNotHeard      = "WorkersNotHeard"
	ReasonWorkersNotObservable = "WorkersNotObservable"
	ReasonWorkersSilent        = "WorkersSilent" // and of Active
	ReasonWorkersQuiet         = "WorkersQuiet"
	ReasonWorkersCrashing      = "WorkersCrashing"
	ReasonQueueNotServed       = "QueueNotServed"
	ReasonOrphansAbandoned     = "OrphansAbandoned"

	// Of events and of what should not happen.
	ReasonWoken            = "Woken"
	ReasonStopped          = "Stopped"
	ReasonDrift            = "Drift"
	ReasonContested        = "Contested"
	ReasonConfigVarMissing = "ConfigVarMissing"
	ReasonReleaseAbandoned = "ReleaseAbandoned"
	ReasonInternalError    = "InternalError"
)

// Annotations that override the spec for a time, so that GitOps does not revert them. Their value is
// a time in RFC 3339, such as 2030-01-31T18:00:00Z.
const (
	// AnnotationSuspendUntil suspends scaling until then.
	AnnotationSuspendUntil = "queuescaler.dev/suspend-until"
	// AnnotationWakeUntil keeps activeQuantity dynos running until then.
	AnnotationWakeUntil = "queuescaler.dev/wake-until"
	// AnnotationIgnoreSilentUntil lets workers that nobody hears hold up no stop until then.
	AnnotationIgnoreSilentUntil = "queuescaler.dev/ignore-silent-until"
)

// Finalizer lets the deletion policy be carried out.
const Finalizer = "queuescaler.dev/formation"

// Savings are what the dynos of a process type used and saved. Saved means against running
// spec.activeQuantity dynos all the time. Amounts are decimal numbers.
type Savings struct {
	// summary says it in one line.
	// +optional
	Summary string `json:"summary,omitempty"`

	// since is when the reckoning began.
	Since metav1.Time `json:"since"`

	// observedTime is until when it goes.
	ObservedTime metav1.Time `json:"observedTime"`

	// dynoSize is the size of all dynos, or "several sizes".
	// +optional
	DynoSize string `json:"dynoSize,omitempty"`

	// usedDynoSeconds are the dyno-seconds that ran.
	UsedDynoSeconds string `json:"usedDynoSeconds"`

	// savedDynoSeconds are the dyno-seconds that did not; below zero if more dynos ran than
	// spec.activeQuantity.
	SavedDynoSeconds string `json:"savedDynoSeconds"`

	// usedDollars are what those that ran cost, in US dollars at Heroku's list prices.
	UsedDollars string `json:"usedDollars"`

	// savedDollars are what those that did not would have cost.
	SavedDollars string `json:"savedDollars"`

	// unpricedDynoSeconds are dyno-seconds, used and saved, of sizes whose price is not known.
	// +optional
	UnpricedDynoSeconds string `json:"unpricedDynoSeconds,omitempty"`

	// unknownSeconds are the seconds in which the quantity was not known. They count for nothing.
	// +optional
	UnknownSeconds string `json:"unknownSeconds,omitempty"`
}
