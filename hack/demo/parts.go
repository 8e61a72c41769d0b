package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/redisserver"
	"github.com/queuescaler/queuescaler/test/stack"
)

const (
	binary      = "bin/queuescaler"
	concurrency = 2 // of a dyno: few enough for a queue that can be seen

	operatorToken = "HRKU-demo-operator"
	personToken   = "HRKU-demo" // of another account, with a rate budget of its own

	bootTime = 3 * time.Second
	// grace is shorter than Heroku's 30 s: whoever presses Ctrl-C wants to leave.
	grace = 10 * time.Second
)

// demo is everything that runs.
type demo struct {
	sample *sample
	screen *screen
	steps  steps

	dir      string // for all files, so that none is left
	cluster  *stack.ControlPlane
	redis    *redisserver.Server
	heroku   *simulator.Server
	sidekiq  *stack.Sidekiq
	operator *stack.Operator
}

// checkParts says in one line what is missing.
func checkParts() error {
	const cure = "run `make demo`, which sees to it"
	if _, err := os.Stat("config/crd/bases"); err != nil {
		return errors.New("there is no config/crd/bases here: run this from the repository's root, with `make demo`")
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("%s is missing: %s", binary, cure)
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		return fmt.Errorf("KUBEBUILDER_ASSETS is not set: %s", cure)
	}
	for _, name := range []string{"kube-apiserver", "etcd"} {
		if _, err := exec.LookPath(filepath.Join(assets, name)); err != nil {
			return fmt.Errorf("there is no %s in KUBEBUILDER_ASSETS=%s: %s", name, assets, cure)
		}
	}
	for _, name := range []string{"ruby", "sidekiq"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not in PATH: %s", name, cure)
		}
	}
	return nil
}

// start starts the parts, each after those that it needs.
func (d *demo) start(ctx context.Context) error {
	d.screen.say(d.screen.paint.bold("Starting") + d.screen.paint.dim("  (nothing outside this machine is touched)"))
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"control plane: etcd and kube-apiserver, with the CRD", d.startControlPlane},
		{"Redis", d.startRedis},
		{"simulated Heroku with the app " + d.sample.app(), d.startHeroku},
		{"operator: " + binary, d.startOperator},
		{"namespace " + namespace + " with the Secrets", d.createSecrets},
		{"apply " + d.sample.file, d.applySample},
	} {
		if err := d.steps.do(ctx, step.what, func() error { return step.do(ctx) }); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return d.explain(fmt.Errorf("%s: %w", step.what, err))
		}
	}
	if changes := d.sample.changes; len(changes) > 0 {
		d.screen.say(d.screen.paint.dim("  changed for the demo: " + strings.Join(changes, ", ")))
	}
	return nil
}

func (d *demo) startControlPlane(context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "queuescaler-demo-"); err != nil {
		return err
	}
	d.steps.undoWith("remove "+d.dir, func(context.Context) error { return os.RemoveAll(d.dir) })
	// What the parts themselves leave behind in temporary files goes with it.
	if err = os.Setenv("TMPDIR", d.dir); err != nil {
		return err
	}
	if d.cluster, err = stack.StartControlPlane(".", d.dir); err != nil {
		return err
	}
	d.steps.undoWith("control plane", func(context.Context) error { return d.cluster.Stop() })
	return nil
}

// startRedis gives Redis a context that no Ctrl-C ends: it has to outlive the dynos.
func (d *demo) startRedis(context.Context) (err error) {
	if d.redis, err = redisserver.Start(context.Background(), redisserver.Options{}); err != nil {
		return err
	}
	d.steps.undoWith("Redis", func(context.Context) error { return d.redis.Stop() })
	return nil
}

func (d *demo) startHeroku(context.Context) error {
	output, err := os.Create(d.file("dynos.log"))
	if err != nil {
		return err
	}
	d.heroku = simulator.New(simulator.Options{BootTime: bootTime, Grace: grace, Output: output})
	d.heroku.AddToken(simulator.Token{Secret: operatorToken, Name: "operator", Account: "operator@example.com", Scopes: []string{"write"}})
	d.heroku.AddToken(simulator.Token{Secret: personToken, Account: "you@example.com"})
	d.steps.undoWith("simulated Heroku", func(force context.Context) error {
		return errors.Join(d.heroku.Close(force), output.Close())
	})
	if err := d.heroku.Start(""); err != nil {
		return err
	}
	if d.sidekiq, err = stack.NewSidekiq(d.dir, d.redis.URL()); err != nil {
		return err
	}
	app := simulator.App{Name: d.sample.app(), ConfigVars: d.sidekiq.ConfigVars(), Formation: []simulator.Process{
		{Type: d.sample.processType(), Command: d.sidekiq.Command(concurrency, d.sample.queues()...)},
	}}
	d.steps.undoWith("dynos", d.stopDynos)
	return d.heroku.AddApp(app)
}

// stopDynos waits for their processes, which need Redis to put jobs back.
func (d *demo) stopDynos(force context.Context) error {
	d.heroku.RemoveApp(d.sample.app())
	return d.heroku.Wait(force, func() bool { return len(running(d.heroku.Events())) == 0 })
}

func (d *demo) startOperator(ctx context.Context) error {
	output, err := os.Create(d.file("operator.log"))
	if err != nil {
		return err
	}
	d.operator, err = stack.StartOperator(ctx, stack.OperatorOptions{
		Binary: binary, Kubeconfig: d.cluster.Kubeconfig, HerokuURL: d.heroku.URL(), Output: output,
		Args: []string{"--drift-period=10s"},
	})
	if err != nil {
		return errors.Join(err, output.Close())
	}
	d.steps.undoWith("operator", func(force context.Context) error {
		defer context.AfterFunc(force, d.operator.Kill)()
		return errors.Join(d.operator.Stop(), output.Close())
	})
	return nil
}

func (d *demo) createSecrets(ctx context.Context) error {
	if err := d.cluster.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	secrets, err := d.sample.secrets(d.redis.URL(), operatorToken)
	if err != nil {
		return err
	}
	for _, secret := range secrets {
		if err := d.cluster.Client.Create(ctx, secret); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) applySample(ctx context.Context) error {
	d.steps.undoWith("QueueScaler "+d.sample.key().String(), d.deleteScaler)
	return d.sample.apply(ctx, d.cluster.Client)
}

// deleteScaler waits until the operator has carried out the deletion policy.
func (d *demo) deleteScaler(force context.Context) error {
	ctx, cancel := context.WithTimeout(force, 40*time.Second)
	defer cancel()
	if err := d.cluster.Client.Delete(ctx, d.sample.object); err != nil {
		return ignoreNotFound(err)
	}
	return wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		select {
		case <-d.operator.Exited():
			return true, nil // nobody is left to do it
		default:
		}
		err := d.cluster.Client.Get(ctx, d.sample.key(), &v1.QueueScaler{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (d *demo) file(name string) string { return filepath.Join(d.dir, name) }

// explain adds what the operator last said to an error that may be its own.
func (d *demo) explain(err error) error {
	const most = 20
	if d.operator == nil || errors.Is(err, errInterrupted) {
		return err
	}
	content, _ := os.ReadFile(d.file("operator.log"))
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return fmt.Errorf("%w\nthe operator's last lines:\n%s", err, strings.Join(lines, "\n"))
}
