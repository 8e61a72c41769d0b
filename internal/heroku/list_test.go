package heroku_test

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku"
)

// pages answers one body per request and names the next range in each but the
// last. It returns the ranges that were asked for.
func pages(nextRange string, bodies ...string) (http.HandlerFunc, *[]string) {
	var asked []string
	return func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Range"))
		if n := len(asked); n < len(bodies) {
			w.Header().Set("Next-Range", nextRange)
			w.WriteHeader(http.StatusPartialContent)
		}
		io.WriteString(w, bodies[len(asked)-1])
	}, &asked
}

func TestListFollowsNextRange(t *testing.T) {
	const next = "id ]01234567-89ab-cdef-0123-456789abcdef..; order=asc,max=200"
	h, asked := pages(next, `[{"type":"web","quantity":1}]`, "["+worker+"]")
	got, err := serve(t, h).Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
	if err != nil || got.Quantity != 2 {
		t.Errorf("Formation: %+v, %v", got, err)
	}
	if want := []string{"", next}; !slices.Equal(*asked, want) {
		t.Errorf("ranges %q, want %q", *asked, want)
	}
}

func TestDynosOfAllPages(t *testing.T) {
	h, _ := pages("name ]worker.1..", `[{"name":"worker.1","type":"worker"}]`, `[]`, `[{"name":"worker.2","type":"worker"}]`)
	got, err := serve(t, h).Dynos(t.Context(), "shop", "worker", heroku.Drift)
	if err != nil || len(got) != 2 || got[1].Name != "worker.2" {
		t.Errorf("Dynos: %+v, %v", got, err)
	}
}

func TestListThatIsNotWhole(t *testing.T) {
	partial := func(nextRange string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Next-Range", nextRange)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "["+worker+"]")
		}
	}
	second := false
	handlers := map[string]http.HandlerFunc{
		"endless":       partial("id ]a.."),
		"no next range": partial(""),
		"bad range":     partial("everything"),
		"second page fails": func(w http.ResponseWriter, r *http.Request) {
			if second {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			second = true
			partial("id ]a..")(w, r)
		},
	}
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			got, err := serve(t, h).Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
			want := heroku.Unknown
			if name == "second page fails" {
				want = heroku.Unavailable
			}
			if e := failure(t, err); e.Kind != want {
				t.Errorf("Formation: %+v, %v", got, e)
			}
		})
	}
}
