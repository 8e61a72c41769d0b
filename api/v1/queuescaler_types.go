package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// QueueScaler turns the dynos of one Heroku process type off while a job queue in Redis is idle,
// and on again when there is work.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=queuescalers,shortName=qs,categories=autoscaling;heroku
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.spec.heroku.app`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.heroku.processType`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredQuantity`
// +kubebuilder:printcolumn:name="Quantity",type=integer,JSONPath=`.status.quantity`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Active")].message`
type QueueScaler struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +required
	Spec QueueScalerSpec `json:"spec"`

	// status is what was last observed and done.
	// +optional
	Status QueueScalerStatus `json:"status,omitzero"`
}

// QueueScalerList is a list of QueueScalers.
//
// +kubebuilder:object:root=true
type QueueScalerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []QueueScaler `json:"items"`
}

// QueueScalerSpec is what a user asks for.
//
// +kubebuilder:validation:XValidation:rule="!has(self.drain) || self.drain.mode != 'Quiet' || self.queue.type == 'Sidekiq'",message="mode Quiet is for queues of type Sidekiq, whose processes can be told to take no more jobs: set it to None",fieldPath=".drain.mode"
type QueueScalerSpec struct {
	// redis is the server that holds the queue.
	// +required
	Redis RedisSpec `json:"redis"`

	// queue names the queue, or the queues, whose jobs the process type works on.
	// +required
	Queue QueueSpec `json:"queue"`

	// heroku is the process type to scale.
	// +required
	Heroku HerokuSpec `json:"heroku"`

	// activeQuantity is the number of dynos to run while the queue is active. More dynos than this
	// are left alone until the queue next falls idle, since stopping one could interrupt a job.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=255
	// +optional
	ActiveQuantity int32 `json:"activeQuantity,omitempty"`

	// idleTimeoutSeconds is how long the queue must be idle (nothing waiting, nothing in flight,
	// nothing due) before the dynos are stopped.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	// +optional
	IdleTimeoutSeconds int32 `json:"idleTimeoutSeconds,omitempty"`

	// pollPeriodSeconds is how often the queue is read, whatever happens. Where Redis pushes its
	// changes (6.0 and later, if the user may use CLIENT TRACKING) a wake-up does not wait for this.
	// +kubebuilder:default=15
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	// +optional
	PollPeriodSeconds int32 `json:"pollPeriodSeconds,omitempty"`

	// scheduledJobs says whether a scheduled or retried job wakes the dynos shortly before it is due
	// (Wake) or only once something else put it into the queue (Ignore).
	// +kubebuilder:default=Wake
	// +optional
	ScheduledJobs ScheduledJobsPolicy `json:"scheduledJobs,omitempty"`

	// wakeLeadSeconds is how long before a scheduled or retried job is due, or a window of schedules
	// opens, the dynos are started: the time of a boot, and the 10 to 15 s until a new Sidekiq process
	// first looks at its schedule. status.workerStartSeconds shows what a boot takes.
	// +kubebuilder:default=45
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +optional
	WakeLeadSeconds *int32 `json:"wakeLeadSeconds,omitempty"`

	// schedules are windows of time in which the dynos run whatever the queue holds: for office hours,
	// and for jobs that only a running process enqueues (sidekiq-cron, periodic jobs).
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Schedules []Schedule `json:"schedules,omitempty"`

	// drain says what comes before the dynos are stopped.
	// +kubebuilder:default={}
	// +optional
	Drain DrainSpec `json:"drain,omitzero"`

	// driftPolicy says what becomes of a quantity that somebody else has set (a person, another program):
	// Enforce makes up for dynos that are missing, and stops those that are too many when the queue is
	// idle; Report tells of it and leaves the quantity alone until the queue next falls idle or becomes
	// active.
	// +kubebuilder:default=Enforce
	// +optional
	DriftPolicy DriftPolicy `json:"driftPolicy,omitempty"`

	// deletionPolicy says what becomes of the process type when this resource is deleted or names
	// another target: ScaleUp leaves it with at least activeQuantity dynos, so that no job is left
	// waiting; Retain leaves it as it is.
	// +kubebuilder:default=ScaleUp
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// suspend stops all scaling by this resource: the quantity is held whatever the queue does.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// RedisMode is how Redis servers belong together.
//
// +kubebuilder:validation:Enum=Standalone;Cluster;Sentinel
type RedisMode string

const (
	// RedisStandalone is one server, or an address behind which one stands at a time.
	RedisStandalone RedisMode = "Standalone"
	// RedisCluster are masters that share the keys (cluster-enabled).
	RedisCluster RedisMode = "Cluster"
	// RedisSentinel is a primary that sentinels know of.
	RedisSentinel RedisMode = "Sentinel"
)

// RedisSpec says how to reach a Redis or Valkey server.
//
// +kubebuilder:validation:XValidation:rule="self.mode != 'Sentinel' || has(self.sentinel)",message="mode Sentinel needs sentinel.masterName: the name by which the sentinels know the primary",fieldPath=".sentinel"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Sentinel' || !has(self.sentinel)",message="sentinel belongs to mode Sentinel: remove it, or set mode to Sentinel",fieldPath=".sentinel"
type RedisSpec struct {
	// mode: Standalone is one server, Cluster are several that share the keys (cluster-enabled),
	// Sentinel is a primary that sentinels know of.
	// +kubebuilder:default=Standalone
	// +optional
	Mode RedisMode `json:"mode,omitempty"`

	// urlFrom says where the URL comes from: redis://, or rediss:// for TLS, with user, password and
	// database number as usual: rediss://user:password@host:6380/0. In mode Cluster the URL names one
	// or more nodes, in mode Sentinel the sentinels: redis://user:password@host1:26379,host2:26379/0.
	// User and password are always those of the Redis servers.
	// +required
	URLFrom RedisURLSource `json:"urlFrom"`

	// sentinel has what only mode Sentinel needs.
	// +optional
	Sentinel *RedisSentinels `json:"sentinel,omitempty"`

	// tls says how the server's certificate is verified. It matters for rediss:// only.
	// +kubebuilder:default={}
	// +optional
	TLS RedisTLS `json:"tls,omitzero"`
}

// RedisSentinels says what to ask the sentinels, and how.
type RedisSentinels struct {
	// masterName is the name by which the sentinels know the primary, as in SENTINEL MONITOR.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	MasterName string `json:"masterName"`

	// passwordSecretRef names a Secret's key with the sentinels' own password, where they ask for one.
	// +optional
	PasswordSecretRef *SecretKeyRef `json:"passwordSecretRef,omitempty"`
}

// RedisURLSource is where a Redis URL comes from: exactly one field is set.
//
// +kubebuilder:validation:XValidation:rule="has(self.secretKeyRef) != has(self.herokuConfigVar)",message="set exactly one of secretKeyRef (the Secret, and the key in it, that holds the Redis URL) and herokuConfigVar (the app's config var that holds it)"
type RedisURLSource struct {
	// secretKeyRef names a key of a Secret in this resource's namespace.
	// +optional
	SecretKeyRef *SecretKeyRef `json:"secretKeyRef,omitempty"`

	// herokuConfigVar names a config var of the app of spec.heroku. It is read through Heroku's API,
	// and again when Heroku has rotated it. The token of spec.heroku.apiKeySecretRef needs the scope
	// read-protected, write-protected or global for this.
	// +optional
	HerokuConfigVar *HerokuConfigVar `json:"herokuConfigVar,omitempty"`
}

// HerokuConfigVar names a config var of a Heroku app.
type HerokuConfigVar struct {
	// name of the config var, such as REDIS_URL.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",message="must be the name of a config var, such as REDIS_URL: letters, digits and '_'"
	// +required
	Name string `json:"name"`
}

// SecretKeyRef names one key of a Secret in the namespace of the resource.
type SecretKeyRef struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.'"
	// +required
	Name string `json:"name"`

	// key in the Secret's data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, '-', '_' and '.'"
	// +required
	Key string `json:"key"`
}

// SecretRef names a Secret in the namespace of the resource.
type SecretRef struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.'"
	// +required
	Name string `json:"name"`
}

// TLSVerification is how much of a server's certificate is verified.
//
// +kubebuilder:validation:Enum=Full;CAOnly;None
type TLSVerification string

const (
	// VerifyFull verifies the chain and the host name.
	VerifyFull TLSVerification = "Full"
	// VerifyCAOnly verifies the chain and accepts any host name.
	VerifyCAOnly TLSVerification = "CAOnly"
	// VerifyNone accepts any certificate, such as the self-signed ones of Heroku Key-Value Store.
	VerifyNone TLSVerification = "None"
)

// RedisTLS says how a Redis server's certificate is verified, and which one it is shown.
//
// +kubebuilder:validation:XValidation:rule="!has(self.caSecretRef) || self.verification != 'None'",message="caSecretRef has no effect with verification None: remove it, or set verification to Full or CAOnly"
type RedisTLS struct {
	// verification: Full checks chain and host name, CAOnly the chain, None nothing. Heroku's
	// Key-Value Store has self-signed certificates, which need None.
	// +kubebuilder:default=Full
	// +optional
	Verification TLSVerification `json:"verification,omitempty"`

	// caSecretRef names a Secret's key with the PEM certificates of the authorities to trust in place
	// of the system's.
	// +optional
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`

	// clientCertificateSecretRef names a Secret of type kubernetes.io/tls with the certificate
	// (tls.crt) and the private key (tls.key) to show to servers that ask clients for one.
	// +optional
	ClientCertificateSecretRef *SecretRef `json:"clientCertificateSecretRef,omitempty"`
}

// HerokuSpec names a process type of a Heroku app.
//
// +kubebuilder:validation:XValidation:rule="self.processType != 'web' || (has(self.allowWeb) && self.allowWeb)",fieldPath=".processType",message="web serves the app's requests, and would be turned off while the queue is idle: name the process type of the workers, or set spec.heroku.allowWeb to true if that is wanted"
type HerokuSpec struct {
	// app is the app's name or UUID.
	// +kubebuilder:validation:MaxLength=36
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9-]{1,28}[a-z0-9]$') || self.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')",message="must be the name of a Heroku app (3 to 30 lower case letters, digits and dashes, beginning with a letter) or its UUID in lower case"
	// +required
	App string `json:"app"`

	// processType is the name of a line of the app's Procfile, such as worker.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-_a-zA-Z0-9]{1,128}$')",message="must be a process type of the app's Procfile: letters, digits, '-' and '_'"
	// +kubebuilder:validation:XValidation:rule="self != 'release'",message="release runs once per deploy and cannot be scaled: name the process type of the workers"
	// +required
	ProcessType string `json:"processType"`

	// allowWeb allows processType web. While the queue is idle the app then serves no requests, and a
	// request starts nothing: only a job, a schedule or a person does.
	// +optional
	AllowWeb bool `json:"allowWeb,omitempty"`

	// apiKeySecretRef names a Secret's key with a Heroku API token. Scope write is enough, but for
	// spec.redis.urlFrom.herokuConfigVar.
	// +required
	APIKeySecretRef SecretKeyRef `json:"apiKeySecretRef"`

	// dynoSize is the size of each dyno, such as standard-2x. It is set when dynos are started from
	// zero, and never while some run, which would restart them.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*$')",message="must be the name of a dyno size, such as standard-2x or performance-m"
	// +optional
	DynoSize string `json:"dynoSize,omitempty"`
}

// ScheduledJobsPolicy says what scheduled and retried jobs do.
//
// +kubebuilder:validation:Enum=Wake;Ignore
type ScheduledJobsPolicy string

const (
	// ScheduledJobsWake starts dynos shortly before a scheduled job is due.
	ScheduledJobsWake ScheduledJobsPolicy = "Wake"
	// ScheduledJobsIgnore starts no dynos for scheduled jobs. A scheduled job that a worker took restarts the
	// idle clock all the same.
	ScheduledJobsIgnore ScheduledJobsPolicy = "Ignore"
)

// Schedule is a window of time that recurs.
type Schedule struct {
	// name tells the window from the others.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower case letters, digits and '-'"
	// +required
	Name string `json:"name"`

	// cron says when the window opens: five fields (minute, hour, day of month, month, day of week),
	// or @hourly, @daily, @weekly, @monthly, @yearly.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[^@ \\t]+([ \\t]+[^ \\t]+){4})$') && !self.contains('TZ=')",message="must be a cron expression of five fields, such as '0 8 * * 1-5', or one of @hourly, @daily, @weekly, @monthly, @yearly; the time zone goes into timeZone"
	// +required
	Cron string `json:"cron"`

	// timeZone is the IANA name of the zone whose clocks cron goes by, such as Europe/Berlin.
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	TimeZone string `json:"timeZone,omitempty"`

	// durationSeconds is how long the window stays open.
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=604800
	// +required
	DurationSeconds int32 `json:"durationSeconds"`
}

// DrainMode is what comes before the dynos are stopped.
//
// +kubebuilder:validation:Enum=None;Quiet
type DrainMode string

const (
	// DrainNone stops the dynos as soon as idleness is proven. Redis is only read.
	DrainNone DrainMode = "None"
	// DrainQuiet first tells the worker processes to take no more jobs, and waits until they say that
	// they do not and that they are free: 10 to 20 s. It writes to Redis.
	DrainQuiet DrainMode = "Quiet"
)

// DrainSpec says what comes before the dynos are stopped.
type DrainSpec struct {
	// mode: with None a job that is taken in the very moment of the stop is interrupted, and put back
	// by Sidekiq; with Quiet it is not. Quiet needs a Redis user with +lpush and +expire on
	// <identity>-signals.
	// +kubebuilder:default=None
	// +optional
	Mode DrainMode `json:"mode,omitempty"`

	// timeoutSeconds is how long jobs that come during a drain wait at most for one that runs on, from
	// when they begin to wait: after that the dynos are started afresh, which interrupts it.
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=86400
	// +optional
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// processTag is the tag of this app's Sidekiq processes (sidekiq -g TAG, or :tag: in its
	// configuration). It is needed where processes of several apps use the same queues in one Redis,
	// since dynos of all apps have the same names, such as worker.1.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ProcessTag string `json:"processTag,omitempty"`
}

// DriftPolicy says what becomes of a quantity that somebody else has set.
//
// +kubebuilder:validation:Enum=Enforce;Report
type DriftPolicy string

const (
	// DriftEnforce brings the quantity back to what the queue wants.
	DriftEnforce DriftPolicy = "Enforce"
	// DriftReport leaves it until the queue next falls idle or becomes active.
	DriftReport DriftPolicy = "Report"
)

// DeletionPolicy says what becomes of the process type when its QueueScaler goes.
//
// +kubebuilder:validation:Enum=ScaleUp;Retain
type DeletionPolicy string

const (
	// DeletionScaleUp leaves at least activeQuantity dynos.
	DeletionScaleUp DeletionPolicy = "ScaleUp"
	// DeletionRetain leaves the quantity as it is.
	DeletionRetain DeletionPolicy = "Retain"
)
