package redisserver

import (
	"context"
	"testing"
)

// StartT starts a server for a test, and stops it when the test ends.
func StartT(t testing.TB, options Options) *Server {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	server, err := Start(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}
