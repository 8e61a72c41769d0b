package v1

// QueueType is a job system whose data in Redis is understood.
//
// +kubebuilder:validation:Enum=Sidekiq;List;SortedSet;Stream;BullMQ;Bull;Asynq;RQ;Celery;Resque
type QueueType string

const (
	// QueueSidekiq is Sidekiq 6, 7 or 8.
	QueueSidekiq QueueType = "Sidekiq"
	// QueueList is a plain Redis list that workers pop from.
	QueueList QueueType = "List"
	// QueueSortedSet is a plain sorted set of jobs, by the time from when on workers may take them.
	QueueSortedSet QueueType = "SortedSet"
	// QueueStream is a stream that the workers of one consumer group read.
	QueueStream QueueType = "Stream"
	// QueueBullMQ is BullMQ 5 or 6.
	QueueBullMQ QueueType = "BullMQ"
	// QueueBull is Bull 4, or 3.
	QueueBull QueueType = "Bull"
	// QueueAsynq is Asynq.
	QueueAsynq QueueType = "Asynq"
	// QueueRQ is RQ 1 or 2.
	QueueRQ QueueType = "RQ"
	// QueueCelery is Celery 5 with Redis as its broker.
	QueueCelery QueueType = "Celery"
	// QueueResque is Resque 2 or 3, with or without resque-scheduler.
	QueueResque QueueType = "Resque"
)

// QueueSpec names queues of one job system.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'Sidekiq' || (has(self.names) && size(self.names) > 0)",message="names is needed for every type but Sidekiq: name all queues that the process type works on; for List, SortedSet and Stream, their keys",fieldPath=".names"
// +kubebuilder:validation:XValidation:rule="self.type != 'List' || has(self.list) != has(self.maxJobSeconds)",message="type List needs exactly one of list.processingKeys and maxJobSeconds, since Redis does not show which jobs run: name the lists that workers move jobs to, or the longest time a job takes"
// +kubebuilder:validation:XValidation:rule="self.type == 'List' || !has(self.list)",message="list belongs to type List: remove it",fieldPath=".list"
// +kubebuilder:validation:XValidation:rule="self.type != 'SortedSet' || has(self.maxJobSeconds)",message="type SortedSet needs maxJobSeconds, since Redis does not show which jobs run: set it to the longest time a job takes",fieldPath=".maxJobSeconds"
// +kubebuilder:validation:XValidation:rule="self.type in ['List', 'SortedSet', 'Celery'] || !has(self.maxJobSeconds)",message="maxJobSeconds belongs to types List, SortedSet and Celery, since Redis shows the running jobs of the others: remove it",fieldPath=".maxJobSeconds"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Celery') == has(self.celery)",message="type Celery, and no other, needs celery: set celery.acknowledgement to Late if all tasks have acks_late, else to Early, or remove celery",fieldPath=".celery"
// +kubebuilder:validation:XValidation:rule="!has(self.celery) || (self.celery.acknowledgement == 'Early') == has(self.maxJobSeconds)",message="acknowledgement Early, and no other, needs maxJobSeconds, since Redis does not show tasks that were acknowledged before they ran: set it to the longest time a task takes, or with Late remove it",fieldPath=".maxJobSeconds"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Stream') == has(self.stream)",message="type Stream, and no other, needs stream: set stream.group to the consumer group of the workers, or remove stream",fieldPath=".stream"
// +kubebuilder:validation:XValidation:rule="!(self.type in ['Asynq', 'RQ']) || !has(self.keyPrefix) || size(self.keyPrefix) == 0",message="the keys of Asynq and RQ have no prefix but their own: remove keyPrefix",fieldPath=".keyPrefix"
type QueueSpec struct {
	// type is the job system.
	// +required
	Type QueueType `json:"type"`

	// names of the queues, without prefix; for List, SortedSet and Stream the keys. Empty means all
	// queues, which only Sidekiq can list. Name all queues that the process type works on: a job in one
	// that is not named wakes nobody.
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +optional
	Names []string `json:"names,omitempty"`

	// keyPrefix goes in front of every key, literally: "shop:" for redis-namespace "shop". The default
	// is "bull:" for BullMQ and Bull, whose own setting has no colon, "resque:" for Resque, and nothing
	// for the others. For Celery it is global_keyprefix.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	KeyPrefix string `json:"keyPrefix,omitempty"`

	// maxJobSeconds is the longest time a job takes, for queues whose running jobs Redis does not
	// show: the dynos are kept this long after the last activity, if it is longer than the idle timeout.
	// status.effectiveIdleTimeoutSeconds is the longer of the two.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	// +optional
	MaxJobSeconds *int32 `json:"maxJobSeconds,omitempty"`

	// mayBeAbsent says that a queue of which Redis shows nothing is empty. Without it such a queue is
	// not known: workers are started for jobs that wait, and none is stopped, until the job system lists
	// the queue, or something of it was seen in Redis once. Set it where queues are there only while they
	// hold jobs, as those of List and SortedSet are, and their names are certain.
	// +optional
	MayBeAbsent bool `json:"mayBeAbsent,omitempty"`

	// list has what only type List needs.
	// +optional
	List *ListQueue `json:"list,omitempty"`

	// stream has what only type Stream needs.
	// +optional
	Stream *StreamQueue `json:"stream,omitempty"`

	// celery has what only type Celery needs.
	// +optional
	Celery *CeleryQueue `json:"celery,omitempty"`
}

// ListQueue is for plain Redis lists.
type ListQueue struct {
	// processingKeys are the lists to which workers move the jobs they take (LMOVE, BLMOVE,
	// RPOPLPUSH) and from which they remove them when done.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +required
	ProcessingKeys []string `json:"processingKeys"`
}

// StreamQueue is for streams.
type StreamQueue struct {
	// group is the consumer group of the workers.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	Group string `json:"group"`

	// claimIdleSeconds is how long an entry has been taken and not acknowledged when the workers claim
	// it from whoever took it: the min-idle-time of their XAUTOCLAIM, longer than any job. From then on
	// the entry counts as left by a worker that died. Without it every entry that is not acknowledged
	// counts as a running job, and keeps the dynos up.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	// +optional
	ClaimIdleSeconds *int32 `json:"claimIdleSeconds,omitempty"`
}

// CeleryAcknowledgement is when Celery's workers acknowledge a task.
//
// +kubebuilder:validation:Enum=Early;Late
type CeleryAcknowledgement string

const (
	// AcknowledgementEarly is before the task runs, Celery's default: Redis does not show running tasks.
	AcknowledgementEarly CeleryAcknowledgement = "Early"
	// AcknowledgementLate is after the task ran.
	AcknowledgementLate CeleryAcknowledgement = "Late"
)

// CeleryQueue is for Celery.
type CeleryQueue struct {
	// acknowledgement is Late if all tasks of these queues have acks_late (task_acks_late = True), and
	// Early if some have not: of those Redis does not show which run.
	// +required
	Acknowledgement CeleryAcknowledgement `json:"acknowledgement"`

	// visibilityTimeoutSeconds is visibility_timeout of Celery's broker_transport_options, 3600 if that
	// is not set, and longer than any task. From then on a task that was taken and not acknowledged
	// counts as left by a worker that died. Without it every such task counts as a running one, and
	// keeps the dynos up.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	// +optional
	VisibilityTimeoutSeconds *int32 `json:"visibilityTimeoutSeconds,omitempty"`
}
