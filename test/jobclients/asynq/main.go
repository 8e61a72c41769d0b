// Command asynq is a client and a server of Asynq for tests. Arguments: console or worker, and the queue's
// name. REDIS_URL tells where Redis is.
//
// The console takes commands on its standard input, one a line, and answers each with a line of JSON:
//
//	add DELAY_SECONDS KIND     a task: hold lasts until SIGUSR2, fail fails, any other is done at once; its id
//	add DELAY_SECONDS sleep S  a task that takes so many seconds
//	group NAME                 a task to be aggregated
//	pause, resume, info        info is what the Inspector says of the queue
//
// The worker works on two tasks at a time, and writes what becomes of them to the file named by JOB_LOG, as
// test/stack.JobLog has it. SIGTERM ends it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

func main() {
	role, queue := os.Args[1], os.Args[2]
	redis, err := asynq.ParseRedisURI(os.Getenv("REDIS_URL"))
	if err == nil && role == "console" {
		err = console(redis, queue)
	} else if err == nil {
		err = work(redis, queue)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func console(redis asynq.RedisConnOpt, queue string) error {
	client, inspector := asynq.NewClient(redis), asynq.NewInspector(redis)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := run(client, inspector, queue, strings.Fields(lines.Text()))
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func run(client *asynq.Client, inspector *asynq.Inspector, queue string, words []string) (any, error) {
	switch words[0] {
	case "add":
		delay, err := strconv.Atoi(words[1])
		if err != nil {
			return nil, err
		}
		task := asynq.NewTask(words[2], []byte(strings.Join(words[3:], " ")))
		info, err := client.Enqueue(task, asynq.Queue(queue), asynq.MaxRetry(5), asynq.ProcessIn(time.Duration(delay)*time.Second))
		if err != nil {
			return nil, err
		}
		return info.ID, nil
	case "group":
		return client.Enqueue(asynq.NewTask("plain", nil), asynq.Queue(queue), asynq.Group(words[1]))
	case "pause":
		return nil, inspector.PauseQueue(queue)
	case "resume":
		return nil, inspector.UnpauseQueue(queue)
	case "info":
		return inspector.GetQueueInfo(queue)
	}
	return nil, errors.New("unknown command " + words[0])
}

func work(redis asynq.RedisConnOpt, queue string) error {
	released := make(chan os.Signal, 1)
	signal.Notify(released, syscall.SIGUSR2)
	hold := make(chan struct{})
	go func() {
		<-released
		close(hold)
	}()
	server := asynq.NewServer(redis, asynq.Config{
		Concurrency:              2,
		Queues:                   map[string]int{queue: 1},
		ShutdownTimeout:          time.Second,
		DelayedTaskCheckInterval: 100 * time.Millisecond,
		RetryDelayFunc:           retryDelay,
	})
	err := server.Start(logged(func(ctx context.Context, task *asynq.Task) error {
		switch task.Type() {
		case "hold":
			return await(ctx, hold)
		case "sleep":
			seconds, err := strconv.ParseFloat(string(task.Payload()), 64)
			if err != nil {
				return err
			}
			return await(ctx, time.After(time.Duration(seconds*float64(time.Second))))
		case "fail":
			return errors.New("this task fails")
		}
		return nil
	}))
	if err != nil {
		return err
	}
	if os.Getenv("FOLLOW_INPUT") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1) // whoever started it is gone
		}()
	}
	fmt.Println(`"ready"`)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	server.Shutdown()
	return nil
}

func await[T any](ctx context.Context, done <-chan T) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryDelay has a task that failed wait an hour, and one whose server died be tried again at once.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, asynq.ErrLeaseExpired) {
		return 0
	}
	return time.Hour
}
