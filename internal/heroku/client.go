// Package heroku reads and scales formations through Heroku's Platform API.
//
// It is a thin layer over heroku-go, which loses the status of some errors and
// the headers of all answers, and cannot tell a quantity of zero from a missing
// one. See https://devcenter.heroku.com/articles/platform-api-reference.
package heroku

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	api "github.com/heroku/heroku-go/v5"
)

const (
	// defaultTimeout bounds a call whose context has no deadline.
	defaultTimeout = 15 * time.Second
	// pingAfter is how long an HTTP/2 connection may be silent during a call
	// before it is checked, and how long the check may take. Without it, a
	// connection that died silently fails one call after the other.
	pingAfter = 5 * time.Second
	// maxConnections is how many connections are kept for the next call, where HTTP/2 does not let one
	// carry all: with net/http's two, a burst of calls would dial anew for most of them.
	maxConnections = 64
)

// Options configures a [Client]. Only Token is needed.
type Options struct {
	// BaseURL is where the API is; https://api.heroku.com by default.
	BaseURL string
	// Token is the API key; white space around it is dropped.
	Token     string
	UserAgent string
	// Transport sends the requests; by default a clone of
	// http.DefaultTransport that belongs to the client alone.
	Transport http.RoundTripper
	// Observe is told of every request: its HTTP method and the status of the
	// answer, 0 if none came. Neither carries a name or an id.
	Observe func(method string, status int)
	// Warn gets the warnings that Heroku sends with an answer.
	Warn func(msg string)
}

// Client calls the Platform API with one token. It never repeats a request: a
// caller that wants another attempt calls again. A call without a deadline in
// its context has one of 15 seconds. All errors are of type [*Error].
//
// A Client is safe for concurrent use.
type Client struct {
	service *api.Service
	inner   http.RoundTripper
	token   string
	// budget is that of the account; a client of no Accounts has one of its own.
	budget   atomic.Pointer[Budget]
	accounts *Accounts
	identity identity
	apps     apps
}

// NewClient returns a client; it sends nothing yet.
func NewClient(o Options) *Client {
	token := strings.TrimSpace(o.Token)
	inner := o.Transport
	if inner == nil {
		inner = newTransport()
	}
	service := api.NewService(&http.Client{
		Transport: &api.Transport{
			BearerToken: token,
			UserAgent:   o.UserAgent,
			Transport:   newRecorder(inner, token, o),
		},
		CheckRedirect: refuseRedirect,
	})
	service.URL = strings.TrimRight(cmp.Or(o.BaseURL, api.DefaultURL), "/")
	c := &Client{service: service, inner: inner, token: token}
	c.budget.Store(newBudget(0, time.Now()))
	return c
}

// newTransport returns a transport of its own, so that closing its idle
// connections disturbs nobody else.
func newTransport() http.RoundTripper {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		base = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	own := base.Clone()
	own.MaxIdleConnsPerHost = maxConnections // all connections go to the one host
	own.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	return own
}

func newRecorder(inner http.RoundTripper, token string, o Options) *transport {
	t := &transport{inner: inner, token: token, observe: o.Observe, warn: o.Warn}
	if t.observe == nil {
		t.observe = func(string, int) {}
	}
	if t.warn == nil {
		t.warn = func(string) {}
	}
	return t
}

// refuseRedirect keeps the token, which heroku-go adds to every request, from
// following a redirect elsewhere.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close frees the idle connections. The client remains usable.
func (c *Client) Close() {
	if t, ok := c.inner.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// call makes one request of no priority by send and returns what came with the answer.
func (c *Client) call(ctx context.Context, send func(context.Context) error) (*answer, error) {
	return c.callAs(ctx, Rest, "", send)
}

// callAs makes one request by send, if the account's budget has a token for it, and returns what came
// with the answer. The id tells those apart who wait for a token.
func (c *Client) callAs(ctx context.Context, p Priority, id string, send func(context.Context) error) (*answer, error) {
	if err := validateToken(c.token); err != nil {
		return nil, err
	}
	if tooLate(ctx) {
		return nil, errLate()
	}
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	budget := c.budget.Load()
	if wait := budget.take(p, id, time.Now()); wait > 0 {
		return nil, &Error{Kind: RateLimited, Message: "the account's rate budget is kept for more urgent calls", RetryAfter: wait}
	}
	a := &answer{}
	err := send(withAnswer(ctx, a))
	budget.answered(a, time.Now())
	switch {
	case err == nil:
		return a, nil
	case tooLate(ctx):
		return nil, errLate()
	}
	return nil, newError(a, err)
}

// checkContext returns an error if it is too late to send anything.
func checkContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Kind: Unknown, Message: describe(err), cause: err, unsent: true}
	}
	return nil
}

// withDeadline gives ctx the default deadline if it has none.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, defaultTimeout)
}
