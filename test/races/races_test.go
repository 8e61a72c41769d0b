package races

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/redisserver"
	"github.com/queuescaler/queuescaler/test/stack"
)

// For more than a test of the harness:
//
//	go test ./test/races -run Races/Quiet -v -timeout 1h -args -runs 1000 -lanes 100
var (
	runs    = flag.Int("runs", 20, "the runs of each mode")
	lanes   = flag.Int("lanes", 20, "how many of them there are side by side")
	sidekiq = flag.Bool("sidekiq", false, "have real Sidekiq processes")
	keep    = flag.String("dir", "", "an empty `directory` for the logs, which are kept there; else they are not")
)

const namespace = "races"

// TestRaces makes a few runs of each mode.
func TestRaces(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: run this through make, or set it to what hack/controlplane.sh prints")
	}
	options := startWorld(t)
	for i, mode := range []v1.DrainMode{v1.DrainNone, v1.DrainQuiet} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			options := options
			options.Drain, options.FirstDatabase = mode, i**lanes
			result, err := Run(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			check(t, mode, result)
		})
	}
}

func check(t *testing.T, mode v1.DrainMode, result Result) {
	t.Helper()
	t.Logf("%s:\n%s", mode, result)
	const shown = 20
	for i, incident := range result.Incidents {
		if i < shown || *keep != "" {
			t.Log(incident)
		}
	}
	if result.Runs != *runs || result.Lost+result.Twice+result.Unserved+result.Unstopped > 0 {
		t.Error("all runs should come to their end, with each job run once and in time, and each worker stopped")
	}
	switch mode {
	case v1.DrainQuiet:
		if result.Interrupted > 0 {
			t.Error("no job should be interrupted when workers are drained")
		}
	default:
		// The harness must find what it looks for: a job that is taken while the stop is on its way.
		if hit := result.Strategies["as the stop arrives"]; hit == nil || hit.Interrupted == 0 {
			t.Error("without a drain some of the jobs that come together with a stop should be interrupted")
		}
	}
}

// startWorld starts all that a measurement needs.
func startWorld(t *testing.T) Options {
	directory := *keep
	if directory == "" {
		directory = t.TempDir()
	}
	plane, err := stack.StartControlPlane(filepath.Join("..", ".."), directory)
	must(t, err)
	t.Cleanup(func() { must(t, plane.Stop()) })
	must(t, plane.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	const token = "races-token"
	heroku := simulator.New(simulator.Options{BootTime: 200 * time.Millisecond, RateCapacity: 1_000_000})
	must(t, heroku.Start(""))
	t.Cleanup(func() { must(t, heroku.Close(context.Background())) })
	heroku.AddToken(simulator.Token{Secret: token, Account: "ops@example.com", Scopes: []string{"write"}})
	startOperator(t, directory, plane.Kubeconfig, heroku.URL())
	worker := Sidekiq()
	if !*sidekiq {
		worker = Fast(build(t, directory, "./test/worker"))
	}
	return Options{
		Client: plane.Client, Namespace: namespace, Heroku: heroku, Token: token,
		RedisURL: redisserver.StartT(t, redisserver.Options{Args: []string{"--databases", "512"}}).URL(),
		Dir:      directory, Runs: *runs, Lanes: *lanes, Worker: worker,
	}
}

func startOperator(t *testing.T, directory, kubeconfig, herokuURL string) {
	log, err := os.Create(filepath.Join(directory, "operator.log"))
	must(t, err)
	operator, err := stack.StartOperator(t.Context(), stack.OperatorOptions{
		Binary: build(t, directory, "./cmd/queuescaler"), Kubeconfig: kubeconfig, HerokuURL: herokuURL, Output: log,
		Args: []string{"--namespaces=" + namespace, "--leader-elect=false"},
	})
	must(t, err)
	t.Cleanup(func() { must(t, operator.Stop()) })
}

// build builds a command of the module.
func build(t *testing.T, directory, command string) string {
	binary := filepath.Join(directory, filepath.Base(command))
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", binary, command)
	build.Dir = filepath.Join("..", "..")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", command, err, output)
	}
	return binary
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
