package queue

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// sharedServer is for tests that run one after the other and begin by emptying it.
var sharedServer *redisserver.Server

func TestMain(m *testing.M) {
	var err error
	if sharedServer, err = redisserver.Start(context.Background(), redisserver.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := sharedServer.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}
