package controllers

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	perObject = []string{"namespace", "name"}

	depthGauge    = gauge("queue_depth", "Jobs waiting.")
	inFlightGauge = gauge("queue_in_flight", "Jobs taken and not finished, as far as Redis shows them.")
	latencyGauge  = gauge("queue_latency_seconds", "Age of the oldest waiting job.")
	liveGauge     = gauge("worker_processes", "Worker processes with a fresh heartbeat.")
	quantityGauge = gauge("quantity", "Dynos, as Heroku last answered.")
	desiredGauge  = gauge("desired_quantity", "Dynos wanted.")
	gauges        = []*prometheus.GaugeVec{depthGauge, inFlightGauge, latencyGauge, liveGauge, quantityGauge, desiredGauge}

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
	metrics.Registry.MustRegister(decisionsTotal, herokuRequestsTotal)
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
	quantity := s.memory.quantity
	set(quantityGauge, quantity != nil && !s.memory.uncertain, func() float64 { return float64(*quantity) })
	set(desiredGauge, s.decision.Desired != nil, func() float64 { return float64(*s.decision.Desired) })
	decisionsTotal.WithLabelValues(append(labels, string(s.decision.Reason))...).Inc()
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
