package controllers

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/queuescaler/queuescaler/internal/webhook"
)

// deliveryTimeout bounds a delivery, which is a few kilobytes.
const deliveryTimeout = 10 * time.Second

var deliveriesTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "queuescaler", Name: "webhook_deliveries_total", Help: "Deliveries of Heroku's webhooks, by what became of them.",
}, []string{"outcome"})

// news is what was last told of an object's app.
type news struct {
	at time.Time // zero if nothing was
	// formation says that the formation has changed, to quantity if that is not nil.
	formation bool
	quantity  *int
	// released says that the app has a new release, which may have changed its config vars.
	released bool
}

// after adds what was told before and has not been used yet.
func (n news) after(before news) news {
	if n.at.IsZero() {
		return before
	}
	if !n.formation {
		n.formation, n.quantity = before.formation, before.quantity
	}
	n.released = n.released || before.released
	return n
}

// takeNews adds what was told since the last reconcile to what was not used in it, as where a read failed.
func (s *scope) takeNews(told news) {
	m := s.memory
	if !m.news.at.After(m.configVar.readAt) {
		m.news.released = false
	}
	m.news = told.after(m.news)
	s.news = m.news
}

// receiveWebhooks serves Heroku's webhooks at an address, on the replica that leads.
func (r *Reconciler) receiveWebhooks(mgr ctrl.Manager) error {
	address := r.options.WebhookAddress
	if address == "" || address == "0" {
		return nil
	}
	receiver := webhook.New(webhook.Options{
		Secrets: r.options.WebhookSecrets,
		Tell:    r.notice,
		Observe: func(outcome webhook.Outcome) { deliveriesTotal.WithLabelValues(string(outcome)).Inc() },
	})
	return mgr.Add(&manager.Server{
		Name:                "webhooks",
		Server:              &http.Server{Addr: address, Handler: receiver, ReadTimeout: deliveryTimeout, WriteTimeout: deliveryTimeout},
		OnlyServeWhenLeader: true, // a standby remembers nothing that it could read again
		ShutdownTimeout:     ptr.To(time.Second),
	})
}

// notice has those look again whom an event concerns. What a dyno does is of no interest: its formation
// has an event of its own.
func (r *Reconciler) notice(event webhook.Event) {
	if event.Kind == webhook.Dyno {
		return
	}
	told := news{
		at:        r.clock.Now(),
		formation: event.Kind == webhook.Formation, quantity: event.Quantity,
		released: event.Kind == webhook.Release,
	}
	for _, name := range r.claims.concerned(event.AppID, event.ProcessType) {
		r.wakeups.tell(name, told)
	}
}

// outdated says whether the formation may have changed since it was read. News that only tell what is
// known, such as those of a change of one's own, ask for no read.
func (s *scope) outdated() bool {
	if !s.news.formation {
		return false
	}
	told, known := s.news.quantity, s.memory.quantity
	return told == nil || known == nil || *told != *known
}
