// Command demo shows the operator at work on one machine, without Kubernetes or Heroku at hand: a
// control plane, a Redis, a simulated Heroku whose dynos are real Sidekiq processes, and the
// operator's binary. It enqueues jobs and shows how the workers are started for them and stopped
// again, until Ctrl-C. With --once it runs a single cycle and judges it.
//
// `make demo` builds and finds what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// onceDeadline bounds a run with --once, its start-up included.
const onceDeadline = 5 * time.Minute

var (
	errInterrupted = errors.New("interrupted")
	errDeadline    = fmt.Errorf("not done within %s", onceDeadline)
)

func main() {
	once := flag.Bool("once", false, "run one cycle without a terminal, and exit 0 only if nothing was amiss")
	file := flag.String("sample", "", "`file` with the QueueScaler to apply (default the Sidekiq one in config/samples)")
	flag.Parse()
	if err := run(*once, *file); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(once bool, file string) (err error) {
	// The libraries would write into the picture.
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())

	if err := checkParts(); err != nil {
		return err
	}
	sample, err := readSample(file)
	if err != nil {
		return err
	}
	stop, force := interrupts()
	if once {
		var cancel context.CancelFunc
		stop, cancel = context.WithTimeoutCause(stop, onceDeadline, errDeadline)
		defer cancel()
	}
	screen := newScreen(os.Stdout, !once)
	d := &demo{sample: sample, screen: screen, steps: steps{screen: screen}}
	defer func() { err = errors.Join(err, d.steps.undo(force)) }()

	if err = d.start(stop); err == nil {
		err = d.follow(stop, once)
	}
	if errors.Is(err, errInterrupted) && !once {
		return nil // as it was meant to end
	}
	return err
}

// interrupts returns a context that the first signal ends, and one that the second ends. The third
// is not caught.
func interrupts() (stop, force context.Context) {
	stop, stopNow := context.WithCancelCause(context.Background())
	force, forceNow := context.WithCancelCause(context.Background())
	// SIGPIPE comes with each line once nobody reads them: that is no second Ctrl-C.
	unread, received := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-unread:
		case <-received:
		}
		stopNow(errInterrupted)
		<-received
		signal.Stop(received)
		forceNow(errInterrupted)
	}()
	return stop, force
}
