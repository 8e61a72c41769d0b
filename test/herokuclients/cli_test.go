package herokuclients

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// heroku runs the CLI for the tenant's app.
func (n tenant) heroku(t *testing.T, arguments ...string) result {
	t.Helper()
	command := append([]string{filepath.Join(clients, "node_modules", "heroku", "bin", "run.js")}, arguments...)
	return n.node(t, append(command, "--app", n.app)...)
}

// shows fails unless both outputs together have all these texts. Lines are joined: the CLI wraps them.
func (r result) shows(t *testing.T, exit int, texts ...string) {
	t.Helper()
	all := strings.Join(strings.Fields(strings.ReplaceAll(r.stdout+" "+r.stderr, "›", " ")), " ")
	if r.exit != exit {
		t.Errorf("exit code %d, want %d", r.exit, exit)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("no %q in %s", text, all)
		}
	}
}

func TestCLI(t *testing.T) {
	tests := []struct {
		command string
		shows   []string
		worker  int // its quantity afterwards
	}{
		{"ps", []string{"web (Standard-1X): bin/web (1)", "worker (Standard-1X): bin/worker (1)", "worker.1: up"}, 1},
		{"ps:scale worker=3", []string{"done, now running worker at 3:Standard-1X"}, 3},
		{"ps:scale worker+2", []string{"done, now running worker at 3:Standard-1X"}, 3},
		{"ps:scale worker-1", []string{"done, now running worker at 0:Standard-1X"}, 0},
		{"ps:scale worker=2:Standard-2X", []string{"done, now running worker at 2:Standard-2X"}, 2},
		{"ps:type", []string{"worker Standard-1X 1 ~$0.035 $25"}, 1},
		{"ps:type worker=standard-2x", []string{"worker Standard-2X 1 ~$0.069 $50"}, 1},
		{"config:get REDIS_URL", []string{"redis://example"}, 1},
		{"config:set A=1", []string{"done, v2", "A: 1"}, 1},
		{"apps:info", []string{"web: 1", "worker: 1", "Owner: shop-", "Region: us"}, 1},
		{"releases", []string{"Current: v1", "v1 Initial release shop-"}, 1},
		{"releases:info v1", []string{"Release v1", "Change: Initial release", "REDIS_URL: redis://example"}, 1},
	}
	for _, test := range tests {
		t.Run(test.command, func(t *testing.T) {
			t.Parallel()
			own := newTenant(t)
			own.heroku(t, strings.Fields(test.command)...).shows(t, 0, test.shows...)
			if got := platform.Quantity(own.app, "worker"); got != test.worker {
				t.Errorf("quantity %d, want %d", got, test.worker)
			}
		})
	}
}

func TestCLIWebhooks(t *testing.T) {
	t.Parallel()
	own := newTenant(t)
	add := []string{"webhooks:add", "--include", "api:formation,dyno", "--level", "notify", "--url", platform.URL() + "/hook"}
	own.heroku(t, add...).shows(t, 0, "Adding webhook", "Webhooks Signing Secret")
	list := own.heroku(t, "webhooks")
	list.shows(t, 0, "api:formation,dyno", "notify", platform.URL()+"/hook")
	id := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(list.stdout)
	own.heroku(t, "webhooks:remove", id).shows(t, 0, "Removing webhook "+id)
	own.heroku(t, "webhooks").shows(t, 0, "has no webhooks")
}

func TestCLIErrors(t *testing.T) {
	fault := func(f simulator.Fault) func(*tenant) {
		return func(n *tenant) {
			f.Path = "/apps/" + n.app + "/*"
			platform.Inject(f)
		}
	}
	tests := []struct {
		name    string
		prepare func(*tenant)
		command string
		exit    int
		shows   []string
	}{
		{"401", func(n *tenant) { n.token = "HRKU-nobody" }, "config:get A", 1, []string{"The token provided to HEROKU_API_KEY is invalid"}},
		{"403", func(n *tenant) { n.app = newTenant(t).app }, "config:get A", 2, []string{"You do not have access to the app", "Error ID: forbidden"}},
		{"404 app", func(n *tenant) { n.app = "none" }, "config:get A", 2, []string{"Couldn't find that app.", "Error ID: not_found"}},
		{"404 process type", func(*tenant) {}, "ps:scale clock=1", 2, []string{"Couldn't find that process type (clock).", "Error ID: not_found"}},
		{"422 limit", func(*tenant) {}, "ps:scale worker=500", 2, []string{"Cannot update to more than 100 dynos per app.", "Error ID: cannot_update_above_limit"}},
		{"422 tiers", func(*tenant) {}, "ps:type worker=basic", 2, []string{"Cannot use the following dyno types in the same app: Basic and Standard-1X"}},
		{"429", fault(simulator.Fault{Effect: simulator.RateLimit}), "config:get A", 2, []string{"Your account reached the API rate limit", "Error ID: rate_limit"}},
		{"503 JSON", fault(simulator.Fault{Effect: simulator.Status}), "config:get A", 2, []string{"Service Unavailable", "Error ID: unavailable"}},
		{"503 HTML", fault(simulator.Fault{Effect: simulator.HTMLPage}), "config:get A", 1, []string{"HTTP Error 503"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			own := newTenant(t)
			test.prepare(&own)
			own.heroku(t, strings.Fields(test.command)...).shows(t, test.exit, test.shows...)
		})
	}
}
