// Package herokuclients holds the simulator of the Platform API to clients that others wrote: the real
// Heroku CLI, and heroku-client, both from npm. All tests share one simulator and run side by side.
package herokuclients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

var (
	platform = simulator.New(simulator.Options{BootTime: time.Millisecond, RetryDelay: time.Millisecond})
	clients  = os.Getenv("HEROKU_CLIENTS")
	tenants  atomic.Int32
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "herokuclients:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if clients == "" {
		return 0, errors.New("HEROKU_CLIENTS is not set: run this through make, or set it to what hack/herokuclients.sh prints")
	}
	if err := platform.Start(""); err != nil {
		return 0, err
	}
	code = m.Run()
	return code, platform.Close(context.Background())
}

// tenant is an app with an account of its own, so that neither budgets nor faults meet other tests.
type tenant struct{ app, account, token string }

func newTenant(t *testing.T) tenant {
	t.Helper()
	name := fmt.Sprintf("shop-%d", tenants.Add(1))
	own := tenant{app: name, account: name + "@example.com", token: "HRKU-" + name}
	platform.AddToken(simulator.Token{Secret: own.token, Account: own.account})
	if err := platform.AddApp(simulator.App{
		Name: own.app, Accounts: []string{own.account}, ConfigVars: map[string]string{"REDIS_URL": "redis://example"},
		Formation: []simulator.Process{{Type: "web", Quantity: 1}, {Type: "worker", Quantity: 1}},
	}); err != nil {
		t.Fatal(err)
	}
	return own
}

// requests are those of the tenant's token that have ended.
func (n tenant) requests() (own []simulator.Request) {
	for _, r := range platform.Requests() {
		if r.Account == n.account {
			own = append(own, r)
		}
	}
	return own
}

type result struct {
	stdout, stderr string
	exit           int
}

// node runs a script with nothing of the tests' own environment, and nothing that leaves the machine. The CLI
// has git write its global configuration, which replaces the file that GIT_CONFIG_GLOBAL names, were it a device.
func (n tenant) node(t *testing.T, arguments ...string) (r result) {
	t.Helper()
	home := t.TempDir()
	command := exec.CommandContext(t.Context(), filepath.Join(clients, "bin", "node"), arguments...)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "NO_COLOR=1",
		"GIT_CONFIG_GLOBAL=" + filepath.Join(home, ".gitconfig"), "GIT_CONFIG_NOSYSTEM=1",
		"NODE_PATH=" + filepath.Join(clients, "node_modules"),
		"HEROKU_HOST=" + platform.URL(), "HEROKU_PARTICLEBOARD_URL=" + platform.URL(), "HEROKU_API_KEY=" + n.token,
		"DISABLE_TELEMETRY=true", "HEROKU_DISABLE_AUTOUPDATE=1", "HEROKU_SKIP_NEW_VERSION_CHECK=1",
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}
