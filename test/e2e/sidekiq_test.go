package e2e

import (
	"context"
	"path/filepath"
	"time"

	. "github.com/onsi/gomega"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/stack"
)

// sidekiqApp is an app with Sidekiq workers.
type sidekiqApp struct {
	*app
	sidekiq *stack.Sidekiq
}

// newSidekiqApp makes an app whose process types, each with the queues it works on, have no dynos yet.
// The flags are Sidekiq's.
func newSidekiqApp(ctx context.Context, processTypes map[string][]string, flags ...string) *sidekiqApp {
	a := &sidekiqApp{app: newApp()}
	var err error
	a.sidekiq, err = stack.NewSidekiq(filepath.Dir(string(a.jobLog)), a.redisURL)
	Expect(err).NotTo(HaveOccurred())
	a.jobLog = a.sidekiq.Log
	var processes []simulator.Process
	for name, queues := range processTypes {
		processes = append(processes, simulator.Process{Type: name, Command: append(a.sidekiq.Command(5, queues...), flags...)})
	}
	a.deploy(ctx, processes...)
	return a
}

func (a *sidekiqApp) enqueue(ctx context.Context, queue string, count int, work, due time.Duration) []string {
	jobs, err := a.sidekiq.Enqueue(ctx, queue, count, work, due)
	Expect(err).NotTo(HaveOccurred())
	a.jobs = append(a.jobs, jobs...)
	return jobs
}
