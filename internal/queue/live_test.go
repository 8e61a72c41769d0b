package queue

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// apiState is what Sidekiq's own API says.
type apiState struct {
	Depth     int64
	Latency   float64
	InFlight  int64 `json:"in_flight"`
	Due       float64
	Retries   int
	Processed int64
	Processes []apiProcess
}

type apiProcess struct {
	Identity string
	Busy     int64
	Quiet    bool
}

// live is a real Sidekiq on a real Redis.
type live struct {
	*testing.T
	env    []string
	client *redis.Client
	spec   Spec

	input  io.Writer
	output *bufio.Reader
}

func startLive(t *testing.T, namespace string) *live {
	t.Helper()
	server := redisserver.StartT(t, redisserver.Options{})
	l := &live{
		T:      t,
		env:    append(os.Environ(), "REDIS_URL="+server.URL(), "DYNO=worker.1"),
		client: clientOf(t, server.URL()),
		spec:   Spec{System: Sidekiq, Names: []string{"default", "mailers"}, ProcessType: "worker", DueHorizon: time.Hour},
	}
	if namespace != "" {
		l.env = append(l.env, "NAMESPACE="+namespace)
		l.spec.KeyPrefix = namespace + ":"
	}
	console := l.command("ruby", "testdata/sidekiq/live/console.rb")
	input, err := console.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := console.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.input, l.output = input, bufio.NewReader(output)
	l.start(console)
	return l
}

func (l *live) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(name, args...)
	command.Env = l.env
	return command
}

// start starts a process, and kills it when the test ends.
func (l *live) start(command *exec.Cmd) {
	l.Helper()
	if err := command.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// ruby evaluates an expression in the console.
func (l *live) ruby(expression string, into any) {
	l.Helper()
	if _, err := fmt.Fprintln(l.input, expression); err != nil {
		l.Fatal(err)
	}
	line, err := l.output.ReadBytes('\n')
	if err != nil {
		l.Fatal(err)
	}
	if err = json.Unmarshal(line, into); err != nil {
		l.Fatalf("%s: %v", line, err)
	}
}

func (l *live) worker() *exec.Cmd {
	command := l.command("sidekiq", "-r", "./testdata/sidekiq/live/jobs.rb", "-c", "3", "-t", "1", "-q", "default", "-q", "mailers")
	l.start(command)
	return command
}

func (l *live) signal(command *exec.Cmd, signal os.Signal) {
	l.Helper()
	if err := command.Process.Signal(signal); err != nil {
		l.Fatal(err)
	}
}

// await looks until the observation is as wanted, and then compares it with what the API says.
func (l *live) await(stage string, want func(Observation) bool) Observation {
	l.Helper()
	const patience = 30 * time.Second
	deadline := time.Now().Add(patience)
	for {
		var before, after apiState
		l.ruby("state", &before)
		seen := observe(l, l.client, l.spec)
		l.ruby("state", &after)
		latency := after.Latency
		before.Latency, after.Latency = 0, 0
		if want(seen) && reflect.DeepEqual(before, after) {
			l.compare(stage, seen, after, latency)
			return seen
		}
		if time.Now().After(deadline) {
			l.Fatalf("%s: got %+v, the API says %+v", stage, seen, after)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-l.Context().Done():
			l.Fatal(context.Cause(l.Context()))
		}
	}
}

func (l *live) compare(stage string, seen Observation, api apiState, latency float64) {
	l.Helper()
	processes := []apiProcess{}
	for _, process := range seen.Processes {
		processes = append(processes, apiProcess{process.Identity, process.Busy, process.Quiet})
	}
	slices.SortFunc(api.Processes, func(a, b apiProcess) int { return strings.Compare(a.Identity, b.Identity) })
	if seen.Depth != api.Depth || seen.InFlight != api.InFlight || seen.Processed != api.Processed || !slices.Equal(processes, api.Processes) {
		l.Errorf("%s: got %+v, the API says %+v", stage, seen, api)
	}
	if seen.Latency.Seconds() > latency || seen.Latency == 0 && seen.Depth > 0 {
		l.Errorf("%s: latency %v, a moment later the API says %v s", stage, seen.Latency, latency)
	}
	if found(seen) != (api.Due > 0) || found(seen) && seen.NextDue.Sub(timeOf(api.Due)).Abs() > seen.End.Sub(seen.Start)+time.Millisecond {
		l.Errorf("%s: due %v, the API says %v", stage, seen.NextDue, timeOf(api.Due))
	}
	if seen.Doubt != "" {
		l.Errorf("%s: %s", stage, seen.Doubt)
	}
}

// TestLiveSidekiq follows jobs through a real Sidekiq.
func TestLiveSidekiq(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a real Sidekiq for some 20 seconds")
	}
	for name, namespace := range map[string]string{"plain": "", "namespace": "shop"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLive(t, namespace)
			l.await("nothing", func(o Observation) bool { return !o.Active() })

			var done any
			l.ruby("LongJob.perform_async; LongJob.perform_async; FailJob.perform_async; LongJob.perform_in(600); 1", &done)
			l.await("queued", func(o Observation) bool { return o.Depth == 3 && found(o) })

			first := l.worker()
			o := l.await("running", func(o Observation) bool { return o.Depth == 0 && o.InFlight == 2 && o.Processed == 1 })
			if o.Live() != 1 || o.AllQuiet() {
				t.Errorf("running: %+v", o.Processes)
			}
			var state apiState
			if l.ruby("state", &state); state.Retries != 1 {
				t.Errorf("%d retries", state.Retries)
			}

			l.signal(first, syscall.SIGTSTP)
			l.await("quiet", func(o Observation) bool { return o.AllQuiet() && o.InFlight == 2 })

			l.signal(first, syscall.SIGTERM)
			_ = first.Wait()
			l.await("terminated", func(o Observation) bool { return o.Depth == 2 && o.InFlight == 0 && len(o.Processes) == 0 })

			second := l.worker()
			l.await("running again", func(o Observation) bool { return o.Depth == 0 && o.InFlight == 2 })
			l.signal(second, syscall.SIGKILL)
			_ = second.Wait()
			o = l.await("killed", func(o Observation) bool { return o.InFlight == 2 && o.Live() == 1 })

			// A minute later its keys expire.
			identity := l.spec.KeyPrefix + o.Processes[0].Identity
			do(t, l.client, cmd("pexpire", identity, 0), cmd("pexpire", identity+":workers", 0))
			l.await("expired", func(o Observation) bool { return !o.Active() && len(o.Processes) == 0 })
		})
	}
}
