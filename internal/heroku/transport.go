package heroku

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxBody bounds a successful answer, in bytes. A page has at most 1000
	// entries of a few hundred bytes.
	maxBody = 10 << 20
	// maxErrorBody bounds the body of an error, in bytes. Heroku's messages
	// are a sentence or two.
	maxErrorBody = 16 << 10
	// maxRetryAfter is the time in which an empty rate budget is full again:
	// 4500 tokens at 75 a minute.
	maxRetryAfter = time.Hour
	// firstEpoch tells a Retry-After in seconds from one that is a Unix time.
	firstEpoch = 1_000_000_000
)

// answer is what heroku-go does not hand up of an HTTP response.
type answer struct {
	status     int
	requestID  string
	nextRange  string
	remaining  *int    // tokens left of the account's rate budget
	multiplier float64 // of that budget; 0 if not told
	retryAfter time.Duration
	limit      int       // of a 422, 0 if none
	date       time.Time // by Heroku's clock, when it answered; zero if not told
}

type answerKey struct{}

// withAnswer returns a context under which transport fills in a.
func withAnswer(ctx context.Context, a *answer) context.Context {
	return context.WithValue(ctx, answerKey{}, a)
}

// transport sits below heroku-go's Transport. It records each response in the
// context's answer, bounds and completes its body, and gives every error a
// body of Heroku's form, without which heroku-go drops the status.
type transport struct {
	inner   http.RoundTripper
	token   string
	observe func(method string, status int)
	warn    func(msg string)
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	a, ok := req.Context().Value(answerKey{}).(*answer)
	if !ok {
		a = &answer{}
	}
	a.requestID = req.Header.Get("Request-Id")

	resp, err := t.inner.RoundTrip(sentOnce(req))
	if err != nil {
		t.observe(req.Method, 0)
		return nil, err
	}
	t.observe(req.Method, resp.StatusCode)
	t.takeWarning(resp.Header)
	a.record(resp, time.Now())
	if err := t.completeBody(resp, a); err != nil {
		return nil, err
	}
	return resp, nil
}

// sentOnce keeps net/http from sending a request with a body again by itself,
// as it otherwise may when a connection breaks.
func sentOnce(req *http.Request) *http.Request {
	if req.GetBody == nil {
		return req
	}
	once := req.WithContext(req.Context())
	once.GetBody = nil
	return once
}

// takeWarning moves Heroku's warning to the warn hook, out of the sight of
// heroku-go, which would print it with the standard logger.
func (t *transport) takeWarning(h http.Header) {
	if msg := strings.TrimSpace(h.Get("X-Heroku-Warning")); msg != "" {
		t.warn(string(t.redact([]byte(msg))))
	}
	h.Del("X-Heroku-Warning")
}

// completeBody reads the whole body and puts what heroku-go shall see in its
// place. It fails if the body of a success is broken or too long; the status
// of an error is told even then.
func (t *transport) completeBody(resp *http.Response, a *answer) error {
	success := resp.StatusCode/100 == 2
	limit := maxErrorBody
	if success {
		limit = maxBody
	}
	body, err := readAll(resp.Body, limit)
	resp.Body.Close()
	switch {
	case success && err != nil:
		return err
	case !success:
		body = errorBody(resp.StatusCode, t.redact(body), a)
	default:
		body = t.redact(body)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// redact removes the token from text that a server may have echoed.
func (t *transport) redact(text []byte) []byte {
	if t.token == "" {
		return text
	}
	return bytes.ReplaceAll(text, []byte(t.token), []byte("[redacted]"))
}

var errTooLong = errors.New("the answer is too long")

func readAll(r io.Reader, limit int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(body) > limit {
		err = errTooLong
	}
	return body, err
}

// errorBody returns an error body that heroku-go can decode: Heroku's own, or
// one made from the status where that is not JSON with a message (an HTML page,
// an empty or broken body). It records the limit of a 422.
func errorBody(status int, body []byte, a *answer) []byte {
	var e struct {
		ID      string          `json:"id"`
		Message string          `json:"message"`
		Limit   json.RawMessage `json:"limit,omitempty"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Message == "" {
		e.Message = cmp.Or(http.StatusText(status), "an error") + ", without a message from the Platform API"
	}
	if e.ID == "" {
		e.ID = fmt.Sprintf("http_%d", status)
	}
	if limit, err := strconv.Atoi(strings.Trim(string(e.Limit), `"`)); err == nil {
		a.limit = limit
	}
	body, _ = json.Marshal(e) // two strings and valid raw JSON
	return body
}

// record notes what the headers of resp say.
func (a *answer) record(resp *http.Response, now time.Time) {
	a.status = resp.StatusCode
	a.requestID = cmp.Or(resp.Header.Get("Request-Id"), a.requestID)
	a.nextRange = resp.Header.Get("Next-Range")
	a.date, _ = http.ParseTime(resp.Header.Get("Date"))
	a.retryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), now)
	if n, err := strconv.Atoi(resp.Header.Get("Ratelimit-Remaining")); err == nil {
		a.remaining = &n
	}
	if m, err := strconv.ParseFloat(resp.Header.Get("Ratelimit-Multiplier"), 64); err == nil && m > 0 && !math.IsInf(m, 0) {
		a.multiplier = m
	}
}

// parseRetryAfter understands a number of seconds, a Unix time and an HTTP
// date; anything else, and a time gone by, is 0.
func parseRetryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && n < firstEpoch {
		wait = time.Duration(n) * time.Second
	} else if err == nil {
		wait = time.Unix(n, 0).Sub(now)
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
