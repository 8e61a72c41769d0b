package redisserver

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func TestStart(t *testing.T) {
	for name, options := range map[string]Options{
		"plain":    {},
		"password": {Password: "p@ss/word"},
		"user":     {User: "reader", Password: "secret", Rights: []string{"~queue:*", "+@read", "-@dangerous"}},
		"TLS":      {TLS: true, Hosts: []string{"redis.example", "10.0.0.1"}},
		"args":     {Args: []string{"--maxclients", "7"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := StartT(t, options)
			if err := server.ping(t.Context()); err != nil {
				t.Error(err)
			}
			t.Log(server.URL())
		})
	}
}

func TestBadArgumentIsReported(t *testing.T) {
	if _, err := Start(t.Context(), Options{Args: []string{"--no-such-option", "1"}}); !errors.Is(err, errExited) {
		t.Errorf("got %v, want that it exited", err)
	}
}

func TestNoServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Start(t.Context(), Options{}); !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want %v", err, ErrNoServer)
	}
}

func TestLifecycle(t *testing.T) {
	server := StartT(t, Options{})
	addr := server.Addr()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(server.Pause())
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := server.ping(short); err == nil {
		t.Error("a paused server answers")
	}
	must(server.Resume())
	must(server.ping(t.Context()))
	must(server.Kill())
	if err := server.ping(t.Context()); err == nil {
		t.Error("a killed server answers")
	}
	must(server.Restart(t.Context()))
	must(server.ping(t.Context()))
	must(server.Pause())
	must(server.Restart(t.Context()))
	if server.Addr() != addr {
		t.Errorf("restarted at %s, was at %s", server.Addr(), addr)
	}
}

func TestStopRemovesItsDirectory(t *testing.T) {
	server, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(server.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server, err := Start(ctx, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-server.process.exited
}

// TestPortOfAnother has a server start at a port that another has, and that answers there.
func TestPortOfAnother(t *testing.T) {
	first := StartT(t, Options{})
	second := StartT(t, Options{})
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	second.port = first.port
	if err := second.run(t.Context()); !errors.Is(err, errExited) {
		t.Errorf("started: %v", err)
	}
}
