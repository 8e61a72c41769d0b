package races

import (
	"time"

	"github.com/queuescaler/queuescaler/test/stack"
)

// Worker is the kind of process that runs in the dynos.
type Worker struct {
	// Beat is the time between its heartbeats.
	Beat time.Duration
	// Command is for a lane, of which the name is also the queue's and the tag's. In its environment
	// are REDIS_URL and JOB_LOG. It should not wait for jobs when told to stop, so that one which runs
	// then is really interrupted.
	Command func(lane, dir, redisURL string) ([]string, error)
}

// Fast is a stand-in for Sidekiq with fast heartbeats: the binary of test/worker.
func Fast(binary string) Worker {
	return Worker{Beat: 250 * time.Millisecond, Command: func(lane, _, _ string) ([]string, error) {
		return []string{binary, "-queues", lane, "-tag", lane, "-concurrency", "2", "-beat", "250ms", "-t", "1s", "-fetch", "500ms"}, nil
	}}
}

// Sidekiq is the real one.
func Sidekiq() Worker {
	return Worker{Beat: 5 * time.Second, Command: func(lane, dir, redisURL string) ([]string, error) {
		app, err := stack.NewSidekiq(dir, redisURL)
		if err != nil {
			return nil, err
		}
		return append(app.Command(2, lane), "-g", lane, "-t", "1"), nil
	}}
}
