package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// appearance is a process in one look of a story.
type appearance struct {
	identity string
	// heard is how long ago it beat; gone stands for a hash that has expired, lost for no member either.
	heard     time.Duration
	elsewhere bool // it serves other queues
	tag       string
}

const gone, lost = -1 * time.Hour, -2 * time.Hour

// attend makes a look at a time after dawn.
func attend(a *attendance, at time.Duration, all ...appearance) []Silent {
	const took = 100 * time.Millisecond
	var members []string
	var heard []*processLook
	for _, one := range all {
		if one.heard != lost {
			members = append(members, one.identity)
		}
		if one.heard >= 0 {
			heard = append(heard, &processLook{serves: !one.elsewhere, Process: Process{
				Identity: one.identity, Dyno: dynoOf(one.identity, "worker"), HeardAgo: one.heard, Tag: one.tag,
			}})
		}
	}
	return a.after(dawn.Add(at), dawn.Add(at+took), "worker", members, heard)
}

var dawn = time.Date(2030, time.January, 31, 18, 0, 0, 0, time.UTC)

func TestAttendance(t *testing.T) {
	const a, b, host = "worker.1:4:a", "worker.1:5:b", "host:9:c"
	type story map[time.Duration][]appearance
	const s = time.Second
	for name, test := range map[string]struct {
		story story
		want  []string // identities, and when they were last heard
	}{
		"heard": {story{0: {{identity: a}}}, nil},
		"its hash has expired": {
			story{0: {{identity: a}}, 50 * s: {{identity: a, heard: 50 * s}}, 61 * s: {{identity: a, heard: gone}}},
			[]string{a + " 0.1"},
		},
		"it may have been heard between two looks": {
			story{0: {{identity: a}}, 300 * s: {{identity: a, heard: gone}}},
			[]string{a + " 240.1"},
		},
		"its expiry is told once": {
			story{0: {{identity: a}}, 61 * s: {{identity: a, heard: gone}}, 300 * s: {{identity: a, heard: gone}}},
			[]string{a + " 1.1"},
		},
		"another's boot removes the member": {
			story{0: {{identity: a}}, 50 * s: {{identity: a, heard: 50 * s}}, 61 * s: {{identity: a, heard: gone}}, 70 * s: {}},
			[]string{a + " 0.1"},
		},
		"hash and member go between two looks": {
			story{0: {{identity: a}}, 300 * s: {}},
			[]string{a + " 240.1"},
		},
		"a clean stop":                       {story{0: {{identity: a}}, 50 * s: {{identity: a, heard: 45 * s}}, 55 * s: {{identity: a, heard: lost}}}, nil},
		"a clean stop, and nothing for long": {story{0: {{identity: a}}, 55 * s: {}, 500 * s: {}}, nil},
		"heard again":                        {story{0: {{identity: a}}, 61 * s: {{identity: a, heard: gone}}, 70 * s: {{identity: a}}}, nil},
		"a member that was never heard":      {story{0: {{identity: a, heard: gone}}, 20 * s: {{identity: a, heard: gone}}}, []string{a + " -59.9"}},
		"of another process type, never heard": {
			story{0: {{identity: "web.1:4:a", heard: gone}, {identity: host, heard: gone}}}, nil,
		},
		"of another process type, heard": {
			story{0: {{identity: host}}, 61 * s: {{identity: host, heard: gone}}}, []string{host + " 1.1"},
		},
		"of another process type, no member any more": {
			story{0: {{identity: host}}, 61 * s: {{identity: host, heard: gone}}, 70 * s: {}}, nil,
		},
		"it served other queues": {
			story{0: {{identity: a, elsewhere: true}}, 61 * s: {{identity: a, heard: gone}}}, nil,
		},
		"a later process has its dyno and its process id": {
			story{0: {{identity: a}}, 61 * s: {{identity: a, heard: gone}, {identity: "worker.1:4:z"}},
				90 * s: {{identity: a, heard: gone}, {identity: "worker.1:4:z"}}}, nil,
		},
		"a process of another app has them": {
			story{0: {{identity: a, tag: "shop"}}, 61 * s: {{identity: a, heard: gone}, {identity: "worker.1:4:z", tag: "blog"}}}, []string{a + " 1.1"},
		},
		"its sibling in the dyno is heard": {
			story{0: {{identity: a}, {identity: b}}, 61 * s: {{identity: a, heard: gone}, {identity: b}}}, []string{a + " 1.1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var times []time.Duration
			for at := range test.story {
				times = append(times, at)
			}
			slices.Sort(times)
			var attendance attendance
			var silent []Silent
			for _, at := range times {
				silent = attend(&attendance, at, test.story[at]...)
			}
			var got []string
			for _, p := range silent {
				got = append(got, fmt.Sprintf("%s %.4g", p.Identity, p.LastHeard.Sub(dawn).Seconds()))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("silent: %q, want %q", got, test.want)
			}
		})
	}
}

// TestAttendanceNeverForgets has processes beat, hang, stop and be cleaned up at random: one that lives and
// is not heard is silent, and was last heard no later than is said.
func TestAttendanceNeverForgets(t *testing.T) {
	type process struct {
		identity    string
		beat        time.Duration
		hung, ended bool
		member      bool
		seen        bool
	}
	rapid.Check(t, func(t *rapid.T) {
		var attendance attendance
		var all []*process
		now, born := time.Duration(0), 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(1, 90).Draw(t, "wait")) * time.Second
			if rapid.Bool().Draw(t, "boot") {
				born++ // a process id of its own: several may share a dyno
				all = append(all, &process{identity: fmt.Sprintf("worker.%d:%d:x", 1+born%3, born)})
				for _, p := range all {
					p.member = p.member && now-p.beat < heartbeatTTL // Sidekiq's cleanup
				}
			}
			for _, p := range all {
				switch {
				case p.ended || p.hung:
				case p.member && rapid.IntRange(0, 9).Draw(t, "hangs") == 0:
					p.hung = true
				case p.member && rapid.IntRange(0, 9).Draw(t, "stops") == 0:
					p.ended, p.member = true, false
				default:
					p.beat, p.member = now, true
				}
			}
			var seen []appearance
			for _, p := range all {
				p.seen = p.seen || p.member
				if age := now - p.beat; p.member && age < heartbeatTTL {
					seen = append(seen, appearance{identity: p.identity, heard: age})
				} else if p.member {
					seen = append(seen, appearance{identity: p.identity, heard: gone})
				}
			}
			silent := attend(&attendance, now, seen...)
			for _, p := range all {
				i := slices.IndexFunc(silent, func(s Silent) bool { return s.Identity == p.identity })
				if quiet := p.hung && now-p.beat >= heartbeatTTL; quiet && p.seen && i < 0 {
					t.Fatalf("%s hangs since %v, and at %v is not silent", p.identity, p.beat, now)
				}
				if i >= 0 && silent[i].LastHeard.Before(dawn.Add(p.beat)) {
					t.Fatalf("%s was heard at %v, not before %v", p.identity, p.beat, silent[i].LastHeard.Sub(dawn))
				}
			}
		}
	})
}

func TestAttendanceIsBounded(t *testing.T) {
	var attendance attendance
	for i := range 3 * mostGone {
		attend(&attendance, time.Duration(i)*time.Hour, appearance{identity: fmt.Sprintf("worker.1:%d:a", i)})
	}
	if n := len(attendance.signs); n > mostGone+1 {
		t.Errorf("%d processes remembered", n)
	}
}

// TestSilentMember has Redis itself let a hash expire.
func TestSilentMember(t *testing.T) {
	client := newRedis(t)
	observer := newObserver(t, client, mine)
	silent := func() int {
		t.Helper()
		got, err := observer.look()
		if err != nil {
			t.Fatal(err)
		}
		return len(got.Silent)
	}
	beat(t, client, me, serving("default"), "1")
	if n := silent(); n != 0 {
		t.Errorf("%d silent while it is heard", n)
	}
	do(t, client, cmd("pexpire", me, 1))
	for client.Exists(context.Background(), me).Val() > 0 {
		time.Sleep(time.Millisecond)
	}
	if n := silent(); n != 1 {
		t.Errorf("%d silent when its hash has expired", n)
	}
	beat(t, client, me, serving("default"), "1")
	if n := silent(); n != 0 {
		t.Errorf("%d silent when it is heard again", n)
	}
	do(t, client, cmd("srem", "processes", me))
	if n := silent(); n != 0 {
		t.Errorf("%d silent after a clean stop", n)
	}
}
