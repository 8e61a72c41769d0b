package simulator

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"time"
)

// Effect is what a Fault does to a request.
type Effect string

// Effects. All but LoseAnswer, Slow and PartlyApply keep the request from being applied.
const (
	// Status answers with the fault's Status, ID and Message.
	Status Effect = "status"
	// HTMLPage answers with the fault's Status, 503 where 0, and a page as Heroku's router shows.
	HTMLPage Effect = "html"
	// RateLimit answers 429 whatever the budget, with RetryAfter where set.
	RateLimit Effect = "rate-limit"
	// Hang answers nothing until the client leaves.
	Hang Effect = "hang"
	// Reset resets the connection. Go's http.Transport silently repeats a GET that met this on a
	// connection used before: count on two for each, or on a Fault without Times.
	Reset Effect = "reset"
	// LoseAnswer applies the request, then resets the connection.
	LoseAnswer Effect = "lose-answer"
	// Slow applies and answers after Delay.
	Slow Effect = "slow"
	// PartlyApply applies the first Applied updates of a PATCH of the formation and refuses the next
	// one with the fault's Status, 422 where 0, ID and Message. Shorter ones it leaves alone. Heroku
	// does not say whether a batch is atomic [?].
	PartlyApply Effect = "partly-apply"
)

// Fault makes requests fail. Of several that match, the one injected first strikes.
type Fault struct {
	Effect Effect `json:"effect"`
	// Method and Path choose requests, any where empty. Path is a pattern of package path:
	// /apps/*/formation.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Match chooses further, where set.
	Match func(*http.Request) bool `json:"-"`
	// Times is how often it strikes; 0 is until removed.
	Times int `json:"times,omitempty"`

	Status     int           `json:"status,omitempty"`
	ID         string        `json:"id,omitempty"`
	Message    string        `json:"message,omitempty"`
	RetryAfter string        `json:"retryAfter,omitempty"`
	Delay      time.Duration `json:"-"`
	Applied    int           `json:"applied,omitempty"`
}

type fault struct {
	Fault
	number int
}

// Inject adds a fault.
func (s *Server) Inject(f Fault) (remove func()) {
	number := s.inject(f)
	return func() { s.removeFault(number) }
}

func (s *Server) inject(f Fault) (number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	s.faults = append(s.faults, &fault{Fault: f, number: s.lastID})
	return s.lastID
}

func (s *Server) removeFault(number int) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.faults)
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return f.number == number })
	return len(s.faults) < before
}

// takeFault finds the fault that strikes a request, nil where none does, and counts it.
func (s *Server) takeFault(r *http.Request) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if !f.matches(r) {
			continue
		}
		struck := *f
		if f.Times == 1 {
			s.faults = slices.Delete(s.faults, i, i+1)
		} else if f.Times > 1 {
			f.Times--
		}
		return &struck
	}
	return nil
}

func (f *fault) matches(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	if f.Path != "" {
		if ok, err := path.Match(f.Path, r.URL.Path); !ok || err != nil {
			return false
		}
	}
	return f.Match == nil || f.Match(r)
}

func (f *fault) losesAnswer() bool { return f != nil && f.Effect == LoseAnswer }

// strike does to a request what comes before it is applied; it says whether that was all.
func (f *fault) strike(s *Server, w http.ResponseWriter, r *http.Request) (answered bool, status int) {
	if f == nil {
		return false, 0
	}
	switch f.Effect {
	case Hang:
		s.waitFor(r, nil)
		abort(w)
	case Reset:
		abort(w)
	case Slow:
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		if !s.waitFor(r, timer.C) {
			abort(w)
		}
		return false, 0
	case LoseAnswer, PartlyApply:
		return false, 0
	}
	a := f.answer(w.Header())
	if f.Effect == HTMLPage {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	} else {
		a.write(w)
	}
	return true, a.status
}

// split parts the updates that are applied from those that are not.
func (f *fault) split(updates []update) (applied, refused []update) {
	if f == nil || f.Effect != PartlyApply || f.Applied >= len(updates) {
		return updates, nil
	}
	return updates[:f.Applied], updates[f.Applied:]
}

func (f *fault) refusal(processType string) *apiError {
	status := cmp.Or(f.Status, http.StatusUnprocessableEntity)
	return newError(status, cmp.Or(f.ID, "invalid_params"), cmp.Or(f.Message, "Cannot update "+processType+"."))
}

func (f *fault) answer(header http.Header) answer {
	switch f.Effect {
	case HTMLPage:
		status := cmp.Or(f.Status, http.StatusServiceUnavailable)
		page := fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>Application Error</title></head><body>%d %s</body></html>\n",
			status, http.StatusText(status))
		return answer{status: status, body: []byte(page)}
	case RateLimit:
		header.Set("Ratelimit-Remaining", "0")
		if f.RetryAfter != "" {
			header.Set("Retry-After", f.RetryAfter)
		}
		return errorAnswer(rateLimited())
	default:
		status := cmp.Or(f.Status, http.StatusServiceUnavailable)
		return errorAnswer(newError(status, cmp.Or(f.ID, "unavailable"), cmp.Or(f.Message, http.StatusText(status))))
	}
}

// waitFor says no where the client or the server went first.
func (s *Server) waitFor(r *http.Request, ready <-chan time.Time) bool {
	select {
	case <-ready:
		return true
	case <-r.Context().Done():
		return false
	case <-s.closing.Done():
		return false
	}
}

// abort ends a request without an answer, over TCP with a reset.
func abort(w http.ResponseWriter) {
	if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = connection.Close()
	}
	panic(http.ErrAbortHandler)
}
