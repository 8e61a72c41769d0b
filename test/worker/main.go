// Command worker is one Sidekiq 7.3.10 process as seen from Redis and from Heroku, for tests that want
// many of them, with other times than Sidekiq's own. It runs in a dyno, with DYNO, REDIS_URL and
// JOB_LOG in its environment.
//
// What it does to Redis, and in which order, is what that version does in launcher.rb, manager.rb,
// processor.rb and fetch.rb, with these exceptions:
//   - It does not poll the schedule and retry sets, and of the counters knows stat:processed only.
//   - A job is a time to sleep, as the Work of test/stack/app, and never fails.
//   - A stop is over as soon as the last job is. Sidekiq looks every half second.
//   - The heartbeat ends before the process takes back its identity. Sidekiq's goes on until the exit;
//     with short beats it would often bring the identity back.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// options are the command line's.
type options struct {
	queues      []string
	concurrency int
	tag         string
	beat        time.Duration // between heartbeats
	fetch       time.Duration // how long one BRPOP waits; less than timeout, or it gets what is pushed back
	timeout     time.Duration // for busy jobs to end at a stop
}

func parseOptions() options {
	var o options
	queues := flag.String("queues", "default", "the `names` of the queues, in strict order, separated by commas")
	flag.IntVar(&o.concurrency, "concurrency", 5, "how many jobs may run at once")
	flag.StringVar(&o.tag, "tag", "app", "the process's tag")
	flag.DurationVar(&o.beat, "beat", 10*time.Second, "the time between heartbeats")
	flag.DurationVar(&o.fetch, "fetch", 2*time.Second, "how long a processor waits for a job before it looks whether it is to stop")
	flag.DurationVar(&o.timeout, "t", 25*time.Second, "how long a stop waits for busy jobs")
	flag.Parse()
	o.queues = strings.Split(*queues, ",")
	return o
}

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTSTP, syscall.SIGTERM, syscall.SIGINT)
	if err := run(parseOptions(), signals); err != nil {
		log.Fatal(err)
	}
}

// run boots a process, and returns when it has stopped.
func run(o options, signals <-chan os.Signal) error {
	client, err := connect(o)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	jobs, err := os.OpenFile(os.Getenv("JOB_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the job log: %w", err)
	}
	defer func() { _ = jobs.Close() }()
	newProcess(o, client, jobs).run(context.Background(), signals)
	return nil
}

// connect makes a client that retries as Sidekiq's does. Like Sidekiq, it asks for the server's INFO
// before anything else.
func connect(o options) (*redis.Client, error) {
	at, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	const heartbeatAndStop = 2
	at.PoolSize = o.concurrency + heartbeatAndStop // a processor that waits for a job holds a connection
	at.ReadTimeout = o.fetch + 3*time.Second
	at.MaxRetries = 1
	at.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	client := redis.NewClient(at)
	if err := client.Info(context.Background()).Err(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return client, nil
}

// dyno is the name that Heroku gives the process.
func dyno() string {
	host, _ := os.Hostname()
	return cmp.Or(os.Getenv("DYNO"), host)
}

// seconds since 1970, as Ruby's Time#to_f.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
