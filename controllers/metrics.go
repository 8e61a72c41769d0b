package controllers

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/queuescaler/queuescaler/internal/cost"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
)

var (
	decisionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "queuescaler", Name: "decisions_total", Help: "Decisions taken, by reason.",
	}, []string{"reason"})
	herokuRequestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "queuescaler", Name: "heroku_requests_total", Help: "Requests to Heroku's API; code 0 is no answer.",
	}, []string{"method", "code"})
	perObject  = &objectMetrics{byName: map[types.NamespacedName]measurement{}}
	perAccount = &accountMetrics{}
)

func init() {
	metrics.Registry.MustRegister(perObject, perAccount, deliveriesTotal, decisionsTotal, herokuRequestsTotal,
		redisCounter("reads_total", "Reads of queues, each of all that is due on one Redis.", func(c queue.Counters) int64 { return c.Reads }),
		redisCounter("commands_total", "Commands sent to Redis in them.", func(c queue.Counters) int64 { return c.Commands }),
		redisCounter("pushes_total", "Messages in which Redis told of changes.", func(c queue.Counters) int64 { return c.Pushes }))
}

func redisCounter(name, help string, value func(queue.Counters) int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "queuescaler", Subsystem: "redis", Name: name, Help: help},
		func() float64 { return float64(value(queue.Count())) })
}

func countHerokuRequest(method string, status int) {
	herokuRequestsTotal.WithLabelValues(method, strconv.Itoa(status)).Inc()
}

// measurement is what the metrics of one object tell. What is not known has no value.
type measurement struct {
	queueKnown, heartbeats, pushed bool
	depth, inFlight, orphans       int64
	latency                        time.Duration
	live, silent                   int
	draining                       bool
	quantity, desired              *int
	workerStart                    time.Duration // 0 for none yet
	totals                         cost.Totals
}

// objectGauge is one metric that every object has.
type objectGauge struct {
	desc *prometheus.Desc
	read func(measurement) (value float64, known bool)
}

func newObjectGauge(name, help string, read func(measurement) (float64, bool)) objectGauge {
	return objectGauge{prometheus.NewDesc("queuescaler_"+name, help, []string{"namespace", "name"}, nil), read}
}

var objectGauges = []objectGauge{
	newObjectGauge("queue_depth", "Jobs waiting.",
		func(m measurement) (float64, bool) { return float64(m.depth), m.queueKnown }),
	newObjectGauge("queue_in_flight", "Jobs taken and not finished, as far as Redis shows them.",
		func(m measurement) (float64, bool) { return float64(m.inFlight), m.queueKnown }),
	newObjectGauge("queue_orphans", "Jobs taken by workers that died.",
		func(m measurement) (float64, bool) { return float64(m.orphans), m.queueKnown }),
	newObjectGauge("queue_latency_seconds", "Age of the oldest waiting job.",
		func(m measurement) (float64, bool) { return m.latency.Seconds(), m.queueKnown }),
	newObjectGauge("worker_processes", "Worker processes with a fresh heartbeat.",
		func(m measurement) (float64, bool) { return float64(m.live), m.queueKnown && m.heartbeats }),
	newObjectGauge("silent_workers", "Dynos and processes that nobody hears, and for which a stop waits; 1 for all dynos that cannot be told by name.",
		func(m measurement) (float64, bool) { return float64(m.silent), m.queueKnown && m.heartbeats }),
	newObjectGauge("queue_pushed", "1 if Redis pushes the queue's changes, 0 if it is only polled.",
		func(m measurement) (float64, bool) { return oneIf(m.pushed), m.queueKnown }),
	newObjectGauge("draining", "1 while workers that were told to take no more jobs have not been stopped.",
		func(m measurement) (float64, bool) { return oneIf(m.draining), true }),
	newObjectGauge("quantity", "Dynos, as Heroku last answered.",
		func(m measurement) (float64, bool) { return valueOf(m.quantity) }),
	newObjectGauge("desired_quantity", "Dynos wanted.",
		func(m measurement) (float64, bool) { return valueOf(m.desired) }),
	newObjectGauge("worker_start_seconds", "Time from the last start of the dynos to the first heartbeat of a new worker process.",
		func(m measurement) (float64, bool) { return m.workerStart.Seconds(), m.workerStart > 0 }),
	newObjectGauge("dyno_seconds_used", "Dyno-seconds that ran since status.savings.since.",
		func(m measurement) (float64, bool) { return m.totals.UsedSeconds, m.reckoned() }),
	newObjectGauge("dyno_seconds_saved", "Dyno-seconds that did not run since then, of those of activeQuantity dynos all the time.",
		func(m measurement) (float64, bool) { return m.totals.SavedSeconds, m.reckoned() }),
	newObjectGauge("dollars_saved", "What these are worth, in US dollars at Heroku's list prices.",
		func(m measurement) (float64, bool) { return m.totals.SavedDollars, m.reckoned() }),
}

func (m measurement) reckoned() bool { return !m.totals.Since.IsZero() }

func valueOf(quantity *int) (float64, bool) {
	if quantity == nil {
		return 0, false
	}
	return float64(*quantity), true
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// objectMetrics holds one measurement of every object and makes metrics of them when they are asked
// for: vectors of client_golang take kilobytes for each object.
type objectMetrics struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]measurement
}

// Describe implements prometheus.Collector.
func (*objectMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, gauge := range objectGauges {
		descs <- gauge.desc
	}
}

// Collect implements prometheus.Collector.
func (o *objectMetrics) Collect(collected chan<- prometheus.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, m := range o.byName {
		for _, gauge := range objectGauges {
			if value, known := gauge.read(m); known {
				collected <- prometheus.MustNewConstMetric(gauge.desc, prometheus.GaugeValue, value, name.Namespace, name.Name)
			}
		}
	}
}

func (o *objectMetrics) put(name types.NamespacedName, m measurement) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byName[name] = m
}

func (o *objectMetrics) drop(name types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byName, name)
}

// measure brings the object's metrics up to date.
func (s *scope) measure() {
	m := measurement{
		queueKnown:  s.queueProblem == nil && s.snapshot.Known(),
		heartbeats:  s.snapshot.Heartbeats,
		pushed:      s.snapshot.Pushed,
		depth:       s.snapshot.Depth,
		inFlight:    s.snapshot.InFlight,
		orphans:     s.snapshot.Orphans,
		latency:     s.snapshot.Latency,
		live:        s.snapshot.Live(),
		draining:    s.draining(),
		desired:     s.decision.Desired,
		workerStart: s.memory.workerStart,
		totals:      s.memory.ledger.Totals(),
	}
	if s.heldByAbsence() {
		m.silent = len(s.absent())
	}
	if !s.memory.uncertain {
		m.quantity = s.memory.quantity
	}
	perObject.put(s.name, m)
	decisionsTotal.WithLabelValues(string(s.decision.Reason)).Inc()
}

// accountMetrics tells what is left of the rate budgets.
type accountMetrics struct {
	accounts atomic.Pointer[heroku.Accounts]
}

var (
	budgetLeft = prometheus.NewDesc("queuescaler_heroku_ratelimit_remaining",
		"Requests that the Heroku account should have left. An account that the token may not ask for is named after a digest of the token.", []string{"account"}, nil)
	budgetCapacity = prometheus.NewDesc("queuescaler_heroku_ratelimit_capacity",
		"Requests that the Heroku account has at most.", []string{"account"}, nil)
)

// Describe implements prometheus.Collector.
func (*accountMetrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- budgetLeft
	descs <- budgetCapacity
}

// Collect implements prometheus.Collector.
func (m *accountMetrics) Collect(collected chan<- prometheus.Metric) {
	accounts := m.accounts.Load()
	if accounts == nil {
		return
	}
	for _, state := range accounts.States() {
		collected <- prometheus.MustNewConstMetric(budgetLeft, prometheus.GaugeValue, math.Floor(state.Left), state.Account)
		collected <- prometheus.MustNewConstMetric(budgetCapacity, prometheus.GaugeValue, state.Capacity, state.Account)
	}
}
