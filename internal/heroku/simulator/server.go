package simulator

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options sets what all accounts and apps of a Server share. Zero values take Heroku's own figures.
type Options struct {
	// RateCapacity and RateRefill are the tokens an account can hold, and gets a minute: 4,500 and 75.
	RateCapacity, RateRefill int
	// BootTime is how long a dyno is starting before it is up; 2 s, the short end of what logs show.
	BootTime time.Duration
	// Grace lies between SIGTERM and SIGKILL; 30 s.
	Grace time.Duration
	// CrashDelay is the pause before the second restart of a crashed dyno, doubled for each later one;
	// the first restart comes at once. Heroku documents the growth and not the figures; 10 s here.
	CrashDelay time.Duration
	// RetryDelay is the pause before the second attempt of a delivery to a webhook of level sync,
	// doubled for each later one up to an hour. Heroku documented the growth and not the first pause;
	// 1 s here.
	RetryDelay time.Duration
	// DeliveryTransport carries deliveries to webhooks. Where it is nil they go out directly, each on a
	// connection of its own.
	DeliveryTransport http.RoundTripper
	// Output takes what dynos print, line by line, each prefixed with the dyno's name.
	Output io.Writer
}

func (o Options) withDefaults() Options {
	if o.RateCapacity == 0 {
		o.RateCapacity = 4500
	}
	if o.RateRefill == 0 {
		o.RateRefill = 75
	}
	if o.BootTime == 0 {
		o.BootTime = 2 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	if o.CrashDelay == 0 {
		o.CrashDelay = 10 * time.Second
	}
	if o.RetryDelay == 0 {
		o.RetryDelay = time.Second
	}
	if o.DeliveryTransport == nil {
		o.DeliveryTransport = &http.Transport{DisableKeepAlives: true}
	}
	if o.Output == nil {
		o.Output = io.Discard
	}
	return o
}

// Server is the simulated platform. It is an http.Handler; Start puts it on a TCP address.
type Server struct {
	history

	options Options
	output  *lineWriter
	mux     *http.ServeMux
	http    *http.Server
	url     string

	closing    context.Context // done when Close begins: hung requests and deliveries end
	beginClose context.CancelFunc
	killing    chan struct{}  // closed when Close has no time left: grace ends
	active     sync.WaitGroup // the listener, requests, dynos and deliveries

	mu       sync.Mutex
	closed   bool
	accounts map[string]*account // by e-mail
	tokens   map[string]*token   // by secret
	apps     map[string]*app     // by name
	faults   []*fault
	lastID   int // of faults and hooks
	before   map[int]func(*http.Request)
	after    map[int]func(Request)
}

// New returns a Server with no account and no app.
func New(o Options) *Server {
	closing, beginClose := context.WithCancel(context.Background())
	s := &Server{
		history:    history{changed: make(chan struct{})},
		options:    o.withDefaults(),
		mux:        http.NewServeMux(),
		closing:    closing,
		beginClose: beginClose,
		killing:    make(chan struct{}),
		accounts:   map[string]*account{},
		tokens:     map[string]*token{},
		apps:       map[string]*app{},
		before:     map[int]func(*http.Request){},
		after:      map[int]func(Request){},
	}
	s.output = &lineWriter{to: s.options.Output}
	s.routes()
	s.controlRoutes()
	return s
}

// Start listens on addr, "127.0.0.1:0" where it is empty, and serves until Close.
func (s *Server) Start(addr string) error {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if !s.enter() {
		return errors.Join(http.ErrServerClosed, listener.Close())
	}
	s.url = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer s.active.Done()
		_ = s.http.Serve(listener) // ends with ErrServerClosed
	}()
	return nil
}

// URL is where the API is, without a slash at its end; empty before Start.
func (s *Server) URL() string { return s.url }

// Close cuts all connections, ends deliveries to webhooks, stops all dynos as a scale-down does, and
// returns when the last process is gone. When ctx ends first, the grace ends with it: processes are killed, and Close still waits.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first {
		s.beginClose()
		for _, a := range s.apps {
			a.stop()
		}
	}
	s.mu.Unlock()

	var err error
	if first && s.http != nil {
		err = s.http.Close()
	}
	done := make(chan struct{})
	go func() { s.active.Wait(); close(done) }()
	select {
	case <-done:
		return err
	case <-ctx.Done():
	}
	s.mu.Lock()
	select {
	case <-s.killing:
	default:
		close(s.killing)
	}
	s.mu.Unlock()
	<-done
	return errors.Join(err, ctx.Err())
}

// enter counts something that Close waits for; it says no once Close has begun.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.active.Add(1)
	}
	return !s.closed
}

// BeforeRequest has f called for every API request before anything is done with it. A hook may block,
// and use the Server; Close waits for it.
func (s *Server) BeforeRequest(f func(*http.Request)) (remove func()) {
	return addHook(s, s.before, f)
}

// AfterRequest has f called for every API request after it was applied and before its answer goes out:
// the point at which a client may die without knowing what it has done.
func (s *Server) AfterRequest(f func(Request)) (remove func()) {
	return addHook(s, s.after, f)
}

func addHook[F any](s *Server, hooks map[int]F, f F) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	id := s.lastID
	hooks[id] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(hooks, id)
	}
}

// runHooks calls hooks outside the lock, so that they may use the Server.
func runHooks[A any](s *Server, hooks map[int]func(A), argument A) {
	s.mu.Lock()
	var all []func(A)
	for _, f := range hooks {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		f(argument)
	}
}
