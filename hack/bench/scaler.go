package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// scaler is a QueueScaler. Its process type is called as it is: a PATCH tells whom it is for.
type scaler struct {
	name       string
	app        string
	server     int // the number of its Redis server
	queue      string
	kind       v1.QueueType
	scheduled  v1.ScheduledJobsPolicy
	pollPeriod int32 // seconds; 0 for the API's default
}

// numbered makes scalers of plain lists, spread over the servers.
func numbered(count, servers int) []scaler {
	scalers := make([]scaler, count)
	for i := range scalers {
		scalers[i] = scaler{
			name:      fmt.Sprintf("worker-%05d", i),
			app:       fmt.Sprintf("app-%04d", i/typesPerApp),
			server:    i % servers,
			queue:     fmt.Sprintf("jobs:%05d", i),
			kind:      v1.QueueList,
			scheduled: v1.ScheduledJobsIgnore,
		}
	}
	return scalers
}

// key is where the queue is in Redis.
func (s scaler) key() string {
	if s.kind == v1.QueueSidekiq {
		return "queue:" + s.queue
	}
	return s.queue
}

// queueSpec has no list of jobs in work: a job takes at most the idle timeout.
func (s scaler) queueSpec() v1.QueueSpec {
	spec := v1.QueueSpec{Type: s.kind, Names: []string{s.queue}}
	if s.kind == v1.QueueList {
		spec.MaxJobSeconds, spec.MayBeAbsent = ptr.To(int32(1)), true
	}
	return spec
}

func (s scaler) object() *v1.QueueScaler {
	return &v1.QueueScaler{
		ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: namespace},
		Spec: v1.QueueScalerSpec{
			Redis: v1.RedisSpec{URLFrom: v1.RedisURLSource{SecretKeyRef: &v1.SecretKeyRef{Name: redisSecret(s.server), Key: "REDIS_URL"}}},
			Queue: s.queueSpec(),
			Heroku: v1.HerokuSpec{App: s.app, ProcessType: s.name,
				APIKeySecretRef: v1.SecretKeyRef{Name: "heroku", Key: "HEROKU_API_KEY"}},
			IdleTimeoutSeconds: 1,
			PollPeriodSeconds:  s.pollPeriod,
			ScheduledJobs:      s.scheduled,
			DeletionPolicy:     v1.DeletionRetain,
		},
	}
}

func redisSecret(server int) string { return fmt.Sprintf("redis-%03d", server) }

// createNamespace makes the namespace, with the Secrets.
func (w *world) createNamespace(ctx context.Context) error {
	if err := w.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	secret := func(name, key, value string) error {
		return w.client.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, StringData: map[string]string{key: value},
		})
	}
	for i, server := range w.servers {
		if err := secret(redisSecret(i), "REDIS_URL", server.URL()); err != nil {
			return err
		}
	}
	return secret("heroku", "HEROKU_API_KEY", token)
}

// clients is how many requests this program sends to the API server side by side.
const clients = 16

func (w *world) create(ctx context.Context, scalers []scaler) error {
	return parallel(ctx, len(scalers), clients, func(i int) error {
		return w.client.Create(ctx, scalers[i].object())
	})
}

// become makes all scalers ones of another job system. The operator must not be running.
func (w *world) become(ctx context.Context, kind v1.QueueType, scheduled v1.ScheduledJobsPolicy) error {
	return parallel(ctx, len(w.plan.scalers), clients, func(i int) error {
		s := &w.plan.scalers[i]
		if s.kind == kind && s.scheduled == scheduled {
			return nil
		}
		before := s.object()
		s.kind, s.scheduled = kind, scheduled
		return w.client.Patch(ctx, s.object(), client.MergeFrom(before))
	})
}

// listQueues makes the queues known, as Sidekiq does at the first job.
func (w *world) listQueues(ctx context.Context) error {
	return w.everywhere(ctx, func(pipe pipeline, s scaler) {
		if s.kind == v1.QueueSidekiq {
			pipe.SAdd(ctx, "queues", s.queue)
		}
	})
}

// following counts the QueueScalers of which something is true.
type following struct {
	what   string
	wanted int
	is     func(*v1.QueueScaler) bool
	so     map[string]bool
	done   chan error
	at     time.Time // when it became true of the last
}

// follow begins to watch until something is true of a number of QueueScalers. What changes after the
// call is seen.
func (w *world) follow(ctx context.Context, wanted int, what string, is func(*v1.QueueScaler) bool) (*following, error) {
	f := &following{what: what, wanted: wanted, is: is, so: map[string]bool{}, done: make(chan error, 1)}
	version, err := f.list(ctx, w.client)
	if err != nil {
		return nil, err
	}
	go func() { f.done <- f.watch(ctx, w.client, version) }()
	return f, nil
}

// wait returns when it became true of the last one.
func (f *following) wait() (time.Time, error) {
	err := <-f.done
	return f.at, err
}

// pageSize keeps a list short enough for an API server that has other things to do.
const pageSize = 500

// list looks at all, page by page, and returns the version from which to watch. What goes wrong is
// tried again: on a busy machine the API server gives up now and then.
func (f *following) list(ctx context.Context, c client.Reader) (string, error) {
	const attempts = 5
	var version string
	var err error
	for range attempts {
		if version, err = f.listOnce(ctx, c); err == nil || pause(ctx, time.Second) != nil {
			break
		}
	}
	return version, err
}

func (f *following) listOnce(ctx context.Context, c client.Reader) (version string, err error) {
	clear(f.so)
	for next := ""; ; {
		var page v1.QueueScalerList
		if err := c.List(ctx, &page, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(next)); err != nil {
			return "", err
		}
		for i := range page.Items {
			f.look(&page.Items[i])
		}
		// All pages show what was when the first was asked for.
		if version, next = page.ResourceVersion, page.Continue; next == "" {
			return version, nil
		}
	}
}

func (f *following) look(object *v1.QueueScaler) {
	if !f.is(object) {
		delete(f.so, object.Name)
		return
	}
	f.so[object.Name], f.at = true, time.Now()
}

// watch watches until it is true of enough. A watch that the server ends is begun anew.
func (f *following) watch(ctx context.Context, c client.WithWatch, version string) error {
	progress := newProgress(f.what, f.wanted)
	for len(f.so) < f.wanted {
		watcher, err := c.Watch(ctx, &v1.QueueScalerList{}, client.InNamespace(namespace),
			&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
		if err != nil {
			return err
		}
		ended := f.take(watcher.ResultChan(), progress)
		watcher.Stop()
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d QueueScalers %s: %w", len(f.so), f.wanted, f.what, context.Cause(ctx))
		}
		if ended {
			if version, err = f.list(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// take looks at events until it is true of enough, or the watch ends.
func (f *following) take(events <-chan watch.Event, progress *progress) (ended bool) {
	for event := range events {
		object, ok := event.Object.(*v1.QueueScaler)
		if !ok {
			return true // it began too long ago, or is ill
		}
		f.look(object)
		if progress.at(len(f.so)); len(f.so) >= f.wanted {
			return false
		}
	}
	return true
}

// isReady says whether the operator has understood the present spec and is at peace with it.
func isReady(object *v1.QueueScaler) bool {
	status := object.Status
	return status.ObservedGeneration == object.Generation && status.Quantity != nil &&
		meta.IsStatusConditionTrue(status.Conditions, v1.ConditionReady)
}

// isAsleep says whether it is ready and has no dynos.
func isAsleep(object *v1.QueueScaler) bool { return isReady(object) && *object.Status.Quantity == 0 }

// readyPatience is for ten thousand QueueScalers on a busy machine.
const readyPatience = 20 * time.Minute

// startReady starts the operator, and returns how long it took until it knew all QueueScalers: their
// formations are read, and all are ready.
func (w *world) startReady(ctx context.Context, count int) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, fmt.Errorf("the QueueScalers are not ready within %s", readyPatience))
	defer cancel()
	if err := w.listQueues(ctx); err != nil {
		return 0, err
	}
	w.recorder.reset()
	began := time.Now()
	if err := w.startOperator(ctx); err != nil {
		return 0, err
	}
	ready, err := w.follow(ctx, count, "ready", isReady)
	if err != nil {
		return 0, err
	}
	if _, err := ready.wait(); err != nil {
		return 0, err
	}
	err = await(ctx, "the formations to be read", func() bool { return w.recorder.reads() >= w.plan.apps() })
	took := time.Since(began)
	say("%d QueueScalers ready after %.1f s", count, took.Seconds())
	return took, err
}
