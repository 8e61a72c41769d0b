package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

// ago is a time before the epoch of the tests.
func ago(d time.Duration) time.Time { return epoch.Add(-d) }

// up is a dyno that was created, and turned up, so long ago.
func up(name string, age time.Duration) heroku.Dyno {
	return heroku.Dyno{Name: name, Type: "worker", State: "up", Age: age, StateAge: age}
}

// silentFor is a process that was heard for half an hour, and not since.
func silentFor(identity string, d time.Duration) queue.Silent {
	host, _, _ := strings.Cut(identity, ":")
	p := queue.Silent{Identity: identity, FirstHeard: ago(d + 30*time.Minute), LastHeard: ago(d)}
	if strings.HasPrefix(host, "worker.") || strings.HasPrefix(host, "worker-") {
		p.Dyno = host
	}
	return p
}

// rollScope is a scope whose workers have the identities and were just heard.
func rollScope(quantity int, identities ...string) *scope {
	s := idleScope()
	s.memory.quantity = &quantity
	for _, identity := range identities {
		p := queue.Process{Identity: identity, HeardAgo: time.Second, Dyno: silentFor(identity, 0).Dyno}
		s.snapshot.Processes = append(s.snapshot.Processes, p)
	}
	return s
}

func TestRollCall(t *testing.T) {
	const hour, minute = time.Hour, time.Minute
	crashed := heroku.Dyno{Name: "worker.2", State: "crashed", Age: hour, StateAge: minute}
	heardOnce := queue.Silent{Identity: "worker.1:5:a", Dyno: "worker.1", FirstHeard: ago(minute), LastHeard: ago(minute)}
	restarted := heroku.Dyno{Name: "worker.2", State: "up", Age: 5 * hour, StateAge: minute}
	for name, test := range map[string]struct {
		quantity int
		heard    []string
		silent   []queue.Silent
		tag      string
		list     []heroku.Dyno
		// before and after are those who are absent before Heroku's list is known, and after that.
		before, after []string
	}{
		"all heard":                      {quantity: 2, heard: []string{"worker.1:4:a", "worker.2:4:b"}},
		"several processes in each dyno": {quantity: 1, heard: []string{"worker.1:4:a", "worker.1:5:b"}},
		"one that is to stop":            {quantity: 1, heard: []string{"worker.1:4:a", "worker.2:4:b"}},
		"dynos of the Fir generation":    {2, []string{"worker-23z34x56y-w78k9:4:a", "worker-1234567-w78k9:4:b"}, nil, "", []heroku.Dyno{up("worker-23z34x56y-w78k9", hour), up("worker-1234567-w78k9", hour)}, []string{unlisted}, nil},
		"hosts":                          {2, []string{"one:4:a", "two:4:b"}, nil, "", []heroku.Dyno{up("worker.1", hour), up("worker.2", hour)}, []string{"worker.1", "worker.2"}, []string{"worker.1", "worker.2"}},
		"one dyno was never heard":       {2, []string{"worker.1:4:a"}, nil, "", []heroku.Dyno{up("worker.1", hour), up("worker.2", hour)}, []string{"worker.2"}, []string{"worker.2"}},
		"no dyno was ever heard":         {2, nil, nil, "", []heroku.Dyno{up("worker.1", hour), up("worker.2", hour)}, []string{"worker.1", "worker.2"}, []string{"worker.1", "worker.2"}},
		"dynos of other types are heard": {1, []string{"web.1:4:a", "mailer.1:4:a"}, nil, "", []heroku.Dyno{up("worker.1", hour)}, []string{"worker.1"}, []string{"worker.1"}},
		"one dyno crashed":               {2, []string{"worker.1:4:a"}, nil, "", []heroku.Dyno{up("worker.1", hour), crashed}, []string{"worker.2"}, nil},
		"one dyno is not there":          {2, []string{"worker.1:4:a"}, nil, "", []heroku.Dyno{up("worker.1", hour)}, []string{"worker.2"}, nil},
		"one dyno starts":                {1, nil, nil, "", []heroku.Dyno{{Name: "worker.1", State: "starting"}}, []string{"worker.1"}, []string{"worker.1"}},
		"a state that is not known":      {1, nil, nil, "", []heroku.Dyno{{Name: "worker.1", State: "resting"}}, []string{"worker.1"}, []string{"worker.1"}},
		"one dyno of the Fir generation": {2, []string{"worker-23z34x56y-w78k9:4:a"}, nil, "", []heroku.Dyno{up("worker-23z34x56y-w78k9", hour), up("worker-1234567-w78k9", hour)}, []string{unlisted}, []string{"worker-1234567-w78k9"}},
		"a pod that is called as a dyno of the Fir generation": {1, []string{"worker-7d9f8c6b5d-x2x4q:1:a"}, nil, "", []heroku.Dyno{up("worker.1", hour)}, []string{unlisted}, []string{"worker.1"}},
		"one host":                          {1, []string{"laptop:4:a"}, nil, "", []heroku.Dyno{up("worker.1", hour)}, []string{"worker.1"}, []string{"worker.1"}},
		"one host, and a dyno that crashed": {2, []string{"one:4:a"}, nil, "", []heroku.Dyno{up("worker.1", hour), crashed}, []string{"worker.1", "worker.2"}, []string{"worker.1"}},
		"a process fell silent in a dyno that runs": {1, nil, []queue.Silent{silentFor("worker.1:4:a", 2*minute)}, "",
			[]heroku.Dyno{up("worker.1", hour)}, []string{"worker.1"}, []string{"worker.1"}},
		"one of two processes of a dyno": {1, []string{"worker.1:4:a"}, []queue.Silent{silentFor("worker.1:5:b", 2*minute)}, "",
			[]heroku.Dyno{up("worker.1", hour)}, []string{"worker.1:5:b"}, []string{"worker.1:5:b"}},
		"its dyno is a new one, and is heard": {1, []string{"worker.1:5:b"}, []queue.Silent{silentFor("worker.1:4:a", 2*minute)}, "",
			[]heroku.Dyno{up("worker.1", minute)}, []string{"worker.1:4:a"}, nil},
		"its dyno is a new one, and is not heard": {1, nil, []queue.Silent{silentFor("worker.1:4:a", 2*minute)}, "",
			[]heroku.Dyno{up("worker.1", minute)}, []string{"worker.1"}, []string{"worker.1"}},
		"its dyno crashed and runs again, and is heard": {2, []string{"worker.1:4:a", "worker.2:9:b"}, []queue.Silent{silentFor("worker.2:4:a", 2*minute)}, "",
			[]heroku.Dyno{up("worker.1", hour), restarted}, []string{"worker.2:4:a"}, nil},
		"its dyno crashed":      {2, []string{"worker.1:4:a"}, []queue.Silent{silentFor("worker.2:4:a", 2*minute)}, "", []heroku.Dyno{up("worker.1", hour), crashed}, []string{"worker.2"}, nil},
		"its dyno is not there": {1, []string{"worker.1:4:a"}, []queue.Silent{silentFor("worker.7:4:a", 2*minute)}, "", []heroku.Dyno{up("worker.1", hour)}, []string{"worker.7:4:a"}, nil},
		"a dyno of unknown age": {1, []string{"worker.1:4:a"}, []queue.Silent{silentFor("worker.1:5:a", 2*minute)}, "", []heroku.Dyno{up("worker.1", 1<<63-1)}, []string{"worker.1:5:a"}, []string{"worker.1:5:a"}},
		"a dyno hardly newer":   {1, []string{"worker.1:4:a"}, []queue.Silent{heardOnce}, "", []heroku.Dyno{up("worker.1", minute-2*time.Second)}, []string{"worker.1:5:a"}, []string{"worker.1:5:a"}},
		"a dyno newer":          {1, []string{"worker.1:4:a"}, []queue.Silent{heardOnce}, "", []heroku.Dyno{up("worker.1", minute-3*time.Second)}, []string{"worker.1:5:a"}, nil},
		"up just after the first heartbeat": {1, []string{"worker.1:4:a"}, []queue.Silent{heardOnce}, "",
			[]heroku.Dyno{{Name: "worker.1", State: "up", Age: 2 * minute, StateAge: minute - 7*time.Second}}, []string{"worker.1:5:a"}, []string{"worker.1:5:a"}},
		"up long after the first heartbeat": {1, []string{"worker.1:4:a"}, []queue.Silent{heardOnce}, "",
			[]heroku.Dyno{{Name: "worker.1", State: "up", Age: 2 * minute, StateAge: minute - 8*time.Second}}, []string{"worker.1:5:a"}, nil},
		"a silent host":                 {1, []string{"worker.1:4:a"}, []queue.Silent{silentFor("three:4:b", 2*minute)}, "", []heroku.Dyno{up("worker.1", hour)}, nil, nil},
		"a silent host beside dynos":    {quantity: 1, heard: []string{"worker.1:4:a"}, silent: []queue.Silent{silentFor("laptop:4:b", 2*minute)}},
		"a silent dyno of another type": {quantity: 1, heard: []string{"worker.1:4:a"}, silent: []queue.Silent{silentFor("mailer.1:4:b", 2*minute), silentFor("mailer-23z34x56y-w78k9:4:a", 2*minute)}},
		"others' processes":             {1, []string{"worker.1:4:a"}, []queue.Silent{{Identity: "worker.1:4:b", Dyno: "worker.1", Tag: "blog", LastHeard: ago(minute)}}, "shop", []heroku.Dyno{up("worker.1", hour)}, []string{"worker.1"}, []string{"worker.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := rollScope(test.quantity, test.heard...)
			s.object.Spec.Drain.ProcessTag, s.snapshot.Silent = test.tag, test.silent
			check := func(when string, want []string) {
				t.Helper()
				want = append([]string{}, want...)
				if got := strings.Split(nameList(s.absent()), ","); strings.Join(got, ",") != strings.Join(want, ",") {
					t.Errorf("absent %s the list: %q, want %q", when, got, want)
				}
				s.decide()
				if proven := s.decision.Reason == scaling.ProvenIdle; proven != (len(want) == 0) {
					t.Errorf("%s the list: %s", when, s.decision.Reason)
				}
			}
			check("before", test.before)
			s.memory.roll = s.memory.roll.answered(test.list, s.crew(), s.now, s.snapshot.IdleSince)
			check("after", test.after)
		})
	}
}

// TestRollIsForOneSpell has the list grow old, and the queue be active in between; what it proved of
// silent processes stays.
func TestRollIsForOneSpell(t *testing.T) {
	for name, test := range map[string]struct {
		later func(*scope)
		want  string
	}{
		"soon":                 {func(s *scope) { s.now = s.now.Add(rollMemory - 1) }, ""},
		"late":                 {func(s *scope) { s.now = s.now.Add(rollMemory) }, "worker.2"},
		"in the next spell":    {func(s *scope) { s.snapshot.IdleSince = epoch }, "worker.2"},
		"nothing runs":         {func(s *scope) { s.memory.know(heroku.Formation{Quantity: 0}, epoch) }, ""},
		"new dynos":            {func(s *scope) { s.memory.know(heroku.Formation{}, epoch); s.memory.quantity = ptr.To(2) }, "worker.2"},
		"another falls silent": {func(s *scope) { s.snapshot.Silent = append(s.snapshot.Silent, silentFor("worker.1:5:b", time.Minute)) }, "worker.1:5:b"},
		"released":             {func(s *scope) { s.now = s.now.Add(time.Hour); ignoreUntil(s, 1) }, ""},
		"no longer released":   {func(s *scope) { s.now = s.now.Add(time.Hour); ignoreUntil(s, 0) }, "worker.2"},
		"no heartbeats":        {func(s *scope) { s.now = s.now.Add(time.Hour); s.snapshot.Heartbeats = false }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := rollScope(2, "worker.1:4:a")
			s.snapshot.Silent = []queue.Silent{silentFor("worker.2:4:a", 2*time.Minute)}
			crashed := heroku.Dyno{Name: "worker.2", State: "crashed", Age: time.Hour}
			s.memory.roll = s.memory.roll.answered([]heroku.Dyno{up("worker.1", time.Hour), crashed}, s.crew(), s.now, s.snapshot.IdleSince)
			test.later(s)
			if got := nameList(s.absent()); got != test.want {
				t.Errorf("absent: %q, want %q", got, test.want)
			}
		})
	}
}

// ignoreUntil has a person release the silent until so many seconds from now.
func ignoreUntil(s *scope, seconds int) {
	until := s.now.Add(time.Duration(seconds) * time.Second)
	s.object.Annotations = map[string]string{v1.AnnotationIgnoreSilentUntil: until.Format(time.RFC3339)}
}

// TestRollCallsAreSpacedOut has the list leave the same dynos absent again and again.
func TestRollCallsAreSpacedOut(t *testing.T) {
	s := rollScope(2, "worker.1:4:a")
	list := []heroku.Dyno{up("worker.1", time.Hour), up("worker.2", time.Hour)}
	var pauses []string
	for range 6 {
		at := s.memory.roll.nextAt(s.absent(), s.snapshot.IdleSince)
		if !at.IsZero() {
			pauses = append(pauses, at.Sub(s.now).String())
			s.now = at
		}
		s.memory.roll = s.memory.roll.answered(list, s.crew(), s.now, s.snapshot.IdleSince)
	}
	if want := []string{"30s", "1m0s", "2m0s", "4m0s", "5m0s"}; !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
	s.memory.roll = s.memory.roll.failed("no answer", s.crew(), s.now, s.snapshot.IdleSince)
	if got := s.memory.roll.nextAt(s.absent(), s.snapshot.IdleSince).Sub(s.now); got != longestRollPause {
		t.Errorf("%v after a failure", got)
	}
	if got := s.memory.roll.nextAt(s.absent(), s.now).Sub(s.now); got != changedRollPause {
		t.Errorf("%v in the next spell", got)
	}
}

// world is what really goes on in one dyno of a story.
type world struct {
	created, turned time.Duration // before now
	state           string
	processes       []worker
}

type worker struct {
	identity    string
	first, last time.Duration // its heartbeats, before now
	alive       bool
}

// drawWorld makes a dyno whose living processes are as old as its present run, at most.
func drawWorld(t *rapid.T, number int) world {
	w := world{state: rapid.SampledFrom([]string{"up", "up", "up", "crashed", "starting"}).Draw(t, "state")}
	span := func(label string, from, to time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(int64(from), int64(to)).Draw(t, label))
	}
	w.created = span("created", time.Second, 2*time.Hour)
	w.turned = span("turned", time.Second, w.created)
	for i := range rapid.IntRange(0, 3).Draw(t, "processes") {
		p := worker{identity: fmt.Sprintf("worker.%d:%d:x", number, i+4)}
		p.alive = w.state == "up" && rapid.Bool().Draw(t, "alive")
		if p.alive { // it booted after its dyno had turned up
			p.first = span("first", 0, w.turned)
		} else {
			p.first = span("first", 0, 2*w.created)
		}
		p.last = span("last", 0, p.first)
		w.processes = append(w.processes, p)
	}
	return w
}

// TestNobodyAliveIsMissed: a process that lives and is not heard is absent, whatever else is.
func TestNobodyAliveIsMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rollScope(rapid.IntRange(1, 3).Draw(t, "quantity"))
		var list []heroku.Dyno
		var unheard []string
		for number := range *s.memory.quantity {
			w := drawWorld(t, number+1)
			name := fmt.Sprintf("worker.%d", number+1)
			list = append(list, heroku.Dyno{Name: name, State: w.state, Age: w.created, StateAge: w.turned})
			for _, p := range w.processes {
				known := queue.Process{Identity: p.identity, Dyno: name, HeardAgo: p.last}
				switch {
				case known.Fresh():
					s.snapshot.Processes = append(s.snapshot.Processes, known)
				case p.last > time.Minute:
					s.snapshot.Silent = append(s.snapshot.Silent, queue.Silent{
						Identity: p.identity, Dyno: name, FirstHeard: ago(p.first), LastHeard: ago(p.last)})
					if p.alive {
						unheard = append(unheard, p.identity, name)
					}
				}
			}
		}
		s.memory.roll = s.memory.roll.answered(list, s.crew(), s.now, s.snapshot.IdleSince)
		absent := s.absent()
		for i := 0; i < len(unheard); i += 2 {
			if !slices.ContainsFunc(absent, func(a absentee) bool { return a.name == unheard[i] || a.name == unheard[i+1] }) {
				t.Fatalf("%s lives and is not heard; absent: %v", unheard[i], absent)
			}
		}
	})
}
