package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/redisserver"
	"github.com/queuescaler/queuescaler/test/stack"
)

const (
	token     = "HRKU-bench"
	namespace = "bench"
	// typesPerApp spreads the process types over apps: the operator reads the formation of a whole
	// app, and the simulator looks through all apps for one.
	typesPerApp = 10
)

// plan is what a world shall hold.
type plan struct {
	servers int
	scalers []scaler
	later   []scaler // whose QueueScalers are created on the way
	bare    bool     // nothing but the Redis servers
}

// apps is the number of Heroku apps.
func (p plan) apps() int {
	names := map[string]bool{}
	for _, s := range p.scalers {
		names[s.app] = true
	}
	return len(names)
}

// world is everything that runs.
type world struct {
	settings settings
	plan     plan
	fail     context.CancelCauseFunc // ends the context of what is measured

	dir      string // for all files, so that none is left
	cluster  *stack.ControlPlane
	client   client.WithWatch
	servers  []*server
	heroku   *simulator.Server
	recorder *recorder
	operator *operator
	undos    []func() error
}

// server is a Redis server and a connection to it.
type server struct {
	*redisserver.Server
	client *redis.Client
}

// step is one of those that start a world.
type step struct {
	what string
	do   func(context.Context) error
}

// start starts everything but the operator.
func (w *world) start(ctx context.Context) error {
	servers := step{fmt.Sprintf("%d redis-servers", w.plan.servers), w.startServers}
	steps := []step{
		{"the control plane", w.startControlPlane},
		servers,
		{"the simulated Heroku", w.startHeroku},
		{"the namespace", w.createNamespace},
		{fmt.Sprintf("%d QueueScalers", len(w.plan.scalers)), func(ctx context.Context) error { return w.create(ctx, w.plan.scalers) }},
	}
	if w.plan.bare {
		steps = []step{servers}
	}
	for _, step := range steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		say("%s: %.1f s", step.what, time.Since(began).Seconds())
	}
	return nil
}

func (w *world) undoWith(f func() error) { w.undos = append(w.undos, f) }

// stop stops everything, what was started last first.
func (w *world) stop() error {
	say("stopping")
	var all error
	for len(w.undos) > 0 {
		last := len(w.undos) - 1
		all = errors.Join(all, w.undos[last]())
		w.undos = w.undos[:last]
	}
	return all
}

func (w *world) startControlPlane(context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "queuescaler-bench-"); err != nil {
		return err
	}
	before := os.Getenv("TMPDIR")
	w.undoWith(func() error { return errors.Join(os.RemoveAll(w.dir), os.Setenv("TMPDIR", before)) })
	// What the parts themselves leave behind in temporary files goes with it.
	if err = os.Setenv("TMPDIR", w.dir); err != nil {
		return err
	}
	if w.cluster, err = stack.StartControlPlane(".", w.dir); err != nil {
		return err
	}
	w.undoWith(w.cluster.Stop)
	w.cluster.Config.QPS = -1 // it is not this client's patience that is measured
	w.client, err = client.NewWithWatch(w.cluster.Config, client.Options{Scheme: scheme.Scheme})
	return err
}

// startServers gives Redis a context that no Ctrl-C ends: it has to outlive the operator.
func (w *world) startServers(ctx context.Context) error {
	w.undoWith(func() error {
		all := make([]error, len(w.servers)) // one that fails must not keep the others
		_ = parallel(context.Background(), len(w.servers), 16, func(i int) error {
			all[i] = errors.Join(w.servers[i].client.Close(), w.servers[i].Stop())
			return nil
		})
		return errors.Join(all...)
	})
	for range w.plan.servers {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		started, err := redisserver.Start(context.Background(), redisserver.Options{})
		if err != nil {
			return err
		}
		w.servers = append(w.servers, &server{Server: started, client: redis.NewClient(w.redisOptions(started))})
	}
	return nil
}

// redisOptions are those of this program's own connections.
func (w *world) redisOptions(s *redisserver.Server) *redis.Options {
	return &redis.Options{
		Addr: s.Addr(), PoolSize: 8, MaxRetries: -1, ReadTimeout: time.Minute, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (w *world) startHeroku(context.Context) error {
	const plenty = 1 << 30 // the rate limit is not what is measured
	w.heroku = simulator.New(simulator.Options{RateCapacity: plenty, RateRefill: plenty})
	w.heroku.AddToken(simulator.Token{Secret: token, Account: "ops@example.com", Scopes: []string{"write"}})
	w.recorder = newRecorder()
	w.heroku.BeforeRequest(w.recorder.arrived)
	w.heroku.AfterRequest(w.recorder.answered)
	w.undoWith(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return w.heroku.Close(ctx)
	})
	if err := w.heroku.Start(""); err != nil {
		return err
	}
	return w.addApps(slices.Concat(w.plan.scalers, w.plan.later))
}

// addApps adds the apps of scalers.
func (w *world) addApps(scalers []scaler) error {
	apps := map[string][]simulator.Process{}
	for _, s := range scalers {
		apps[s.app] = append(apps[s.app], simulator.Process{Type: s.name})
	}
	for name, formation := range apps {
		if err := w.heroku.AddApp(simulator.App{Name: name, Formation: formation}); err != nil {
			return err
		}
	}
	return nil
}

// operator is a run of the operator's binary.
type operator struct {
	*stack.Operator
	pid      int
	log      *os.File
	stopping atomic.Bool
}

// startOperator starts the operator, whose end from then on ends the context.
func (w *world) startOperator(ctx context.Context) error {
	log, err := os.OpenFile(w.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	started, err := stack.StartOperator(ctx, stack.OperatorOptions{
		Binary: w.settings.binary, Kubeconfig: w.cluster.Kubeconfig, HerokuURL: w.heroku.URL(), Output: log,
		Args: []string{"--namespaces=" + namespace, "--leader-elect=false", "--drift-period=24h"},
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	w.operator = &operator{Operator: started, log: log}
	w.undoWith(w.stopOperator)
	if w.operator.pid, err = childNamed(filepath.Base(w.settings.binary)); err != nil {
		return err
	}
	go func(o *operator) {
		if <-o.Exited(); !o.stopping.Load() {
			w.fail(errors.New("the operator ended"))
		}
	}(w.operator)
	return nil
}

func (w *world) stopOperator() error {
	stopped := w.operator
	if stopped == nil {
		return nil
	}
	w.operator = nil
	stopped.stopping.Store(true)
	return errors.Join(stopped.Stop(), stopped.log.Close())
}

func (w *world) logFile() string { return filepath.Join(w.dir, "operator.log") }

// explain adds what the operator last said to an error that may be its own.
func (w *world) explain(ctx context.Context, err error) error {
	const most, longest = 15, 300 // errors come with stack traces
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(err, cause)
	}
	content, _ := os.ReadFile(w.logFile())
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	lines = lines[max(0, len(lines)-most):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), longest)]
	}
	return fmt.Errorf("%w\nthe operator's last lines:\n%s", err, cmp.Or(strings.Join(lines, "\n"), "(none)"))
}

type pipeline = redis.Pipeliner

// everywhere does something with every queue, in a pipeline for each server, all side by side.
func (w *world) everywhere(ctx context.Context, do func(pipeline, scaler)) error {
	pipes := make([]pipeline, len(w.servers))
	for i, server := range w.servers {
		pipes[i] = server.client.Pipeline()
	}
	for _, s := range w.plan.scalers {
		do(pipes[s.server], s)
	}
	return parallel(ctx, len(pipes), len(pipes), func(i int) error {
		_, err := pipes[i].Exec(ctx)
		return err
	})
}
