package controllers

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/stack"
)

// canary is a part of every token and password in use here: it must not appear anywhere.
const canary = "canary"

const (
	driftPeriod = 2 * time.Second
	wakeLead    = 5 * time.Second
)

// restarted are the namespaces that the common manager leaves to one that a test stops and starts.
var restarted = []string{"restarted-1", "restarted-2", "drain-1", "drain-2", "drain-3", "webhooks", "renamed", "swapped-1", "swapped-2", "hanging-1", "hanging-2",
	"drain-4", "stop-1", "stop-2", "stop-3"}

// world is what all tests share.
var w struct {
	plane   *stack.ControlPlane
	cluster client.Client
	heroku  *simulator.Server
	log     output
	writes  writes
	tests   atomic.Int64
}

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	_ = flag.Set("test.parallel", "200") // tests wait more than they work
	stop, err := startWorld()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controllers: these tests need a control plane and Redis; run `make test`:", err)
		return 1
	}
	code := m.Run()
	err = errors.Join(stop(), findCanary("the log", w.log.String()), findCanary("a request", strings.Join(w.writes.in(""), "\n")), searchMetrics())
	if err != nil {
		fmt.Fprintln(os.Stderr, "controllers:", err)
		return 1
	}
	return code
}

// startWorld starts the control plane, Redis, Heroku and the manager.
func startWorld() (stop func() error, err error) {
	var stops []func() error
	stopAll := func() error {
		var errs []error
		for i := len(stops) - 1; i >= 0; i-- {
			errs = append(errs, stops[i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stopAll())
		}
	}()
	dir, err := os.MkdirTemp("", "controllers-")
	if err != nil {
		return nil, err
	}
	stops = append(stops, func() error { return os.RemoveAll(dir) })
	ctrl.SetLogger(zap.New(zap.WriteTo(&w.log), zap.UseDevMode(true)))
	if w.plane, err = stack.StartControlPlane("..", dir); err != nil {
		return nil, err
	}
	w.cluster = w.plane.Client
	stops = append(stops, w.plane.Stop)
	w.heroku = simulator.New(simulator.Options{BootTime: time.Millisecond, Grace: time.Second, CrashDelay: 30 * time.Second})
	if err = w.heroku.Start(""); err != nil {
		return nil, err
	}
	stops = append(stops, func() error { return w.heroku.Close(context.Background()) })
	var others []fields.Selector
	for _, namespace := range restarted {
		others = append(others, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
	}
	stopManager, err := startManager(cache.Options{ByObject: map[client.Object]cache.ByObject{
		&v1.QueueScaler{}: {Field: fields.AndSelectors(others...)},
	}})
	if err == nil {
		stops = append(stops, stopManager)
	}
	return stopAll, err
}

// startManager runs the operator in this process.
func startManager(watched cache.Options, changes ...func(*Options)) (stop func() error, err error) {
	wrapped := rest.CopyConfig(w.plane.Config)
	wrapped.Wrap(func(inner http.RoundTripper) http.RoundTripper { return &recorder{inner} })
	manager, err := ctrl.NewManager(wrapped, ctrl.Options{
		Scheme:     scheme.Scheme,
		Cache:      watched,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return nil, err
	}
	options := Options{HerokuURL: w.heroku.URL(), HerokuReserve: 0.2, DriftPeriod: driftPeriod, Workers: 64}
	for _, change := range changes {
		change(&options)
	}
	err = SetupWithManager(manager, options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	return func() error { cancel(); return <-ended }, nil
}

func searchMetrics() error {
	families, err := metrics.Registry.Gather()
	var text strings.Builder
	for _, family := range families {
		text.WriteString(family.String())
	}
	return errors.Join(err, findCanary("a metric", text.String()))
}

func findCanary(where, text string) error {
	if at := strings.Index(text, canary); at >= 0 {
		return fmt.Errorf("a secret is in %s: %.300s", where, text[max(0, at-200):])
	}
	return nil
}

// output takes the log of several goroutines.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(line)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// writes are the operator's requests that change something in the API server.
type writes struct {
	mu   sync.Mutex
	list []string
	// refused are the paths, or parts of them, to which nothing can be written.
	refused []string
}

// refuse has all writes fail whose path has this in it, until they are allowed.
func (w *writes) refuse(part string) (allow func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, part)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refused = slices.DeleteFunc(w.refused, func(other string) bool { return other == part })
	}
}

func (w *writes) refuses(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.refused, func(part string) bool { return strings.Contains(path, part) })
}

func (w *writes) add(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, line)
}

// in lists the writes to a namespace, or all where it is empty.
func (w *writes) in(namespace string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for _, line := range w.list {
		if namespace == "" || strings.Contains(line, "/namespaces/"+namespace+"/") {
			found = append(found, line)
		}
	}
	return found
}

// recorder notes the operator's writes, with their bodies.
type recorder struct{ inner http.RoundTripper }

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet {
		line := request.Method + " " + request.URL.Path
		if request.GetBody != nil {
			if body, err := request.GetBody(); err == nil {
				text, _ := io.ReadAll(body)
				line += " " + string(text)
			}
		}
		w.writes.add(line)
		if w.writes.refuses(request.URL.Path) {
			return nil, errors.New("refused by the test")
		}
	}
	return r.inner.RoundTrip(request)
}
