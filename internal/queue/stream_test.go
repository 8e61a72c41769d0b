package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestStream compares with what Redis itself says, at each turn of an entry's life.
func TestStream(t *testing.T) {
	add := func(id string) []any { return cmd("xadd", "jobs", id, "field", "value") }
	group := func(from string) []any { return cmd("xgroup", "create", "jobs", "g", from, "mkstream") }
	read := func(count int) []any {
		return cmd("xreadgroup", "group", "g", "c", "count", count, "streams", "jobs", ">")
	}
	ack := func(id string) []any { return cmd("xack", "jobs", "g", id) }
	idle := func(id string, ms int) []any {
		return cmd("xclaim", "jobs", "g", "c", 0, id, "idle", ms, "justid")
	}
	type life = [][]any
	for name, test := range map[string]struct {
		life
		depth, inFlight, orphans int64
	}{
		"no such key":                     {life{}, 0, 0, 0},
		"no group yet":                    {life{add("1-1"), add("1-2")}, 2, 0, 0},
		"another group":                   {life{add("1-1"), cmd("xgroup", "create", "jobs", "other", "$")}, 1, 0, 0},
		"an empty stream":                 {life{add("1-1"), cmd("xdel", "jobs", "1-1")}, 0, 0, 0},
		"an empty stream with a group":    {life{group("0")}, 0, 0, 0},
		"entries wait":                    {life{group("0"), add("1-1"), add("1-2")}, 2, 0, 0},
		"the group wants only newer ones": {life{add("1-1"), group("$")}, 0, 0, 0},
		"and one came":                    {life{add("1-1"), group("$"), add("1-2")}, 1, 0, 0},
		"from the middle":                 {life{add("1-1"), add("1-2"), add("1-3"), group("1-1")}, 2, 0, 0},
		"from the middle, read":           {life{add("1-1"), add("1-2"), group("1-1"), read(9), ack("1-2")}, 0, 0, 0},
		"one is taken":                    {life{group("0"), add("1-1"), add("1-2"), read(1)}, 1, 1, 0},
		"all are taken":                   {life{group("0"), add("1-1"), add("1-2"), read(9)}, 0, 2, 0},
		"all is done":                     {life{group("0"), add("1-1"), read(9), ack("1-1")}, 0, 0, 0},
		"one that waits is deleted":       {life{group("0"), add("1-1"), add("1-2"), add("1-3"), read(1), cmd("xdel", "jobs", "1-2")}, 1, 1, 0},
		"all that wait are deleted":       {life{group("0"), add("1-1"), add("1-2"), read(1), cmd("xdel", "jobs", "1-2")}, 0, 1, 0},
		"trimmed away":                    {life{group("0"), add("1-1"), add("1-2"), cmd("xtrim", "jobs", "maxlen", 0)}, 0, 0, 0},
		"taken long ago":                  {life{group("0"), add("1-1"), add("1-2"), read(9), idle("1-1", 61_000)}, 0, 1, 1},
		"taken just too lately":           {life{group("0"), add("1-1"), read(9), idle("1-1", 30_000)}, 0, 1, 0},
		"taken and deleted":               {life{group("0"), add("1-1"), read(9), cmd("xdel", "jobs", "1-1")}, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			do(t, client, test.life...)
			o := observe(t, client, Spec{System: Stream, Names: []string{"jobs"}, Group: "g", ClaimIdle: time.Minute})
			if o.Depth != test.depth || o.InFlight != test.inFlight || o.Orphans != test.orphans {
				t.Errorf("depth %d, in flight %d, orphans %d", o.Depth, o.InFlight, o.Orphans)
			}
			if o.OrphanMark != 0 != (test.orphans > 0) {
				t.Errorf("the mark is %x", o.OrphanMark)
			}
		})
	}
}

// TestStreamTellsItsAge has the age of the next entry be that of its id.
func TestStreamTellsItsAge(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("xgroup", "create", "jobs", "g", "0", "mkstream"))
	made := now(t, client).Add(-time.Minute)
	for _, age := range []time.Duration{0, 30 * time.Second} {
		do(t, client, cmd("xadd", "jobs", fmt.Sprintf("%d-1", made.Add(age).UnixMilli()), "a", "b"))
	}
	spec := Spec{System: Stream, Names: []string{"jobs"}, Group: "g"}
	between(t, "the age", observe(t, client, spec).Latency, time.Minute-time.Millisecond, time.Minute+5*time.Second)
	do(t, client, cmd("xreadgroup", "group", "g", "c", "count", 1, "streams", "jobs", ">"))
	between(t, "the age of the next", observe(t, client, spec).Latency, 30*time.Second-time.Millisecond, 35*time.Second)
}

// TestStreamWithoutClaims takes every pending entry for a job that runs, however old.
func TestStreamWithoutClaims(t *testing.T) {
	client := sharedRedis(t)
	do(t, client,
		cmd("xgroup", "create", "jobs", "g", "0", "mkstream"), cmd("xadd", "jobs", "1-1", "a", "b"),
		cmd("xreadgroup", "group", "g", "c", "streams", "jobs", ">"),
		cmd("xclaim", "jobs", "g", "c", 0, "1-1", "idle", 3_600_000, "justid"))
	if o := observe(t, client, Spec{System: Stream, Names: []string{"jobs"}, Group: "g"}); o.InFlight != 1 || o.Orphans != 0 {
		t.Errorf("%+v", o)
	}
}

// TestHeavyStream reads a large entry for its age only once.
func TestHeavyStream(t *testing.T) {
	client := sharedRedis(t)
	do(t, client,
		cmd("xgroup", "create", "jobs", "g", "0", "mkstream"), cmd("xadd", "jobs", "1-1", "a", strings.Repeat("x", heavyEntry+1)))
	observer := newObserver(t, client, Spec{System: Stream, Names: []string{"jobs"}, Group: "g"})
	for i, aged := range []bool{true, false, false} {
		o, err := observer.look()
		if err != nil || o.Depth != 1 || (o.Latency > 0) != aged {
			t.Errorf("look %d: %+v, %v", i, o, err)
		}
	}
}

// TestLag covers servers before 7.0 too, which do not count.
func TestLag(t *testing.T) {
	for name, test := range map[string]struct {
		group redis.XInfoGroup
		lag   int64
	}{
		"counted":      {redis.XInfoGroup{EntriesRead: 3, Lag: 2}, 2},
		"all read":     {redis.XInfoGroup{EntriesRead: 3, Lag: 0}, 0},
		"none read":    {redis.XInfoGroup{EntriesRead: 0, Lag: 2}, 2},
		"not known":    {redis.XInfoGroup{EntriesRead: 3, Lag: -1}, -1},
		"never told":   {redis.XInfoGroup{}, -1},
		"neither told": {redis.XInfoGroup{EntriesRead: -1, Lag: -1}, -1},
	} {
		if got := lagOf(test.group); got != test.lag {
			t.Errorf("%s: %d", name, got)
		}
	}
}
