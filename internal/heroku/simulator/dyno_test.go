package simulator_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// states tells the dynos of the app shop as "worker.1 up".
func states(t *testing.T, s *simulator.Server) string {
	t.Helper()
	synctest.Wait()
	var dynos []struct{ Name, State string }
	w := answer(t, s, secret, "/apps/shop/dynos")
	if err := json.Unmarshal(w.Body.Bytes(), &dynos); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, d := range dynos {
		all = append(all, d.Name+" "+d.State)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func worker(quantity int) simulator.App {
	return simulator.App{Name: "shop", Formation: []simulator.Process{{Type: "worker", Quantity: quantity}}}
}

func add(t *testing.T, s *simulator.Server, a simulator.App) {
	t.Helper()
	if err := s.AddApp(a); err != nil {
		t.Fatal(err)
	}
}

func scale(t *testing.T, s *simulator.Server, quantity int) {
	t.Helper()
	if err := s.Scale("shop", "worker", quantity); err != nil {
		t.Fatal(err)
	}
}

func TestDynosBoot(t *testing.T) {
	quiet(t, simulator.Options{}, func(t *testing.T, s *simulator.Server) {
		add(t, s, worker(1))
		if got := states(t, s); got != "worker.1 starting" {
			t.Error(got)
		}
		time.Sleep(2 * time.Second)
		scale(t, s, 2)
		if got := states(t, s); got != "worker.1 up, worker.2 starting" {
			t.Error(got)
		}
		scale(t, s, 0)
		if got := states(t, s); got != "" {
			t.Error(got)
		}
	})
}

func TestHighestNumbersStopFirst(t *testing.T) {
	quiet(t, simulator.Options{}, func(t *testing.T, s *simulator.Server) {
		add(t, s, worker(12))
		time.Sleep(time.Minute)
		scale(t, s, 2)
		if got := states(t, s); got != "worker.1 up, worker.2 up" {
			t.Error(got)
		}
		scale(t, s, 3)
		if got := states(t, s); got != "worker.1 up, worker.2 up, worker.3 starting" {
			t.Error(got)
		}
	})
}

func TestCrashedDynosComeBack(t *testing.T) {
	quiet(t, simulator.Options{}, func(t *testing.T, s *simulator.Server) {
		add(t, s, worker(1))
		for i, delay := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second} {
			time.Sleep(time.Second)
			synctest.Wait()
			if err := s.Kill("shop", "worker.1"); err != nil {
				t.Fatal(err)
			}
			if delay > 0 {
				time.Sleep(delay - time.Nanosecond)
				if got := states(t, s); got != "worker.1 crashed" {
					t.Errorf("crash %d: %s before %s", i+1, got, delay)
				}
				time.Sleep(time.Nanosecond)
			}
			if got := states(t, s); got != "worker.1 starting" {
				t.Errorf("crash %d: %s after %s", i+1, got, delay)
			}
		}
	})
}

func TestACrashedDynoStops(t *testing.T) {
	quiet(t, simulator.Options{}, func(t *testing.T, s *simulator.Server) {
		add(t, s, worker(1))
		for range 2 {
			synctest.Wait()
			if err := s.Kill("shop", "worker.1"); err != nil {
				t.Fatal(err)
			}
		}
		scale(t, s, 0)
		if got := states(t, s); got != "" {
			t.Error(got)
		}
	})
}

// A release restarts all dynos and forgets their crashes; so does a new size for its process type.
func TestRestarts(t *testing.T) {
	change := map[string]struct{ method, path, body string }{
		"config vars": {"PATCH", "/apps/shop/config-vars", `{"A": "1"}`},
		"size":        {"PATCH", "/apps/shop/formation/worker", `{"size": "standard-2x"}`},
		"all dynos":   {"DELETE", "/apps/shop/dynos", ""},
		"one dyno":    {"DELETE", "/apps/shop/dynos/worker.1", ""},
		"ps:stop":     {"POST", "/apps/shop/dynos/worker.1/actions/stop", ""},
	}
	for name, c := range change {
		t.Run(name, func(t *testing.T) {
			s := platform(t, simulator.Options{}, shop(simulator.Process{Quantity: 1}))
			awaitEvents(t, s, simulator.Up, 1)
			if r := do(t, s, c.method, c.path, c.body, nil); r.status/100 != 2 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			awaitEvents(t, s, simulator.Up, 2)
			awaitEvents(t, s, simulator.Exited, 1)
			if crashes := ofKind(s, simulator.Crashed); len(crashes) > 0 {
				t.Errorf("%+v", crashes)
			}
		})
	}
}

// Dynos that a PATCH starts have its size from the first: they are not restarted for it.
func TestQuantityAndSizeTogether(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{Quantity: 1}))
	awaitEvents(t, s, simulator.Up, 1)
	do(t, s, "PATCH", workerPath, `{"quantity": 3, "size": "standard-2x"}`, nil)
	var names []string
	for _, e := range ofKind(s, simulator.Requested) {
		names = append(names, e.Dyno)
	}
	if want := []string{"worker.1", "worker.1", "worker.2", "worker.3"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

func TestHistoryOfADyno(t *testing.T) {
	quiet(t, simulator.Options{}, func(t *testing.T, s *simulator.Server) {
		add(t, s, worker(0))
		scale(t, s, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := s.Kill("shop", "worker.1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		scale(t, s, 0)
		synctest.Wait()
		var told []string
		for i, e := range s.Events() {
			if e.Seq != i+1 || e.App != "shop" || e.Type != "worker" || (e.Dyno == "worker.1") == (e.Kind == simulator.Scaled) {
				t.Errorf("%+v", e)
			}
			told = append(told, fmt.Sprintf("%s %d", e.Kind, e.ExitCode))
		}
		want := []string{
			"scaled 0", "requested 0", "started 0", "up 0", "exited 137", "crashed 137",
			"started 0", "up 0", "scaled 0", "terminated 0", "exited 0",
		}
		if !slices.Equal(told, want) {
			t.Errorf("%q,\nwant %q", told, want)
		}
	})
}
