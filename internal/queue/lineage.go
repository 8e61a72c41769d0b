package queue

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// renewal says what a new connection of the reader's means for what was known.
type renewal int

const (
	sameServer   renewal = iota // the server process of the looks before, with its data; or the first one
	maybeAnother                // the server does not say which process it is
	otherServer                 // another process, which may have lost data or never had them
)

// lineage knows the server process behind each address that a connection reads from. go-redis makes a
// connection anew without a word: a Redis that was restarted empty between two looks would else be taken
// for one whose jobs are all done.
type lineage struct {
	mu      sync.Mutex
	process map[string]string // by address; empty for one that does not say
	found   renewal
}

// greet asks a new connection, once, for the process behind it: run_id is new at each start of a server.
func (l *lineage) greet(ctx context.Context, conn *redis.Conn) error {
	info, err := conn.Info(ctx, "server").Result()
	if err != nil && !isReply(err) {
		return err
	}
	l.met(conn.String(), runID(info))
	return nil
}

func runID(info string) string {
	_, rest, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

// met compares the process behind an address with the one that was there before.
func (l *lineage) met(address, process string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.process[address]
	if l.process == nil {
		l.process = map[string]string{}
	}
	l.process[address] = process
	switch {
	case !known:
	case last == "" || process == "":
		l.found = max(l.found, maybeAnother)
	case last != process:
		l.found = otherServer
	}
}

// take returns what the connections since the last call mean.
func (l *lineage) take() renewal {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.found
	l.found = sameServer
	return found
}
