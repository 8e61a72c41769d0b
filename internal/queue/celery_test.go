package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// task is a message of Celery as kombu writes it, with an eta unless that is empty.
func task(eta string, body int) string {
	quoted := "null"
	if eta != "" {
		quoted = fmt.Sprintf("%q", eta)
	}
	return fmt.Sprintf(`{"body":%q,"content-type":"application/json","headers":{"task":"jobs.late","eta":%s},"properties":{"delivery_tag":"x"}}`,
		strings.Repeat("x", body), quoted)
}

// later is a task whose time comes in so many seconds.
func later(now time.Time, seconds int) string {
	return task(now.Add(time.Duration(seconds)*time.Second).UTC().Format("2006-01-02T15:04:05.000000+00:00"), 10)
}

// reserved are commands of a worker that took a message so many seconds ago.
func reserved(now time.Time, tag, message, exchange, queue string, ago int) [][]any {
	return [][]any{
		cmd("hset", "unacked", tag, fmt.Sprintf(`[%s,%q,%q]`, message, exchange, queue)),
		cmd("zadd", "unacked_index", float64(now.Unix())-float64(ago), tag),
	}
}

func TestCelery(t *testing.T) {
	client := sharedRedis(t)
	start := now(t, client)
	ready := task("", 10)
	push := func(key string, messages ...any) [][]any { return [][]any{append(cmd("lpush", key), messages...)} }
	near := func(at time.Time, seconds int) bool {
		return at.Sub(start.Add(time.Duration(seconds)*time.Second)).Abs() < 3*time.Second
	}
	waits := func(depth, inFlight, orphans int64) func(Observation) bool {
		return func(o Observation) bool { return o.Depth == depth && o.InFlight == inFlight && o.Orphans == orphans }
	}
	for name, test := range map[string]struct {
		write [][]any
		check func(Observation) bool
	}{
		"nothing": {nil, func(o Observation) bool {
			return !o.Active() && o.NextDue.IsZero() && !o.Heartbeats && o.Processed == -1 && o.Latency == 0
		}},
		"waiting":                 {push("a", ready, ready), waits(2, 0, 0)},
		"waiting with a priority": {push("a\x06\x166", ready), waits(1, 0, 0)},
		"one of ten priorities":   {push("a\x06\x164", ready), waits(1, 0, 0)},
		"of another queue":        {push("ab", ready), waits(0, 0, 0)},
		"later": {push("a", later(start, 300), later(start, 200)), func(o Observation) bool {
			return !o.Active() && near(o.NextDue, 200)
		}},
		"later with a priority":      {push("a\x06\x169", later(start, 100)), func(o Observation) bool { return !o.Active() && near(o.NextDue, 100) }},
		"behind later ones":          {push("a", later(start, 300), later(start, 200), ready), waits(1, 0, 0)},
		"before later ones":          {push("a", ready, later(start, 300)), func(o Observation) bool { return o.Depth > 0 }},
		"its time has come":          {push("a", later(start, -1)), waits(1, 0, 0)},
		"in another zone":            {push("a", task(start.Add(time.Hour).In(time.FixedZone("", -7*3600)).Format("2006-01-02T15:04:05.000000-07:00"), 1)), func(o Observation) bool { return near(o.NextDue, 3600) }},
		"without a zone, soon":       {push("a", task(start.Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000"), 1)), waits(1, 0, 0)},
		"without a zone, far":        {push("a", task(start.Add(15*time.Hour).UTC().Format("2006-01-02T15:04:05"), 1)), func(o Observation) bool { return !o.Active() && near(o.NextDue, 3600) }},
		"an eta not to be read":      {push("a", task("tomorrow", 1)), waits(1, 0, 0)},
		"a message not to be read":   {push("a", "?"), waits(1, 0, 0)},
		"running":                    {reserved(start, "1", ready, "", "a", 10), waits(0, 1, 0)},
		"running for long":           {reserved(start, "1", ready, "", "a", 3000), waits(0, 1, 0)},
		"left":                       {reserved(start, "1", ready, "", "a", 3700), waits(0, 0, 1)},
		"running in another queue":   {reserved(start, "1", ready, "", "b", 10), waits(0, 0, 0)},
		"left in another queue":      {reserved(start, "1", ready, "", "b", 3700), waits(0, 0, 0)},
		"routed by an exchange":      {reserved(start, "1", ready, "shop", "b", 10), waits(0, 1, 0)},
		"reserved for later":         {reserved(start, "1", later(start, 500), "", "a", 10), func(o Observation) bool { return !o.Active() && near(o.NextDue, 500) }},
		"reserved, of another queue": {reserved(start, "1", later(start, 500), "", "b", 10), func(o Observation) bool { return !o.Active() && o.NextDue.IsZero() }},
		"taken and not to be read":   {[][]any{cmd("hset", "unacked", "1", "?"), cmd("zadd", "unacked_index", 1, "1")}, waits(0, 1, 0)},
		"not in the index":           {[][]any{cmd("hset", "unacked", "1", "?")}, waits(0, 1, 0)},
		"only in the index":          {[][]any{cmd("zadd", "unacked_index", 1, "1")}, waits(0, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			do(t, client, cmd("flushall"))
			do(t, client, test.write...)
			if o := observe(t, client, Spec{System: Celery, Names: []string{"a"}, DueHorizon: time.Hour, ClaimIdle: time.Hour}); !test.check(o) {
				t.Errorf("got %+v", o)
			}
		})
	}
}

// TestCeleryTimeoutNotKnown: without the visibility timeout nobody is taken for dead.
func TestCeleryTimeoutNotKnown(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, reserved(now(t, client), "1", task("", 1), "", "a", 1e6)...)
	if o := observe(t, client, Spec{System: Celery, Names: []string{"a"}}); o.InFlight != 1 || o.Orphans != 0 {
		t.Errorf("got %+v", o)
	}
}

// TestCeleryIgnoresSchedule: without a horizon a task whose time has not come is neither work nor due.
func TestCeleryIgnoresSchedule(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("lpush", "a", later(now(t, client), 300)))
	if o := observe(t, client, Spec{System: Celery, Names: []string{"a"}}); o.Active() || found(o) {
		t.Errorf("got %+v", o)
	}
}

// TestCeleryMany has more messages for later than a look reads: the rest counts as work, wherever it is.
func TestCeleryMany(t *testing.T) {
	client := sharedRedis(t)
	start := now(t, client)
	pipe := client.Pipeline()
	for i := range scanMessages + 100 {
		pipe.LPush(t.Context(), "a", later(start, 300+i))
		for _, command := range reserved(start, fmt.Sprint(i), later(start, 600+i), "", "a", i) {
			pipe.Do(t.Context(), command...)
		}
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := observe(t, client, Spec{System: Celery, Names: []string{"a"}, DueHorizon: time.Hour})
	if o.Depth != 100 || o.InFlight != 100 || o.NextDue.Sub(start) > 302*time.Second {
		t.Errorf("got %+v", o)
	}
}

// TestCeleryLarge has messages of many bytes: a look reads few of them.
func TestCeleryLarge(t *testing.T) {
	client := sharedRedis(t)
	at := now(t, client).Add(time.Hour).UTC().Format("2006-01-02T15:04:05+00:00")
	for range 20 {
		do(t, client, cmd("lpush", "a", task(at, 300<<10)))
	}
	before := netOutput(t, client)
	o := observe(t, client, Spec{System: Celery, Names: []string{"a"}, DueHorizon: time.Hour})
	if read := netOutput(t, client) - before; read > 2*scanBytes {
		t.Errorf("read %d bytes", read)
	}
	if o.Depth < 10 || o.Depth == 20 {
		t.Errorf("got %+v", o)
	}
}

// TestBudget: a page never asks for more than a look may read, if its messages are as large as those before.
func TestBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 2*scanBytes).Draw(t, "size")
		read := 0
		for rounds := 0; ; rounds++ {
			page := budget(read, read*size)
			if page == 0 {
				break
			}
			if page < 0 || rounds > 20 {
				t.Fatalf("page %d after %d messages of %d bytes", page, read, size)
			}
			read += page
		}
		if read > scanMessages || (read-1)*size > scanBytes {
			t.Fatalf("reads %d messages of %d bytes", read, size)
		}
		if read < min(scanMessages, scanBytes/size) {
			t.Fatalf("reads only %d messages of %d bytes", read, size)
		}
	})
}
