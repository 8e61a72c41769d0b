package stack

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed app/*.rb
var app embed.FS

// Sidekiq is a Sidekiq application in a directory of its own.
type Sidekiq struct {
	Dir      string
	RedisURL string
	// Log is where the jobs write what becomes of them.
	Log JobLog
}

// NewSidekiq writes the application into a directory.
func NewSidekiq(dir, redisURL string) (*Sidekiq, error) {
	s := &Sidekiq{Dir: dir, RedisURL: redisURL, Log: JobLog(filepath.Join(dir, "jobs.log"))}
	for _, name := range []string{"jobs.rb", "enqueue.rb"} {
		source, err := app.ReadFile("app/" + name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), source, 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Command is the Procfile line of a process type that works on the queues.
func (s *Sidekiq) Command(concurrency int, queues ...string) []string {
	command := []string{"sidekiq", "-r", filepath.Join(s.Dir, "jobs.rb"), "-c", strconv.Itoa(concurrency)}
	for _, queue := range queues {
		command = append(command, "-q", queue)
	}
	return command
}

// ConfigVars are the app's settings, as Heroku gives them to its dynos.
func (s *Sidekiq) ConfigVars() map[string]string {
	return map[string]string{"REDIS_URL": s.RedisURL, "JOB_LOG": string(s.Log)}
}

// Enqueue puts count jobs that sleep for a duration into a queue, at once or due in a while, and
// returns their ids.
func (s *Sidekiq) Enqueue(ctx context.Context, queue string, count int, work, due time.Duration) ([]string, error) {
	args := []string{queue, strconv.Itoa(count), seconds(work)}
	if due > 0 {
		args = append(args, seconds(due))
	}
	return s.run(ctx, args...)
}

// EnqueueFailing puts a job into a queue that fails once.
func (s *Sidekiq) EnqueueFailing(ctx context.Context, queue string) ([]string, error) {
	return s.run(ctx, queue, "fail", filepath.Join(s.Dir, "failed-once"))
}

func (s *Sidekiq) run(ctx context.Context, args ...string) ([]string, error) {
	command := exec.CommandContext(ctx, "ruby", append([]string{filepath.Join(s.Dir, "enqueue.rb")}, args...)...)
	command.Env = append(os.Environ(), "REDIS_URL="+s.RedisURL, "JOB_LOG="+string(s.Log))
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("enqueuing: %w\n%s", err, complaints.String())
	}
	return strings.Fields(string(output)), nil
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
