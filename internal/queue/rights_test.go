package queue

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// connecting are the rights that a queue can be read without.
var connecting = []string{"+hello", "+ping", "+select", "+client|tracking", "+subscribe", "+role"}

// documentedFor are the rights that a page asks for, for a queue named q.
func documentedFor(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/how-to/queues/" + page + ".md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\nACL SETUSER queuescaler on >PASSWORD ")
	rights, _, _ := strings.Cut(after, "\n")
	if !found {
		t.Fatal("the page asks for no rights")
	}
	return strings.Fields(strings.ReplaceAll(rights, "emails", "q"))
}

// TestRightsOfPages reads each job system as a user with the rights of its page, and with each one less.
func TestRightsOfPages(t *testing.T) {
	for page, system := range systems {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			rights := documentedFor(t, page)
			server := redisserver.StartT(t, redisserver.Options{User: "reader", Password: canary, Rights: rights,
				Args: []string{"--user", "writer", "on", "nopass", "~*", "&*", "+@all"}})
			writer := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "writer", Password: "any"})
			defer func() { _ = writer.Close() }()
			system.run(t, writer, 10, 10)
			look := func() *Error {
				_, err := newObserver(t, clientOf(t, server.URL()), system.complete()).look()
				return err
			}
			if err := look(); err != nil {
				t.Fatalf("with all that the page asks for: %v: %v", err, err.Unwrap())
			}
			awaitPushed(t, server, system.complete())
			for _, right := range rights {
				if !strings.HasPrefix(right, "+") || slices.Contains(connecting, right) {
					continue
				}
				do(t, writer, cmd("acl", "setuser", "reader", "-"+right[1:]))
				if err := look(); err == nil || err.Kind != Unauthorized {
					t.Errorf("without %s: %v", right, err)
				}
				do(t, writer, cmd("acl", "setuser", "reader", right))
			}
		})
	}
}

// awaitPushed has a Hub be told of changes.
func awaitPushed(t *testing.T, server *redisserver.Server, spec Spec) {
	t.Helper()
	told := make(chan struct{}, 1)
	hub := NewHub(endpointOf(t, server.URL()))
	defer func() { _ = hub.Close() }()
	err := hub.Watch("a", spec, func(bool) {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for !hub.Snapshot("a").Pushed {
		if why := hub.Snapshot("a").NotPushed; why != "" {
			t.Fatal(why)
		}
		<-told
	}
}
