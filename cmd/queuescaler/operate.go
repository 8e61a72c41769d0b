package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/controllers"
)

// operate runs the operator until the context is done. A replica that starts while the API server is away waits
// for it: the process and its probe are there, and ready it is not.
func (s settings) operate(ctx context.Context, config *rest.Config, health *controllers.Health) error {
	for {
		if awaitAPIServer(ctx, config) != nil {
			return nil // the process is to end
		}
		operator, err := s.build(config, health)
		if err == nil {
			return operator.Start(ctx)
		}
		if askAPIServer(ctx, config) == nil {
			return err // it is not the API server's fault
		}
	}
}

// build makes a manager that runs the controller.
func (s settings) build(config *rest.Config, health *controllers.Health) (manager.Manager, error) {
	options, controller := s.manager(), s.controller
	controller.Health = health
	if s.leaderElect {
		var err error
		if controller.Leadership, err = s.election.elect(config, &options); err != nil {
			return nil, err
		}
	}
	operator, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, err
	}
	return operator, controllers.SetupWithManager(operator, controller)
}

const (
	// askTimeout bounds one question to the API server.
	askTimeout = 5 * time.Second
	// longestAskWait bounds the wait between two of them.
	longestAskWait = 10 * time.Second
)

// askAPIServer returns nil if the API server is there and has QueueScalers.
func askAPIServer(ctx context.Context, config *rest.Config) error {
	config = rest.CopyConfig(config)
	config.Timeout = askTimeout
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	return client.RESTClient().Get().AbsPath("/apis/" + v1.GroupVersion.String()).Do(ctx).Error()
}

// awaitAPIServer returns an error only when the context is done.
func awaitAPIServer(ctx context.Context, config *rest.Config) error {
	logger := ctrl.Log.WithName("setup")
	for wait := time.Second; ; wait = min(longestAskWait, 2*wait) {
		err := askAPIServer(ctx, config)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		logger.Info("waiting for the API server, and for the CRD in it", "error", err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// serveProbes serves /healthz and /readyz for as long as the process runs.
func serveProbes(address string, health *controllers.Health) (stop func(), err error) {
	if address == "" || address == "0" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for path, checks := range map[string]map[string]healthz.Checker{
		"/healthz": {"ping": healthz.Ping, "wakes": func(*http.Request) error { return health.Alive() }},
		"/readyz":  {"ping": healthz.Ping, "caches": func(*http.Request) error { return health.Synced() }, "wakes": func(*http.Request) error { return health.Waking() }},
	} {
		handler := http.StripPrefix(path, &healthz.Handler{Checks: checks})
		mux.Handle(path, handler)
		mux.Handle(path+"/", handler)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: askTimeout}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			ctrl.Log.WithName("setup").Error(err, "serving the probes")
		}
	}()
	return func() { _ = server.Close() }, nil
}
