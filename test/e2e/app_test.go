package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/stack"
)

// app is a Heroku app with workers, and a Redis database of its own.
type app struct {
	name     string
	redisURL string
	jobLog   stack.JobLog
	jobs     []string // all that were enqueued
}

// newApp makes an app that has yet to be deployed.
func newApp() *app {
	w.databases++
	return &app{
		name:     fmt.Sprintf("app-%d-%d", GinkgoParallelProcess(), w.databases),
		redisURL: fmt.Sprintf("%s/%d", w.redis.URL(), w.databases),
		jobLog:   stack.JobLog(filepath.Join(GinkgoT().TempDir(), "jobs.log")),
	}
}

// deploy has Heroku know the app, and the process types that have no dynos yet.
func (a *app) deploy(ctx context.Context, processTypes ...simulator.Process) {
	configVars := map[string]string{"REDIS_URL": a.redisURL, "JOB_LOG": string(a.jobLog)}
	Expect(w.heroku.AddApp(simulator.App{Name: a.name, ConfigVars: configVars, Formation: processTypes})).To(Succeed())
	w.createSecret(ctx, a.name, "REDIS_URL", a.redisURL)
	DeferCleanup(func(ctx SpecContext) { a.remove(ctx, processTypes) }, NodeTimeout(patience))
}

// remove takes the QueueScalers away, then the app and its dynos.
func (a *app) remove(ctx context.Context, processTypes []simulator.Process) {
	for _, process := range processTypes {
		Expect(client.IgnoreNotFound(w.cluster.Delete(ctx, a.scaler(process.Type)))).To(Succeed())
		Eventually(ctx, func() error { return w.cluster.Get(ctx, a.key(process.Type), &v1.QueueScaler{}) }).ShouldNot(Succeed())
	}
	w.heroku.RemoveApp(a.name)
}

func (a *app) key(processType string) client.ObjectKey {
	return client.ObjectKey{Namespace: w.namespace, Name: a.name + "-" + processType}
}

// scaler is a QueueScaler of a process type with short times.
func (a *app) scaler(processType string, queues ...string) *v1.QueueScaler {
	key := a.key(processType)
	return &v1.QueueScaler{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace},
		Spec: v1.QueueScalerSpec{
			Redis: v1.RedisSpec{URLFrom: v1.RedisURLSource{SecretKeyRef: &v1.SecretKeyRef{Name: a.name, Key: "REDIS_URL"}}},
			Queue: v1.QueueSpec{Type: v1.QueueSidekiq, Names: queues},
			Heroku: v1.HerokuSpec{App: a.name, ProcessType: processType,
				APIKeySecretRef: v1.SecretKeyRef{Name: "heroku", Key: "HEROKU_API_KEY"}},
			ActiveQuantity:     2,
			IdleTimeoutSeconds: 5,
			PollPeriodSeconds:  1,
			WakeLeadSeconds:    ptr.To(int32(wakeLead.Seconds())),
			DeletionPolicy:     v1.DeletionRetain,
		},
	}
}

func (a *app) scale(ctx context.Context, processType string, queues []string, changes ...func(*v1.QueueScaler)) {
	scaler := a.scaler(processType, queues...)
	for _, change := range changes {
		change(scaler)
	}
	Expect(w.cluster.Create(ctx, scaler)).To(Succeed())
}

// addWebhook has Heroku tell the operator of what happens to the app.
func (a *app) addWebhook(ctx context.Context) {
	GinkgoHelper()
	command := exec.CommandContext(ctx, binary, "webhooks", "add", "--heroku-url", w.heroku.URL(), //nolint:gosec // our own
		"--app", a.name, "--url", "http://"+w.webhooks+"/heroku")
	command.Env = append(os.Environ(), "HEROKU_API_KEY="+token, "WEBHOOK_SECRET="+webhookSecret)
	output, err := command.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(output))
}

// awaitQuantity waits until the formation has a quantity, without asking Heroku for it.
func (a *app) awaitQuantity(ctx context.Context, processType string, quantity int) {
	GinkgoHelper()
	Expect(w.heroku.Wait(ctx, func() bool { return w.heroku.Quantity(a.name, processType) == quantity })).To(Succeed(),
		"%s of %s should have quantity %d, has %d", processType, a.name, quantity, w.heroku.Quantity(a.name, processType))
}

// awaitGone waits until no process of the app runs any more.
func (a *app) awaitGone(ctx context.Context) {
	GinkgoHelper()
	Expect(w.heroku.Wait(ctx, func() bool { return len(a.running()) == 0 })).To(Succeed())
}

// running are the processes that were started and have not ended.
func (a *app) running() map[int]bool {
	pids := map[int]bool{}
	for _, event := range w.heroku.Events() {
		if event.App != a.name || event.PID == 0 {
			continue
		}
		switch event.Kind {
		case simulator.Started:
			pids[event.PID] = true
		case simulator.Exited:
			delete(pids, event.PID)
		}
	}
	return pids
}

func (a *app) log() []stack.JobEvent {
	events, err := a.jobLog.Events()
	Expect(err).NotTo(HaveOccurred())
	return events
}

// awaitEvents waits until the job log has so many events of a kind.
func (a *app) awaitEvents(ctx context.Context, kind string, count int) {
	GinkgoHelper()
	Eventually(ctx, func() int { return len(eventsOf(a.log(), kind)) }).Should(BeNumerically(">=", count))
}

func eventsOf(events []stack.JobEvent, kind string) []stack.JobEvent {
	return slices.DeleteFunc(slices.Clone(events), func(e stack.JobEvent) bool { return e.Event != kind })
}

// status reads the status of a process type's QueueScaler.
func (a *app) status(ctx context.Context, g Gomega, processType string) v1.QueueScalerStatus {
	var scaler v1.QueueScaler
	g.Expect(w.cluster.Get(ctx, a.key(processType), &scaler)).To(Succeed())
	return scaler.Status
}

// quantities are those that PATCHes asked for, in order, the same one after the other told once.
func (a *app) quantities(processType string) []int {
	var quantities []int
	for _, event := range w.heroku.Events() {
		if event.App == a.name && event.Type == processType && event.Kind == simulator.Scaled && event.Method != "" {
			quantities = append(quantities, event.NewQuantity)
		}
	}
	return slices.Compact(quantities)
}

// judge compares the job log with the simulator's record: every job has run to its end, none was
// started more than once but for planned retries, and none was running when its dyno got TERM.
// It returns the interrupted ones, which only a spec that interrupts jobs may expect.
func (a *app) judge() (interrupted []string) {
	GinkgoHelper()
	starts, ends := map[string]int{}, map[string]int{}
	for _, event := range a.log() {
		switch event.Event {
		case "start":
			starts[fmt.Sprintf("%s#%d", event.Job, event.Attempt)]++
		case "end":
			ends[event.Job]++
		case "interrupted":
			interrupted = append(interrupted, event.Job)
		}
	}
	for _, job := range a.jobs {
		Expect(ends[job]).To(Equal(1), "job %s should have ended once", job)
	}
	for attempt, count := range starts {
		job, _, _ := strings.Cut(attempt, "#")
		Expect(count).To(Equal(1+countOf(interrupted, job)), "attempt %s was started %d times", attempt, count)
	}
	Expect(a.runningAtTerm()).To(HaveLen(len(interrupted)), "jobs that ran when their dyno got TERM")
	return interrupted
}

func countOf(list []string, item string) int {
	return len(slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s != item }))
}

// runningAtTerm are the attempts with start < TERM < end.
func (a *app) runningAtTerm() []string {
	terms := map[int]time.Time{}
	for _, event := range w.heroku.Events() {
		if event.App == a.name && event.Kind == simulator.Terminated {
			terms[event.PID] = event.Time
		}
	}
	open, caught := map[string]stack.JobEvent{}, []string{}
	for _, event := range a.log() {
		key := fmt.Sprintf("%s on %s (%d)", event.Job, event.Dyno, event.PID)
		if event.Event == "start" {
			open[key] = event
			continue
		}
		term, stopped := terms[event.PID]
		if start, ok := open[key]; ok && stopped && start.Time().Before(term) && term.Before(event.Time()) {
			caught = append(caught, key)
		}
		delete(open, key)
	}
	return caught
}

// expectNoSecretIn looks for credentials in a file.
func expectNoSecretIn(file string) {
	content, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(content)).NotTo(ContainSubstring(token), "the Heroku token is in the operator's log")
	Expect(string(content)).NotTo(ContainSubstring(webhookSecret), "the webhooks' secret is in the operator's log")
}
