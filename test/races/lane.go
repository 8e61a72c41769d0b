package races

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// lane is an app, a process type, a queue and a QueueScaler, all of one name.
type lane struct {
	*experiment
	name        string
	dir         string
	redisURL    string
	redis       *redis.Client
	idleTimeout time.Duration
	log         *jobLog
	moments

	pushes    []push
	unstopped []time.Time // when a stop had not come, though waited for
}

// push is a job that was pushed.
type push struct {
	job      string
	strategy string
	at       time.Time
}

// pollPeriod is that of the QueueScalers.
const pollPeriod = time.Second

// open makes what belongs to the lane.
func (l *lane) open(ctx context.Context) error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	l.log = &jobLog{file: filepath.Join(l.dir, "jobs.log")}
	command, err := l.Worker.Command(l.name, l.dir, l.redisURL)
	if err != nil {
		return err
	}
	if err := l.Heroku.AddApp(simulator.App{
		Name:       l.name,
		ConfigVars: map[string]string{"REDIS_URL": l.redisURL, "JOB_LOG": l.log.file},
		Formation:  []simulator.Process{{Type: l.name, Command: command}},
	}); err != nil {
		return err
	}
	return errors.Join(l.Client.Create(ctx, l.secret()), l.Client.Create(ctx, l.scaler()))
}

// close takes it away again.
func (l *lane) close(ctx context.Context) error {
	err := client.IgnoreNotFound(l.Client.Delete(ctx, l.scaler()))
	if err == nil {
		err = wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			err := l.Client.Get(ctx, client.ObjectKeyFromObject(l.scaler()), &v1.QueueScaler{})
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		})
	}
	l.Heroku.RemoveApp(l.name)
	return errors.Join(err, client.IgnoreNotFound(l.Client.Delete(ctx, l.secret())), l.redis.Close())
}

func (l *lane) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: l.Namespace, Name: l.name}
}

func (l *lane) secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: l.meta(), StringData: map[string]string{"REDIS_URL": l.redisURL, "HEROKU_API_KEY": l.Token}}
}

func (l *lane) scaler() *v1.QueueScaler {
	return &v1.QueueScaler{ObjectMeta: l.meta(), Spec: v1.QueueScalerSpec{
		Redis: v1.RedisSpec{URLFrom: v1.RedisURLSource{SecretKeyRef: &v1.SecretKeyRef{Name: l.name, Key: "REDIS_URL"}}},
		Queue: v1.QueueSpec{Type: v1.QueueSidekiq, Names: []string{l.name}},
		Heroku: v1.HerokuSpec{App: l.name, ProcessType: l.name,
			APIKeySecretRef: v1.SecretKeyRef{Name: l.name, Key: "HEROKU_API_KEY"}},
		ActiveQuantity:     1,
		IdleTimeoutSeconds: int32(l.idleTimeout / time.Second),
		PollPeriodSeconds:  int32(pollPeriod / time.Second),
		ScheduledJobs:      v1.ScheduledJobsIgnore,
		Drain:              v1.DrainSpec{Mode: l.Drain, ProcessTag: l.name},
		DeletionPolicy:     v1.DeletionRetain,
	}}
}

// work makes runs for as long as some are left, then waits for the last stop. A lane that has lost a
// job does no more: others make its runs.
func (l *lane) work(ctx context.Context) error {
	strategies := strategiesOf(l.Drain)
	for {
		n := int(l.begun.Add(1)) - 1
		if n >= l.Runs {
			break
		}
		served, err := l.run(ctx, strategies[n%len(strategies)])
		if err != nil || !served {
			return err
		}
		l.ended.Add(1)
	}
	return l.awaitZero(ctx)
}

// run is one run. It says whether all jobs have ended.
func (l *lane) run(ctx context.Context, s strategy) (served bool, err error) {
	if served, err = l.serve(ctx, "warm-up", 0); err != nil || !served {
		return served, err
	}
	within, cancel := context.WithTimeout(ctx, l.Patience)
	defer cancel()
	if err := s.await(within, l); err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		l.unstopped = append(l.unstopped, time.Now())
	}
	return l.serve(ctx, s.name, time.Second+rand.N(5*time.Second))
}

// serve pushes a job and waits for its end.
func (l *lane) serve(ctx context.Context, strategy string, sleep time.Duration) (served bool, err error) {
	job, err := l.push(ctx, strategy, sleep)
	if err != nil {
		return false, err
	}
	within, cancel := context.WithTimeout(ctx, l.Patience)
	defer cancel()
	if err := l.log.await(within, job); err != nil && (ctx.Err() != nil || within.Err() == nil) {
		return false, err
	}
	return within.Err() == nil, nil
}

// push enqueues a job as Sidekiq's client does.
func (l *lane) push(ctx context.Context, strategy string, sleep time.Duration) (job string, err error) {
	job = fmt.Sprintf("%024x", rand.Uint64())
	now := time.Now()
	seconds := float64(now.UnixMicro()) / 1e6
	payload, err := json.Marshal(map[string]any{"class": "Work", "args": []any{sleep.Seconds()}, "jid": job,
		"queue": l.name, "retry": true, "created_at": seconds, "enqueued_at": seconds})
	if err != nil {
		return "", err
	}
	l.pushes = append(l.pushes, push{job: job, strategy: strategy, at: now})
	_, err = l.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.SAdd(ctx, "queues", l.name)
		pipe.LPush(ctx, "queue:"+l.name, payload)
		return nil
	})
	return job, err
}

// awaitZero waits for the lane's last stop.
func (l *lane) awaitZero(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, l.Patience)
	defer cancel()
	if err := l.Heroku.Wait(within, func() bool { return l.Heroku.Quantity(l.name, l.name) == 0 }); err != nil {
		l.unstopped = append(l.unstopped, time.Now())
	}
	return ctx.Err()
}
