package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// script is a worker process that runs a shell script.
func script(quantity int, text string) simulator.App {
	return shop(simulator.Process{Quantity: quantity, Command: []string{"sh", "-c", text}})
}

// forever waits, in a shell that a trap can wake.
const forever = `echo ready; while :; do sleep 1 & wait; done`

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// awaitNoGroup returns when every process of a group is gone, or dead and only not yet reaped by the
// machine's init. It has to ask again: the kernel tells nobody but the parent.
func awaitNoGroup(t *testing.T, pgid int) {
	t.Helper()
	members := regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d +[^ZX\s]`, pgid))
	for {
		all, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pgid=,stat=").Output()
		if err != nil {
			t.Fatalf("ps: %v; group %d", err, pgid)
		}
		if !members.Match(all) {
			return
		}
	}
}

func TestAProcessHasItsEnvironment(t *testing.T) {
	t.Setenv("HEROKU_API_KEY", "canary")
	out := newLines()
	platform(t, simulator.Options{Output: out}, script(2, `echo "$DYNO $REDIS_URL port=${PORT:+set} ${HEROKU_API_KEY:-clean}"; echo oops >&2; `+forever))
	all := out.await(t, "ready", 2)
	for _, want := range []string{
		"worker.1 | worker.1 redis://example port=set clean\n", "worker.2 | worker.2 redis://example port=set clean\n", "worker.1 | oops\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %q", want, all)
		}
	}
}

func TestTerminatedProcessesFinish(t *testing.T) {
	out := newLines()
	s := platform(t, simulator.Options{Output: out}, script(3, `trap 'echo finishing; exit 3' TERM; `+forever))
	out.await(t, "ready", 3)
	scale(t, s, 1)
	exits := awaitEvents(t, s, simulator.Exited, 2)
	var names []string
	for _, e := range exits {
		names = append(names, e.Dyno)
		if e.ExitCode != 3 || alive(e.PID) {
			t.Errorf("%+v, alive %t", e, alive(e.PID))
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"worker.2", "worker.3"}) {
		t.Errorf("%v stopped, want the highest numbers", names)
	}
	out.await(t, "finishing", 2)
	if killed := ofKind(s, simulator.Killed); len(killed) > 0 {
		t.Errorf("%+v", killed)
	}
}

func TestSignalledProcessesExitWith143(t *testing.T) {
	out := newLines()
	s := platform(t, simulator.Options{Output: out}, script(1, forever))
	out.await(t, "ready", 1)
	scale(t, s, 0)
	if exit := awaitEvents(t, s, simulator.Exited, 1)[0]; exit.ExitCode != 143 {
		t.Errorf("%+v", exit)
	}
}

func TestStubbornProcessesAreKilled(t *testing.T) {
	out := newLines()
	s := platform(t, simulator.Options{Output: out, Grace: 50 * time.Millisecond}, script(1, `trap 'echo no' TERM; `+forever))
	out.await(t, "ready", 1)
	scale(t, s, 0)
	exit := awaitEvents(t, s, simulator.Exited, 1)[0]
	if exit.ExitCode != 137 || alive(exit.PID) || len(ofKind(s, simulator.Killed)) != 1 {
		t.Errorf("%+v", s.Events())
	}
	out.await(t, "no", 1)
}

// The leader obeys at once; its child has the rest of the grace.
func TestChildrenHaveTheirGrace(t *testing.T) {
	out := newLines()
	s := platform(t, simulator.Options{Output: out}, script(1,
		`sh -c 'trap "echo child finished; exit" TERM; echo ready; while :; do sleep 1 & wait; done' & trap 'exit 0' TERM; wait`))
	out.await(t, "ready", 1)
	scale(t, s, 0)
	awaitEvents(t, s, simulator.Exited, 1)
	out.await(t, "child finished", 1)
}

// A dyno dies with its leader: a child of it does not live on.
func TestACrashTakesTheChildrenAlong(t *testing.T) {
	out := newLines()
	s := platform(t, simulator.Options{Output: out}, script(1, `sleep 1000 & echo ready; exit 4`))
	out.await(t, "ready", 1)
	exit := awaitEvents(t, s, simulator.Exited, 1)[0]
	if exit.ExitCode != 4 {
		t.Errorf("%+v", exit)
	}
	awaitNoGroup(t, exit.PID)
}

func TestCrashedProcessesComeBack(t *testing.T) {
	s := platform(t, simulator.Options{CrashDelay: time.Millisecond}, script(1, `exit 5`))
	crashes := awaitEvents(t, s, simulator.Crashed, 4)
	for _, e := range crashes {
		if e.ExitCode != 5 || e.PID == 0 {
			t.Errorf("%+v", e)
		}
	}
}

func TestAMissingCommandIsACrash(t *testing.T) {
	out := newLines()
	s := platform(t, simulator.Options{Output: out}, shop(simulator.Process{Quantity: 1, Command: []string{"/no/such/program"}}))
	if crash := awaitEvents(t, s, simulator.Crashed, 1)[0]; crash.ExitCode != 127 {
		t.Errorf("%+v", crash)
	}
	out.await(t, "worker.1 | ", 1)
}

func TestCloseLeavesNoProcess(t *testing.T) {
	tests := map[string]struct {
		script string
		ctx    func() (context.Context, context.CancelFunc)
		killed bool
	}{
		"obedient": {forever, func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }, false},
		"out of time": {`trap '' TERM; ` + forever, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 0)
		}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out := newLines()
			s := platform(t, simulator.Options{Output: out}, script(2, test.script))
			out.await(t, "ready", 2)
			ctx, cancel := test.ctx()
			defer cancel()
			if err := s.Close(ctx); !errors.Is(err, ctx.Err()) {
				t.Error(err)
			}
			if killed := ofKind(s, simulator.Killed); (len(killed) == 2) != test.killed {
				t.Errorf("killed: %+v", killed)
			}
			started := ofKind(s, simulator.Started)
			if len(started) != 2 || len(ofKind(s, simulator.Exited)) != 2 {
				t.Errorf("%+v", s.Events())
			}
			for _, e := range started {
				awaitNoGroup(t, e.PID)
			}
			if s.AddApp(simulator.App{Name: "late", Formation: []simulator.Process{{Type: "worker", Quantity: 1}}}) == nil {
				t.Error("a closed platform takes an app")
			}
		})
	}
}
