package races

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// moment is something that happens to a lane's worker, at which a probe may be pushed.
type moment string

const (
	stopping  moment = "the PATCH to 0 arrives"
	stopped   moment = "the PATCH to 0 was carried out"
	heartbeat moment = "a heartbeat"
	told      moment = "TSTP is put where the process looks"
	quiet     moment = "the process says that it is quiet"
)

// moments is what happens in one lane.
type moments struct {
	mu      sync.Mutex
	awaited map[moment]chan struct{}
	past    []pastMoment // without heartbeats
	telling bool         // from told until quiet
}

type pastMoment struct {
	what moment
	at   time.Time
}

// next is closed when it happens next.
func (m *moments) next(what moment) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.awaited == nil {
		m.awaited = map[moment]chan struct{}{}
	}
	if m.awaited[what] == nil {
		m.awaited[what] = make(chan struct{})
	}
	return m.awaited[what]
}

// happens notes a moment, and says whether somebody waited for it.
func (m *moments) happens(what moment) (awaited bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if what != heartbeat {
		m.past = append(m.past, pastMoment{what, time.Now()})
		m.telling = what == told
	}
	if m.awaited[what] == nil {
		return false
	}
	close(m.awaited[what])
	delete(m.awaited, what)
	return true
}

func (m *moments) isTelling() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.telling
}

// times are when it happened.
func (m *moments) times(what moment) []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	var times []time.Time
	for _, past := range m.past {
		if past.what == what {
			times = append(times, past.at)
		}
	}
	return times
}

// longestHold bounds how long a stop for which a probe waited is held on its way.
const longestHold = 20 * time.Millisecond

// beforeRequest sees the stops come.
func (e *experiment) beforeRequest(r *http.Request) {
	if l := e.lanes[path.Base(r.URL.Path)]; l != nil && r.Method == http.MethodPatch && wantsZero(r) && l.happens(stopping) {
		time.Sleep(rand.N(longestHold))
	}
}

// wantsZero reads the request's body, and puts it back.
func wantsZero(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var wanted struct{ Quantity *int }
	return err == nil && json.Unmarshal(body, &wanted) == nil && wanted.Quantity != nil && *wanted.Quantity == 0
}

// afterRequest sees the stops done.
func (e *experiment) afterRequest(r simulator.Request) {
	l := e.lanes[path.Base(r.Path)]
	if l != nil && r.Method == http.MethodPatch && r.Status == http.StatusOK && e.Heroku.Quantity(l.name, l.name) == 0 {
		l.happens(stopped)
	}
}

// watch makes Redis tell of heartbeats and of signals, until the context is done.
func (e *experiment) watch(ctx context.Context) error {
	at, err := redis.ParseURL(e.RedisURL)
	if err != nil {
		return err
	}
	client := redis.NewClient(at)
	if err := client.ConfigSet(ctx, "notify-keyspace-events", "Ehl").Err(); err != nil {
		return err
	}
	subscription := client.PSubscribe(ctx, "__keyevent@*__:hset", "__keyevent@*__:lpush")
	if _, err := subscription.Receive(ctx); err != nil { // it is in force
		return err
	}
	writes := subscription.Channel(redis.WithChannelSize(10_000))
	go func() {
		defer func() { _, _ = subscription.Close(), client.Close() }()
		for {
			select {
			case <-ctx.Done():
				return
			case write := <-writes:
				e.written(ctx, write.Payload)
			}
		}
	}()
	return nil
}

// written takes in that a key was written. Those of a process begin with its identity, and so with the
// name of its dyno.
func (e *experiment) written(ctx context.Context, key string) {
	name, _, _ := strings.Cut(key, ".")
	l := e.lanes[name]
	switch {
	case l == nil:
	case strings.HasSuffix(key, "-signals"):
		l.happens(told)
	case strings.Count(key, ":") == 2: // not the running jobs, which have one more
		l.happens(heartbeat)
		if l.isTelling() && l.redis.HGet(ctx, key, "quiet").Val() == "true" {
			l.happens(quiet)
		}
	}
}
