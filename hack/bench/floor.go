package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// floor is the least that a wake can be, with the libraries that the operator uses: the handler of
// the push sends the PATCH, and there is nothing between.
type floor struct {
	request func() (*http.Request, error)
	http    *http.Client
	pubsub  *redis.PubSub
	client  *redis.Client
	// armed lets one push send a PATCH: the one that tells that the job is gone must not.
	armed  atomic.Bool
	failed atomic.Pointer[error]
	ended  chan struct{}
}

// floorName is the floor's app, process type and queue.
const floorName = "floor"

// startFloor connects to Redis and begins to listen.
func (w *world) startFloor(ctx context.Context, on *server) (*floor, error) {
	if err := w.heroku.AddApp(simulator.App{Name: floorName, Formation: []simulator.Process{{Type: floorName}}}); err != nil {
		return nil, err
	}
	url := w.heroku.URL() + "/apps/" + floorName + "/formation/" + floorName
	f := &floor{
		request: func() (*http.Request, error) { return patch(ctx, url, 1) },
		http:    &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()},
		ended:   make(chan struct{}),
	}
	options := w.redisOptions(on.Server)
	options.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		return conn.ClientTrackingOn(ctx, &redis.ClientTrackingOptions{Bcast: true, Prefixes: []string{floorName}}).Err()
	}
	f.client = redis.NewClient(options)
	if err := f.client.RegisterPushNotificationHandler("invalidate", f, false); err != nil {
		return nil, errors.Join(err, f.client.Close())
	}
	f.pubsub = f.client.Subscribe(ctx, floorName)
	if _, err := f.pubsub.Receive(ctx); err != nil {
		return nil, errors.Join(err, f.pubsub.Close(), f.client.Close())
	}
	go f.listen(ctx)
	return f, nil
}

// patch is the request as the operator sends it.
func patch(ctx context.Context, url string, quantity int) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, strings.NewReader(fmt.Sprintf(`{"quantity":%d}`, quantity)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	return request, nil
}

// listen receives until the connection is closed; what it is for happens in the handler.
func (f *floor) listen(ctx context.Context) {
	defer close(f.ended)
	for {
		if _, err := f.pubsub.Receive(ctx); err != nil {
			return
		}
	}
}

// HandlePushNotification sends the PATCH.
func (f *floor) HandlePushNotification(context.Context, push.NotificationHandlerContext, []any) error {
	if !f.armed.CompareAndSwap(true, false) {
		return nil
	}
	if err := f.send(); err != nil {
		f.failed.Store(&err)
	}
	return nil
}

func (f *floor) send() error {
	request, err := f.request()
	if err != nil {
		return err
	}
	response, err := f.http.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, response.Body) // else the connection cannot be used again
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New("the floor's PATCH: " + response.Status)
	}
	return nil
}

// err is what went wrong, if anything did.
func (f *floor) err() error {
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *floor) close() error {
	err := errors.Join(f.pubsub.Close(), f.client.Close())
	<-f.ended
	f.http.CloseIdleConnections()
	return err
}
