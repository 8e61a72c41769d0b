// Command bench measures the operator's binary on one machine: a real control plane, real Redis
// servers, a simulated Heroku in this process. It prints Markdown tables, and beside what was
// measured what was aimed at. Nothing outside the machine is touched and nothing is left behind,
// also on Ctrl-C.
//
//	make build
//	KUBEBUILDER_ASSETS="$(hack/controlplane.sh)" go run ./hack/bench -run 'wake|storm'
//
// Progress goes to stderr, results to stdout. -scale 0.02 is for a look whether it works.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// settings are the command line's.
type settings struct {
	sections *regexp.Regexp
	scale    float64
	binary   string
	timeout  time.Duration
}

// group is a world and the sections that share it.
type group struct {
	plan     func(settings) plan
	sections []section
}

// section measures one thing.
type section struct {
	name string
	run  func(context.Context, *world, *report) error
}

var groups = []group{
	{planWake, []section{{"wake", measureWake}}},
	{planCrowd, []section{{"storm", measureStorm}, {"steady", measureSteady}}},
	{planObserve, []section{{"observe", measureObserve}}},
	{planNeighbours, []section{{"neighbour", measureNeighbour}}},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	set, err := parse()
	if err != nil {
		return err
	}
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	// The simulated Heroku keeps all that it ever answered: collecting garbage often would only
	// disturb what is measured.
	debug.SetGCPercent(400)

	ctx, cancel := context.WithTimeoutCause(context.Background(), set.timeout, fmt.Errorf("not done within %s", set.timeout))
	defer cancel()
	ctx = interruptible(ctx)
	out := &report{to: os.Stdout}
	if err := out.heading(ctx, set); err != nil {
		return err
	}
	for _, g := range groups {
		if err := g.run(ctx, set, out); err != nil {
			return err
		}
	}
	return out.err
}

func parse() (settings, error) {
	var set settings
	pattern := flag.String("run", "", "`regexp` over the sections: wake, storm, steady, observe, neighbour (default all)")
	flag.Float64Var(&set.scale, "scale", 1, "`factor` by which counts and times are shrunk")
	flag.StringVar(&set.binary, "operator", "bin/queuescaler", "`file` with the operator's binary")
	flag.DurationVar(&set.timeout, "timeout", 45*time.Minute, "`time` after which it gives up")
	flag.Parse()
	var err error
	if set.sections, err = regexp.Compile(*pattern); err != nil {
		return set, err
	}
	switch {
	case flag.NArg() > 0:
		return set, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case !(set.scale > 0 && set.scale <= 1):
		return set, errors.New("-scale must be above 0 and at most 1")
	}
	if _, err := os.Stat(set.binary); err != nil {
		return set, fmt.Errorf("%w: run `make build`, in the repository's root", err)
	}
	return set, nil
}

// count is a number of things at the scale asked for.
func (s settings) count(full int) int { return max(1, int(math.Ceil(float64(full)*s.scale))) }

// span is a time at the scale asked for, and not below the least that makes sense.
func (s settings) span(full, least time.Duration) time.Duration {
	return max(least, time.Duration(float64(full)*s.scale))
}

// interruptible ends with the first signal. Later ones are ignored: everything is stopped within a
// bounded time, and who does not wait for that leaves a hundred servers behind.
func interruptible(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	received := make(chan os.Signal, 1)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range received {
			say("%s: stopping everything in order", s)
			cancel(fmt.Errorf("interrupted by %s", s))
		}
	}()
	return ctx
}

// run runs those of the group's sections that were asked for.
func (g group) run(ctx context.Context, set settings, out *report) (err error) {
	var asked []section
	for _, s := range g.sections {
		if set.sections.MatchString(s.name) {
			asked = append(asked, s)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w := &world{settings: set, plan: g.plan(set), fail: fail}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.start(ctx); err != nil {
		return w.explain(ctx, fmt.Errorf("starting: %w", err))
	}
	for _, s := range asked {
		say("— %s", s.name)
		if err := s.run(ctx, w, out); err != nil {
			return w.explain(ctx, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return nil
}
