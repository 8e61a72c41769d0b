package heroku_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku"
)

// formations is a Platform API of one app, which takes a while to answer.
type formations struct {
	t        *testing.T
	took     time.Duration
	refuses  string // a process type that it refuses to scale, and any batch with it
	drops    string // a process type that it leaves out of the answer to a batch
	failures int    // answers of 503 before it works

	mu         sync.Mutex
	busy       bool
	quantities map[string]int
	requests   []string
}

func newFormations(t *testing.T) *formations {
	return &formations{t: t, took: 100 * time.Millisecond, quantities: map[string]int{"worker": 0, "mailer": 0, "urgent": 0}}
}

func (f *formations) client() *heroku.Client {
	return heroku.NewClient(heroku.Options{Token: token, Transport: f})
}

func (f *formations) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		content, _ := io.ReadAll(r.Body)
		body = string(content)
	}
	f.mu.Lock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+body))
	if r.Method == http.MethodPatch {
		if f.busy {
			f.t.Error("two PATCHes of an app at once")
		}
		f.busy = true
	}
	f.mu.Unlock()
	select {
	case <-time.After(f.took):
	case <-r.Context().Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodPatch {
		f.busy = false
	}
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	recorder := httptest.NewRecorder()
	f.answer(recorder, r, body)
	return recorder.Result(), nil
}

func (f *formations) answer(w http.ResponseWriter, r *http.Request, body string) {
	if f.failures > 0 {
		f.failures--
		answers(http.StatusServiceUnavailable, "<html>")(w, r)
		return
	}
	type update struct {
		Type     string `json:"type"`
		Quantity int    `json:"quantity"`
	}
	var batch struct{ Updates []update }
	single := update{Type: strings.TrimPrefix(r.URL.Path, "/apps/shop/formation/")}
	switch {
	case r.Method == http.MethodGet:
	case strings.HasSuffix(r.URL.Path, "/formation"):
		_ = json.Unmarshal([]byte(body), &batch)
	default:
		_ = json.Unmarshal([]byte(body), &single)
		batch.Updates = []update{single}
	}
	for _, u := range batch.Updates {
		if u.Type == f.refuses {
			answers(http.StatusUnprocessableEntity, `{"id":"invalid_params","message":"no such size"}`)(w, r)
			return
		}
		f.quantities[u.Type] = u.Quantity
	}
	var all []string
	for processType, quantity := range f.quantities {
		formation := fmt.Sprintf(`{"type":%q,"quantity":%d,"app":{"id":%q,"name":"shop"}}`, processType, quantity, appID)
		if len(batch.Updates) == 1 && processType == single.Type {
			_, _ = io.WriteString(w, formation)
			return
		}
		if processType != f.drops {
			all = append(all, formation)
		}
	}
	_, _ = io.WriteString(w, "["+strings.Join(all, ",")+"]")
}

func scaling(processType string, quantity int) heroku.Scaling {
	return heroku.Scaling{App: "shop", ProcessType: processType, Quantity: quantity}
}

// outcome is what a call of Scale returned.
type outcome struct {
	quantity int
	err      error
}

// scaleAll makes all changes at once.
func scaleAll(ctx context.Context, c *heroku.Client, scalings ...heroku.Scaling) []outcome {
	outcomes := make([]outcome, len(scalings))
	var all sync.WaitGroup
	for i, s := range scalings {
		all.Go(func() {
			time.Sleep(time.Duration(i) * 100 * time.Microsecond) // in this order
			f, err := c.Scale(ctx, s)
			outcomes[i] = outcome{f.Quantity, err}
		})
	}
	all.Wait()
	return outcomes
}

// warm returns a client that knows that several process types of the app are scaled.
func warm(t *testing.T) (*formations, *heroku.Client) {
	t.Helper()
	f := newFormations(t)
	c := f.client()
	for _, processType := range []string{"worker", "mailer"} {
		if _, err := c.Scale(t.Context(), scaling(processType, 1)); err != nil {
			t.Fatal(err)
		}
	}
	f.requests = nil
	return f, c
}

func TestChangesThatComeTogetherAreOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		got := scaleAll(t.Context(), c, scaling("worker", 2), scaling("mailer", 0), scaling("urgent", 3))
		if want := []outcome{{2, nil}, {0, nil}, {3, nil}}; !slices.Equal(got, want) {
			t.Errorf("outcomes %v, want %v", got, want)
		}
		want := `PATCH /apps/shop/formation {"updates":[{"type":"worker","quantity":2},{"type":"mailer","quantity":0},{"type":"urgent","quantity":3}]}`
		if len(f.requests) != 1 || f.requests[0] != want {
			t.Errorf("requests %q, want %q", f.requests, want)
		}
	})
}

func TestASingleProcessTypeDoesNotWaitForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFormations(t)
		c, start := f.client(), time.Now()
		if _, err := c.Scale(t.Context(), scaling("worker", 2)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != f.took {
			t.Errorf("took %v, the answer %v", took, f.took)
		}
		if want := `PATCH /apps/shop/formation/worker {"quantity":2}`; f.requests[0] != want {
			t.Errorf("request %q, want %q", f.requests[0], want)
		}
	})
}

func TestAChangeAtOnceWaitsForNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		alone, start := scaling("worker", 2), time.Now()
		alone.AtOnce = true
		if _, err := c.Scale(t.Context(), alone); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != f.took {
			t.Errorf("took %v, the answer %v", took, f.took)
		}
	})
}

func TestATurnComesWhenNoChangeIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		start := time.Now()
		await := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return c.AwaitTurn(ctx, "shop")
		}
		if err := await(time.Hour); err != nil || time.Since(start) != 0 {
			t.Errorf("nothing is on its way, but it took %v: %v", time.Since(start), err)
		}
		go scaleAll(t.Context(), c, scaling("worker", 2))
		time.Sleep(f.took / 2)
		if e := failure(t, await(time.Millisecond)); !e.OutcomeKnown() {
			t.Errorf("error %v", e)
		}
		if err := await(time.Hour); err != nil || time.Since(start) < f.took {
			t.Errorf("it took %v, the answer %v: %v", time.Since(start), f.took, err)
		}
	})
}

// TestOneOfTwoGivesUp has two callers wait for the same change until the one before it is answered.
func TestOneOfTwoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		go scaleAll(t.Context(), c, scaling("worker", 2))
		time.Sleep(f.took / 2)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(f.took/4, cancel)
		go scaleAll(ctx, c, scaling("mailer", 3))
		if got := scaleAll(t.Context(), c, scaling("mailer", 3))[0]; got != (outcome{3, nil}) {
			t.Errorf("outcome %v", got)
		}
	})
}

func TestABadProcessTypeHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		f.refuses = "urgent"
		got := scaleAll(t.Context(), c, scaling("worker", 2), scaling("urgent", 1), scaling("mailer", 3))
		if got[0] != (outcome{2, nil}) || got[2] != (outcome{3, nil}) {
			t.Errorf("outcomes %v", got)
		}
		if e := failure(t, got[1].err); e.Kind != heroku.Invalid || !e.OutcomeKnown() {
			t.Errorf("error %v", e)
		}
		if len(f.requests) != 4 {
			t.Errorf("requests %q, want the batch and three more", f.requests)
		}
	})
}

func TestABatchThatFailsIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		f.failures = 1
		for _, got := range scaleAll(t.Context(), c, scaling("worker", 2), scaling("mailer", 3)) {
			if e := failure(t, got.err); e.Kind != heroku.Unavailable || e.OutcomeKnown() {
				t.Errorf("error %v", e)
			}
		}
		if len(f.requests) != 1 {
			t.Errorf("requests %q, want one", f.requests)
		}
	})
}

func TestEveryQuantityOfABatchIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		f.drops = "mailer"
		got := scaleAll(t.Context(), c, scaling("worker", 2), scaling("mailer", 3))
		if got[0] != (outcome{2, nil}) {
			t.Errorf("outcome %v", got[0])
		}
		if e := failure(t, got[1].err); e.OutcomeKnown() {
			t.Errorf("the answer says nothing of it, and the outcome is known: %v", e)
		}
	})
}

func TestNoPatchOvertakesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFormations(t)
		c := f.client()
		var all sync.WaitGroup
		all.Go(func() { _, _ = c.Scale(t.Context(), scaling("worker", 0)) })
		time.Sleep(f.took / 2) // the stop is on its way when the decision turns
		all.Go(func() { _, _ = c.Scale(t.Context(), scaling("worker", 2)) })
		all.Wait()
		if len(f.requests) != 2 || f.quantities["worker"] != 2 {
			t.Errorf("requests %q leave %d", f.requests, f.quantities["worker"])
		}
	})
}

func TestTheLaterOfTwoHoldsUnlessOneStandsAlone(t *testing.T) {
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprint(alone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := warm(t)
				stop := scaling("worker", 0)
				stop.Alone = alone
				got := scaleAll(t.Context(), c, stop, scaling("worker", 2))
				want, requests := []outcome{{2, nil}, {2, nil}}, 1
				if alone {
					want, requests = []outcome{{0, nil}, {2, nil}}, 2
				}
				if !slices.Equal(got, want) || len(f.requests) != requests {
					t.Errorf("outcomes %v, want %v; requests %q", got, want, f.requests)
				}
			})
		})
	}
}

func TestAChangeThatWaitedTooLongIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFormations(t)
		f.took = 10 * time.Second
		c := f.client()
		var all sync.WaitGroup
		all.Go(func() { _, _ = c.Scale(t.Context(), scaling("worker", 2)) })
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		_, err := c.Scale(ctx, scaling("worker", 0))
		if e := failure(t, err); !errors.Is(err, context.DeadlineExceeded) || !e.OutcomeKnown() {
			t.Errorf("error %v, want that it was not made in time", e)
		}
		all.Wait()
		if f.quantities["worker"] != 2 || len(f.requests) != 1 {
			t.Errorf("requests %q leave %d", f.requests, f.quantities["worker"])
		}
	})
}

// timely is a stop that may not wait for long.
func timely(processType string, wait time.Duration) heroku.Scaling {
	s := scaling(processType, 0)
	s.SendBy = time.Now().Add(wait)
	return s
}

// scaleFor makes a change for a caller with some patience.
func scaleFor(t *testing.T, c *heroku.Client, s heroku.Scaling, patience time.Duration) (outcome, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	f, err := c.Scale(ctx, s)
	return outcome{f.Quantity, err}, time.Since(start)
}

// wantLate checks that a change was not made, since it had to wait.
func wantLate(t *testing.T, got outcome) {
	t.Helper()
	if e := failure(t, got.err); e.Kind != heroku.Late || !e.OutcomeKnown() {
		t.Errorf("error %v, want that it is late", e)
	}
}

// TestAStopDoesNotShortenAStart has a stop and a start of two process types come together while Heroku is slow.
func TestAStopDoesNotShortenAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		f.took = 6 * time.Second
		var all sync.WaitGroup
		all.Go(func() {
			got, took := scaleFor(t, c, timely("worker", time.Second/2), 4*time.Second)
			if wantLate(t, got); took > time.Second {
				t.Errorf("the stop learns only after %v that it is late", took)
			}
		})
		all.Go(func() {
			time.Sleep(100 * time.Microsecond)
			if got, _ := scaleFor(t, c, scaling("mailer", 3), 10*time.Second); got != (outcome{3, nil}) {
				t.Errorf("the start came to %v", got)
			}
		})
		all.Wait()
		if len(f.requests) != 1 || f.quantities["worker"] != 1 {
			t.Errorf("requests %q leave %d", f.requests, f.quantities["worker"])
		}
	})
}

// TestAStopThatMayNotWaitIsLate has the change before it take longer than the stop may wait.
func TestAStopThatMayNotWaitIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		f.took = 3 * time.Second
		go scaleAll(t.Context(), c, scaling("mailer", 3))
		time.Sleep(time.Second)
		got, took := scaleFor(t, c, timely("worker", time.Second/2), 4*time.Second)
		if wantLate(t, got); took > time.Second {
			t.Errorf("it is told after %v", took)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.quantities["worker"] != 1 || len(f.requests) != 1 {
			t.Errorf("requests %q leave %d", f.requests, f.quantities["worker"])
		}
	})
}

// TestStopsThatComeTogetherAreOneRequest has stops keep the earliest of their times.
func TestStopsThatComeTogetherAreOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := warm(t)
		got := scaleAll(t.Context(), c, timely("worker", time.Second), timely("mailer", time.Second/2))
		if want := []outcome{{0, nil}, {0, nil}}; !slices.Equal(got, want) || len(f.requests) != 1 {
			t.Errorf("outcomes %v, want %v; requests %q", got, want, f.requests)
		}
	})
}

// TestAChangeWithoutAConnectionIsLate has Heroku's address not be answered at in time.
func TestAChangeWithoutAConnectionIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Bool
		c := heroku.NewClient(heroku.Options{Token: token, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				select {
				case <-ctx.Done():
				case <-time.After(2 * time.Second):
					sent.Store(true)
				}
				return nil, errors.New("no connection")
			},
		}, BaseURL: "http://heroku.test"})
		got, took := scaleFor(t, c, timely("worker", time.Second/2), 4*time.Second)
		if wantLate(t, got); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if got, _ = scaleFor(t, c, timely("worker", -time.Second), 4*time.Second); sent.Load() {
			t.Error("sent")
		}
		wantLate(t, got)
		time.Sleep(3 * time.Second)
	})
}

func TestAListAnswersForTheWholeApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFormations(t)
		c := f.client()
		read := func(app, processType string, maxAge time.Duration) (int, error) {
			got, err := c.Formation(t.Context(), app, processType, heroku.ReadOptions{MaxAge: maxAge})
			return got.Quantity, err
		}
		var all sync.WaitGroup
		for _, processType := range []string{"worker", "mailer", "urgent"} {
			all.Go(func() {
				if _, err := read("shop", processType, time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(f.requests) != 1 {
			t.Errorf("requests %q, want one list", f.requests)
		}
		if _, err := read(appID, "gone", time.Minute); failure(t, err).Kind != heroku.ProcessTypeNotFound || len(f.requests) != 1 {
			t.Errorf("error %v, requests %q", err, f.requests)
		}
		if _, err := c.Scale(t.Context(), scaling("worker", 2)); err != nil {
			t.Fatal(err)
		}
		if quantity, _ := read(appID, "worker", time.Minute); quantity != 2 {
			t.Errorf("quantity %d after a change to 2", quantity)
		}
		f.quantities["worker"] = 5
		if quantity, _ := read(appID, "worker", 0); quantity != 5 {
			t.Errorf("quantity %d, where 5 was just set by somebody else", quantity)
		}
	})
}
