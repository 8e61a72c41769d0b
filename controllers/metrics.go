package controllers

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/queuescaler/queuescaler/internal/queue"
)

var (
	perObject = []string{"namespace", "name"}

	depthGauge    = gauge("queue_depth", "Jobs waiting.")
	inFlightGauge = gauge("queue_in_flight", "Jobs taken and not finished, as far as Redis shows them.")
	latencyGauge  = gauge("queue_latency_seconds", "Age of the oldest waiting job.")
	liveGauge     = gauge("worker_processes", "Worker processes with a fresh heartbeat.")
	quantityGauge = gauge("quantity", "Dynos, as Heroku last answered.")
	desiredGauge  = gauge("desired_quantity", "Dynos wanted.")
	pushedGauge   = gauge("queue_pushed", "1 if Redis pushes the queue's changes, 0 if it is only polled.")
	drainingGauge = gauge("draining", "1 while workers that were told to take no more jobs have not been stopped.")
	// workerStartGauge is set once for each start of the dynos.
	workerStartGauge = gauge("worker_start_seconds", "Time from the last start of the dynos to the first heartbeat of a new worker process.")
	gauges           = []*prometheus.GaugeVec{depthGauge, inFlightGauge, latencyGauge, liveGauge, quantityGauge, desiredGauge,
		pushedGauge, drainingGauge, workerStartGauge}

	decisionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "queuescaler", Name: "decisions_total", Help: "Decisions taken, by reason.",
	}, append(perObject, "reason"))
	herokuRequestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "queuescaler", Name: "heroku_requests_total", Help: "Requests to Heroku's API; code 0 is no answer.",
	}, []string{"method", "code"})
)

func init() {
	for _, collector := range gauges {
		metrics.Registry.MustRegister(collector)
	}
	metrics.Registry.MustRegister(decisionsTotal, herokuRequestsTotal,
		redisCounter("reads_total", "Reads of queues, each of all that is due on one Redis.", func(c queue.Counters) int64 { return c.Reads }),
		redisCounter("commands_total", "Commands sent to Redis in them.", func(c queue.Counters) int64 { return c.Commands }),
		redisCounter("pushes_total", "Messages in which Redis told of changes.", func(c queue.Counters) int64 { return c.Pushes }))
}

func redisCounter(name, help string, value func(queue.Counters) int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "queuescaler", Subsystem: "redis", Name: name, Help: help},
		func() float64 { return float64(value(queue.Count())) })
}

func gauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "queuescaler", Name: name, Help: help}, perObject)
}

// measure brings the object's metrics up to date. What is not known has no value.
func (s *scope) measure() {
	labels := []string{s.name.Namespace, s.name.Name}
	set := func(gauge *prometheus.GaugeVec, known bool, value func() float64) {
		if known {
			gauge.WithLabelValues(labels...).Set(value())
		} else {
			gauge.DeleteLabelValues(labels...)
		}
	}
	queueKnown := s.queueProblem == nil && s.snapshot.Known()
	set(depthGauge, queueKnown, func() float64 { return float64(s.snapshot.Depth) })
	set(inFlightGauge, queueKnown, func() float64 { return float64(s.snapshot.InFlight) })
	set(latencyGauge, queueKnown, func() float64 { return s.snapshot.Latency.Seconds() })
	set(liveGauge, queueKnown && s.snapshot.Heartbeats, func() float64 { return float64(s.snapshot.Live()) })
	set(pushedGauge, queueKnown, func() float64 { return oneIf(s.snapshot.Pushed) })
	set(drainingGauge, true, func() float64 { return oneIf(s.draining()) })
	quantity := s.memory.quantity
	set(quantityGauge, quantity != nil && !s.memory.uncertain, func() float64 { return float64(*quantity) })
	set(desiredGauge, s.decision.Desired != nil, func() float64 { return float64(*s.decision.Desired) })
	decisionsTotal.WithLabelValues(append(labels, string(s.decision.Reason))...).Inc()
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func dropMetrics(name types.NamespacedName) {
	for _, gauge := range gauges {
		gauge.DeleteLabelValues(name.Namespace, name.Name)
	}
	decisionsTotal.DeletePartialMatch(prometheus.Labels{"namespace": name.Namespace, "name": name.Name})
}

func countHerokuRequest(method string, status int) {
	herokuRequestsTotal.WithLabelValues(method, strconv.Itoa(status)).Inc()
}
