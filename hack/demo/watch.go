package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// picture is what the parts say at one moment. Nothing of it is computed here.
type picture struct {
	at     time.Time
	status v1.QueueScalerStatus // the operator's
	counts counts               // its metrics
	events []eventsv1.Event     // its events, the oldest first
	dynos  []dyno               // Heroku's
	err    error                // of what could not be read
}

// counts are absent while the operator does not know them.
type counts struct{ depth, inFlight *int }

// dyno is what Heroku's API tells of one.
type dyno struct {
	Name      string    `json:"name"`
	State     string    `json:"state"`
	UpdatedAt time.Time `json:"updated_at"`
}

// condition is the status's, or an empty one.
func (p picture) condition(conditionType string) metav1.Condition {
	if found := meta.FindStatusCondition(p.status.Conditions, conditionType); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// why is the operator's reason for the quantity.
func (p picture) why() string { return p.condition(v1.ConditionActive).Message }

func (p picture) ready() bool { return p.condition(v1.ConditionReady).Status == metav1.ConditionTrue }

// expectsJobs reports whether the operator would start workers. The queues are not known before their first job.
func (p picture) expectsJobs() bool {
	return p.ready() || p.condition(v1.ConditionReady).Reason == v1.ReasonQueueNotFound
}

// watcher takes pictures.
type watcher struct {
	cluster    client.Reader
	key        client.ObjectKey
	metricsURL string
	dynosURL   string
	token      string

	last picture
}

// look takes a picture. What cannot be read stays as it was, but for the counts, which then are not known.
func (w *watcher) look(ctx context.Context) picture {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p := picture{at: time.Now(), status: w.last.status, events: w.last.events, dynos: w.last.dynos}
	p.err = errors.Join(w.readScaler(ctx, &p), w.readMetrics(ctx, &p), w.readEvents(ctx, &p), w.readDynos(ctx, &p))
	w.last = p
	return p
}

func (w *watcher) readScaler(ctx context.Context, p *picture) error {
	var scaler v1.QueueScaler
	if err := w.cluster.Get(ctx, w.key, &scaler); err != nil {
		return err
	}
	p.status = scaler.Status
	return nil
}

func (w *watcher) readEvents(ctx context.Context, p *picture) error {
	var list eventsv1.EventList
	if err := w.cluster.List(ctx, &list, client.InNamespace(w.key.Namespace)); err != nil {
		return err
	}
	p.events = slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool {
		return e.Regarding.Kind != "QueueScaler" || e.Regarding.Name != w.key.Name
	})
	slices.SortStableFunc(p.events, func(a, b eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	return nil
}

func (w *watcher) readMetrics(ctx context.Context, p *picture) error {
	body, err := get(ctx, w.metricsURL, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	p.counts, err = parseCounts(body, w.key.Namespace, w.key.Name)
	return err
}

func parseCounts(text io.Reader, namespace, name string) (counts, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return counts{}, fmt.Errorf("the operator's metrics: %w", err)
	}
	find := func(metric string) *int {
		for _, m := range families[metric].GetMetric() {
			labels := map[string]string{}
			for _, label := range m.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["namespace"] == namespace && labels["name"] == name {
				value := int(m.GetGauge().GetValue())
				return &value
			}
		}
		return nil
	}
	return counts{depth: find("queuescaler_queue_depth"), inFlight: find("queuescaler_queue_in_flight")}, nil
}

const herokuMediaType = "application/vnd.heroku+json; version=3"

func (w *watcher) readDynos(ctx context.Context, p *picture) error {
	body, err := get(ctx, w.dynosURL, http.Header{"Authorization": {"Bearer " + w.token}, "Accept": {herokuMediaType}})
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	p.dynos = nil
	err = json.NewDecoder(body).Decode(&p.dynos)
	slices.SortFunc(p.dynos, func(a, b dyno) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name)) // 2 before 10
	})
	return err
}

func get(ctx context.Context, url string, header http.Header) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("GET %s: %s", url, response.Status), response.Body.Close())
	}
	return response.Body, nil
}
