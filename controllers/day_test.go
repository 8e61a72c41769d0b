package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// simulated sends requests to a simulator in this process, as if they took a while.
type simulated struct {
	server *simulator.Server
	took   time.Duration
}

func (s simulated) RoundTrip(request *http.Request) (*http.Response, error) {
	time.Sleep(s.took)
	received, recorder := request.Clone(request.Context()), httptest.NewRecorder()
	if received.Body == nil {
		received.Body = http.NoBody
	}
	s.server.ServeHTTP(recorder, received)
	return recorder.Result(), nil
}

// account is a Heroku account with many apps in simulated time, each scaled by what a reconcile does
// with Heroku: the same client, retries and plan of drift.
type account struct {
	t        *testing.T
	server   *simulator.Server
	accounts *heroku.Accounts
	r        *Reconciler
	storms   []time.Time // when work comes for all apps that sleep
	vars     bool        // the Redis URL is a config var, which is read as often as drift

	mu        sync.Mutex
	lastEmpty time.Time // when the account had no token
	waits     []time.Duration
	longest   time.Duration // from the work to the dynos
	changes   int
}

const accountName = "ops@example.com"

func newAccount(t *testing.T, apps int) *account {
	server := simulator.New(simulator.Options{BootTime: time.Second})
	server.AddToken(simulator.Token{Secret: "HRKU-day", Account: accountName})
	for i := range apps {
		app := simulator.App{
			Name: fmt.Sprintf("app-%d", i), ConfigVars: map[string]string{"REDIS_URL": "redis://x"},
			Formation: []simulator.Process{{Type: "worker"}},
		}
		if err := server.AddApp(app); err != nil {
			t.Fatal(err)
		}
	}
	options := Options{DriftPeriod: 5 * time.Minute}
	return &account{
		t: t, server: server, r: &Reconciler{options: options},
		accounts: heroku.NewAccounts(heroku.AccountOptions{
			Options: heroku.Options{Transport: simulated{server, 50 * time.Millisecond}}, Reserve: 0.2,
		}),
	}
}

// watch notes when there is no token to spare: Heroku tells whole ones, so that one may be there that
// nobody knows of.
func (a *account) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if a.server.Budget(accountName) < 2 {
			a.mu.Lock()
			a.lastEmpty = time.Now()
			a.mu.Unlock()
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// scale does what reconciles of one object do: starts and stops as work comes and goes, retries, and
// looks for drift.
func (a *account) scale(ctx context.Context, app string, rest func() time.Duration) {
	client, err := a.accounts.Acquire(app, "HRKU-day")
	if err != nil {
		a.t.Error(err)
		return
	}
	m := &memory{client: client, formation: formation{nextDrift: time.Now().Add(rand.N(5 * time.Minute))}}
	quantity, wanted := 0, 0
	turns, since := time.Now().Add(rest()), time.Time{}
	for ctx.Err() == nil {
		m.quantity = &quantity
		s := &scope{object: &v1.QueueScaler{}, memory: m, now: time.Now(), clock: clock.RealClock{}}
		if storm := a.nextStorm(s.now); wanted == 0 {
			turns = earliestOf(turns, storm)
		}
		if !s.now.Before(turns) {
			wanted, since, turns = 2-wanted, s.now, s.now.Add(rest())
		}
		switch {
		case wanted > quantity && !s.now.Before(m.retries.wakeAt), wanted == 0 && quantity > 0 && !s.now.Before(m.retries.restAt):
			scaling := heroku.Scaling{App: app, ProcessType: "worker", Quantity: wanted}
			if wanted == 0 {
				scaling.Priority = heroku.Sleep
			}
			formation, err := client.Scale(ctx, scaling)
			if err != nil {
				s.elapse()
				s.scaleFailed(err, scaling.Priority)
				break
			}
			quantity = formation.Quantity
			m.retries.scaled()
			a.note(wanted, since)
			a.r.planDrift(s)
		case !s.now.Before(m.nextDrift) && !s.now.Before(m.retries.restAt):
			formation, err := client.Formation(ctx, app, "worker", heroku.ReadOptions{Priority: heroku.Drift})
			if err != nil {
				s.elapse()
				s.readFailed(err)
				break
			}
			if quantity != formation.Quantity {
				since = time.Now()
			}
			quantity = formation.Quantity
			m.retries.read()
			if a.vars {
				_, _ = client.ConfigVar(ctx, formation.AppID, "REDIS_URL", heroku.ReadOptions{Priority: heroku.Drift})
			}
			a.r.planDrift(s)
		}
		next := earliestOf(turns, latestOf(m.nextDrift, m.retries.restAt))
		switch {
		case wanted > quantity:
			next = earliestOf(next, m.retries.wakeAt)
		case wanted == 0 && quantity > 0:
			next = earliestOf(next, m.retries.restAt)
		}
		time.Sleep(max(time.Millisecond, time.Until(next)))
	}
}

// nextStorm is the first storm from now on.
func (a *account) nextStorm(now time.Time) time.Time {
	for _, storm := range a.storms {
		if !storm.Before(now) {
			return storm
		}
	}
	return now.Add(1000 * time.Hour)
}

func earliestOf(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latestOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// note takes in a change that was made: a start has waited since the work came, and since there were
// tokens.
func (a *account) note(quantity int, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	if quantity == 0 {
		return
	}
	a.longest = max(a.longest, time.Since(since))
	if a.lastEmpty.After(since) {
		since = a.lastEmpty
	}
	a.waits = append(a.waits, time.Since(since))
}

// run has the account live for a time, with somebody who disturbs it.
func (a *account) run(apps int, life time.Duration, rest func() time.Duration, disturb func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), life)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { a.watch(ctx) })
	all.Go(func() { disturb(ctx) })
	for i := range apps {
		all.Go(func() { a.scale(ctx, fmt.Sprintf("app-%d", i), rest) })
	}
	all.Wait()
	if err := a.server.Close(context.Background()); err != nil {
		a.t.Error(err)
	}
}

// callsAfter counts the API requests from some time after the first one on.
func (a *account) callsAfter(beginning time.Duration) int {
	requests, count := a.server.Requests(), 0
	for _, request := range requests {
		if request.Time.Sub(requests[0].Time) >= beginning {
			count++
		}
	}
	return count
}

// calls counts the API requests of a method.
func (a *account) calls(method string) int {
	count := 0
	for _, request := range a.server.Requests() {
		if request.Method == method {
			count++
		}
	}
	return count
}

// TestADayOfAnAccount has 300 apps wake and sleep all day. Every four hours work comes for all of them
// at once, just when others have spent the whole rate budget; then they scale by hand.
func TestADayOfAnAccount(t *testing.T) {
	const apps, atOnce = 300, 2 * time.Second
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, apps)
		rest := func() time.Duration { return 5*time.Minute + rand.N(50*time.Minute) }
		for hour := 3; hour < 24; hour += 4 {
			a.storms = append(a.storms, time.Now().Add(time.Duration(hour)*time.Hour))
		}
		a.run(apps, 24*time.Hour, rest, func(ctx context.Context) {
			for _, storm := range a.storms {
				time.Sleep(time.Until(storm))
				a.server.SetBudget(accountName, rand.IntN(20))
				for range 10 {
					time.Sleep(rand.N(time.Minute))
					_ = a.server.Scale(fmt.Sprintf("app-%d", rand.IntN(apps)), "worker", rand.IntN(4))
				}
			}
		})
		var late int
		var worst time.Duration
		for _, wait := range a.waits {
			worst = max(worst, wait)
			if wait > atOnce {
				late++
			}
		}
		t.Logf("%d starts, the longest wait with tokens %v, in all %v; %d changes in %d PATCHes, %d reads",
			len(a.waits), worst, a.longest, a.changes, a.calls(http.MethodPatch), a.calls(http.MethodGet))
		if late > 0 {
			t.Errorf("%d of %d starts came late", late, len(a.waits))
		}
		if len(a.waits) < 10*apps {
			t.Errorf("only %d starts in a day", len(a.waits))
		}
	})
}

// TestCallsOfAnAccount counts what nothing to do costs, and what a change does. MEASURE=1 prints it.
func TestCallsOfAnAccount(t *testing.T) {
	const hours = 6
	var table strings.Builder
	fmt.Fprintf(&table, "| Apps | Calls an hour, nothing to do | With config vars | Half the budget | Calls for a change |\n| ---: | ---: | ---: | ---: | ---: |\n")
	for _, apps := range []int{100, 300, 1000} {
		t.Run(fmt.Sprint(apps), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccount(t, apps)
				never := func() time.Duration { return 1000 * time.Hour }
				a.run(apps, hours*time.Hour, never, func(context.Context) {})
				idle := float64(len(a.server.Requests())) / hours
				if idle > 2250 {
					t.Errorf("%.0f calls an hour, the half of the budget is 2250", idle)
				}
				v := newAccount(t, apps)
				v.vars = true
				v.run(apps, hours*time.Hour, never, func(context.Context) {})
				withVars := float64(v.callsAfter(time.Hour)) / (hours - 1) // both are read at once at the beginning
				if withVars > 2250 {
					t.Errorf("%.0f calls an hour with config vars, the half of the budget is 2250", withVars)
				}
				b := newAccount(t, apps)
				b.run(apps, time.Hour, func() time.Duration { return 10*time.Minute + rand.N(40*time.Minute) }, func(context.Context) {})
				patches := float64(b.calls(http.MethodPatch)) / float64(b.changes)
				if patches != 1 {
					t.Errorf("%v PATCHes for a change", patches)
				}
				fmt.Fprintf(&table, "| %d | %.0f | %.0f | 2250 | %g |\n", apps, idle, withVars, patches)
			})
		})
	}
	if os.Getenv("MEASURE") != "" {
		fmt.Print(&table)
	}
}
