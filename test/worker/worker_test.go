package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// asWorker in the environment makes the test's binary the worker's.
const asWorker = "TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// fixture is a worker on a Redis of its own.
type fixture struct {
	*testing.T
	redis  *redis.Client
	log    string
	worker *exec.Cmd
	exited chan error
	pushed int
}

// start starts a worker with short times on the queues high and low; flags override them.
func start(t *testing.T, flags ...string) *fixture {
	t.Helper()
	server := redisserver.StartT(t, redisserver.Options{})
	at, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, redis: redis.NewClient(at), log: filepath.Join(t.TempDir(), "jobs.log"), exited: make(chan error, 1)}
	t.Cleanup(func() { _ = f.redis.Close() })
	short := []string{"-queues", "high,low", "-concurrency", "2", "-beat", "5ms", "-fetch", "50ms"}
	f.worker = exec.Command(os.Args[0], append(short, flags...)...)
	f.worker.Env = append(os.Environ(), asWorker+"=1", "DYNO=worker.1", "REDIS_URL="+server.URL(), "JOB_LOG="+f.log)
	f.worker.Stdout, f.worker.Stderr = t.Output(), t.Output()
	if err := f.worker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.exited <- f.worker.Wait()
	}()
	t.Cleanup(func() {
		_ = f.worker.Process.Kill()
		<-ended
	})
	f.eventually("it tells of itself", func() bool { return f.identity() != "" && f.hash("info") != "" })
	return f
}

// eventually waits until a condition holds.
func (f *fixture) eventually(what string, holds func() bool) {
	f.Helper()
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (f *fixture) check(err error) {
	f.Helper()
	if err != nil && !errors.Is(err, redis.Nil) {
		f.Fatal(err)
	}
}

// identity is the worker's, empty if it has left.
func (f *fixture) identity() string {
	f.Helper()
	identities, err := f.redis.SMembers(f.Context(), "processes").Result()
	f.check(err)
	return strings.Join(identities, " ")
}

func (f *fixture) hash(field string) string {
	f.Helper()
	value, err := f.redis.HGet(f.Context(), f.identity(), field).Result()
	f.check(err)
	return value
}

func (f *fixture) waiting(queue string) []string {
	f.Helper()
	payloads, err := f.redis.LRange(f.Context(), "queue:"+queue, 0, -1).Result()
	f.check(err)
	return payloads
}

// push enqueues a job that sleeps.
func (f *fixture) push(queue string, sleep time.Duration) (id, payload string) {
	f.Helper()
	f.pushed++
	id = fmt.Sprintf("job-%d", f.pushed)
	payload = marshal(map[string]any{"class": "Work", "args": []any{sleep.Seconds()}, "jid": id, "queue": queue,
		"created_at": seconds(time.Now()), "enqueued_at": seconds(time.Now())})
	f.check(f.redis.LPush(f.Context(), "queue:"+queue, payload).Err())
	return id, payload
}

// ask puts a signal where the worker looks at its next heartbeat.
func (f *fixture) ask(signal string) {
	f.Helper()
	f.check(f.redis.LPush(f.Context(), f.identity()+"-signals", signal).Err())
}

func (f *fixture) signal(signal os.Signal) {
	f.Helper()
	f.check(f.worker.Process.Signal(signal))
}

// events are the job log's, of one job.
func (f *fixture) events(id string) []string {
	f.Helper()
	file, err := os.Open(f.log)
	f.check(err)
	defer func() { _ = file.Close() }()
	var events []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e event
		f.check(json.Unmarshal(lines.Bytes(), &e))
		if e.Dyno != "worker.1" || e.PID != f.worker.Process.Pid || e.Class != "Work" || e.Attempt != 1 || time.Since(time.UnixMicro(int64(e.At*1e6))).Abs() > time.Minute {
			f.Errorf("odd line %s", lines.Text())
		}
		if e.Job == id {
			events = append(events, e.Event+" "+e.Queue)
		}
	}
	return events
}

func (f *fixture) logged(id string, want ...string) {
	f.Helper()
	f.eventually(fmt.Sprintf("%s logs %q, not %q", id, want, f.events(id)), func() bool { return slices.Equal(f.events(id), want) })
}

// leaves waits for the exit, and checks what is left in Redis of the worker.
func (f *fixture) leaves(identity string, finished string) {
	f.Helper()
	select {
	case err := <-f.exited:
		f.check(err)
	case <-time.After(20 * time.Second):
		f.Fatal("it does not exit")
	}
	if got := f.identity(); got != "" {
		f.Errorf("%s is still in processes", got)
	}
	left, err := f.redis.Exists(f.Context(), identity+":work").Result()
	f.check(err)
	ttl, err := f.redis.TTL(f.Context(), identity).Result()
	f.check(err)
	if left != 0 || ttl <= 0 || ttl > time.Minute {
		f.Errorf("%d work hashes are left, and the process hash for %s", left, ttl)
	}
	processed, err := f.redis.Get(f.Context(), "stat:processed").Result()
	f.check(err)
	if processed != finished {
		f.Errorf("%q jobs were processed, want %q", processed, finished)
	}
}

func TestTellsOfItself(t *testing.T) {
	f := start(t, "-tag", "shop")
	identity := f.identity()
	if want := fmt.Sprintf(`^worker\.1:%d:[0-9a-f]{12}$`, f.worker.Process.Pid); !regexp.MustCompile(want).MatchString(identity) {
		t.Errorf("identity %s, want %s", identity, want)
	}
	var info struct {
		Hostname, Tag, Identity, Version string
		Concurrency                      int
		Queues                           []string
	}
	f.check(json.Unmarshal([]byte(f.hash("info")), &info))
	if got, want := fmt.Sprint(info), fmt.Sprintf("{worker.1 shop %s 7.3.10 2 [high low]}", identity); got != want {
		t.Errorf("info %s, want %s", got, want)
	}
	if busy, quiet := f.hash("busy"), f.hash("quiet"); busy != "0" || quiet != "false" {
		t.Errorf("busy %s, quiet %s", busy, quiet)
	}
	beat := f.hash("beat")
	f.eventually("another heartbeat", func() bool { return f.hash("beat") != beat })
}

func TestRunsJobs(t *testing.T) {
	f := start(t)
	identity := f.identity()
	long, payload := f.push("low", time.Second)
	f.eventually("it is busy", func() bool { return f.hash("busy") == "1" })
	told, err := f.redis.HVals(t.Context(), identity+":work").Result()
	f.check(err)
	var running work
	if len(told) == 1 {
		f.check(json.Unmarshal([]byte(told[0]), &running))
	}
	if running.Queue != "low" || running.Payload != payload || running.RunAt == 0 {
		t.Errorf("work %q", told)
	}
	short, _ := f.push("high", 0)
	f.logged(short, "start high", "end high")
	f.logged(long, "start low", "end low")
	f.eventually("it is idle", func() bool { return f.hash("busy") == "0" })
	f.ask("TERM")
	f.leaves(identity, "2")
}

func TestQuiet(t *testing.T) {
	f := start(t, "-fetch", "2s", "-concurrency", "1")
	identity := f.identity()
	f.ask("TSTP")
	f.eventually("it is quiet", func() bool { return f.hash("quiet") == "true" })
	// BRPOP still waits and gets the job.
	id, payload := f.push("high", 0)
	f.eventually("the job is pushed back", func() bool {
		return strings.Contains(f.commands(), "cmdstat_rpush:calls=1,") && slices.Equal(f.waiting("high"), []string{payload})
	})
	beat := f.hash("beat")
	f.eventually("the heart beats on", func() bool { return f.hash("beat") != beat })
	f.signal(syscall.SIGTERM)
	f.leaves(identity, "")
	if len(f.waiting("high")) != 1 {
		t.Error("the job is gone")
	}
	f.logged(id)
}

// commands says how often Redis was told what.
func (f *fixture) commands() string {
	f.Helper()
	stats, err := f.redis.Info(f.Context(), "commandstats").Result()
	f.check(err)
	return stats
}

func TestStopWaitsForJobs(t *testing.T) {
	f := start(t)
	identity := f.identity()
	id, _ := f.push("high", 300*time.Millisecond)
	f.logged(id, "start high")
	f.signal(syscall.SIGTERM)
	f.leaves(identity, "1")
	f.logged(id, "start high", "end high")
}

func TestStopInterruptsJobs(t *testing.T) {
	f := start(t, "-t", "100ms", "-concurrency", "3")
	identity := f.identity()
	var ids, payloads []string
	for _, queue := range []string{"high", "low"} {
		id, payload := f.push(queue, time.Hour)
		ids, payloads = append(ids, id), append(payloads, payload)
	}
	f.eventually("both run", func() bool { return f.hash("busy") == "2" })
	f.signal(syscall.SIGTERM)
	f.leaves(identity, "2")
	if got := append(f.waiting("high"), f.waiting("low")...); !slices.Equal(got, payloads) {
		t.Errorf("waiting %q, want %q", got, payloads)
	}
	f.logged(ids[0], "start high", "interrupted high")
	f.logged(ids[1], "start low", "interrupted low")
}

func TestStopLosesNoJob(t *testing.T) {
	f := start(t, "-t", "10ms", "-concurrency", "8")
	payloads := map[string]string{}
	for i := range 400 {
		id, payload := f.push("low", time.Duration(i%20)*time.Millisecond)
		payloads[id] = payload
		if i == 200 {
			f.signal(syscall.SIGTERM) // while jobs still come
		}
	}
	f.check(<-f.exited)
	waiting := f.waiting("low")
	t.Logf("%d are waiting", len(waiting))
	for id, payload := range payloads {
		if !slices.Contains(f.events(id), "end low") && !slices.Contains(waiting, payload) {
			t.Errorf("%s is lost: %q", id, f.events(id))
		}
	}
}
