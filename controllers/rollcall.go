package controllers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

const (
	// rollMemory is how long Heroku's list of dynos vouches for those that nobody hears.
	rollMemory = time.Minute
	// rollPause is the time between two lists while the same dynos stay absent; it doubles up to
	// longestRollPause. changedRollPause is the same where others are absent than before.
	rollPause, changedRollPause = 30 * time.Second, 10 * time.Second
	longestRollPause            = 5 * time.Minute
	// clockMargin bounds how far the clocks of Heroku's own machines are apart.
	clockMargin = 2 * time.Second
	// upMargin is how long after a process's first heartbeat its own dyno may turn from starting to up. Heroku
	// calls a worker dyno up when it has launched the command, seconds before the command can have booted.
	upMargin = 5 * time.Second
)

// roll is the roll call of a formation: what Heroku's own list of dynos says of those that nobody hears.
// The list is asked for when nothing but a dyno that is not heard keeps a stop back.
type roll struct {
	// zeroAt is when Heroku last said that no dyno is to run: what was heard until then is no loss.
	zeroAt time.Time
	// dynos is the list of askedAt, for the idle spell that began at spell.
	dynos          []heroku.Dyno
	askedAt, spell time.Time
	// missed are the names of those who were absent then, and times is how many lists in a row left
	// somebody absent; failure is why the last one did not come.
	missed  string
	times   int
	failure string
	// dead are silent processes whose dyno was started again after they were last heard.
	dead map[string]bool
}

// crew is what heartbeats tell of a formation.
type crew struct {
	processType string
	quantity    int
	// heard are the names of dynos of which a process is heard.
	heard map[string]bool
	// silent are the processes that ceased to be heard.
	silent []queue.Silent
}

// absentee is a dyno, or one process of it, of which nobody knows whether it is at work.
type absentee struct {
	name      string
	lastHeard time.Time // zero for never
}

// cedarName is the name of a dyno, as in worker.1. On Heroku's Fir generation names are random, as in
// worker-23z34x56y-w78k9, and only Heroku's list tells which there are.
var cedarName = regexp.MustCompile(`^[-\w]+\.[1-9][0-9]*$`)

// crew takes from the snapshot who is heard. A tag tells this app's processes from those of others. A process
// without a dyno's name, on a laptop for example, speaks for no dyno.
func (s *scope) crew() crew {
	spec := s.object.Spec
	c := crew{processType: spec.Heroku.ProcessType, quantity: *s.memory.quantity, heard: map[string]bool{}}
	tag := spec.Drain.ProcessTag
	for _, process := range s.snapshot.Processes {
		if process.Dyno != "" && process.Fresh() && (tag == "" || process.Tag == tag) {
			c.heard[process.Dyno] = true
		}
	}
	for _, process := range s.snapshot.Silent {
		if process.Dyno != "" && (tag == "" || process.Tag == "" || process.Tag == tag) {
			c.silent = append(c.silent, process)
		}
	}
	return c
}

// unheard are the dynos that nobody hears, as far as their quantity tells.
func (c crew) unheard() []absentee {
	if len(c.heard) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(c.heard)), cedarName.MatchString) {
		return []absentee{{name: unlisted}}
	}
	var absent []absentee
	for number := range c.quantity {
		if name := fmt.Sprintf("%s.%d", c.processType, number+1); !c.heard[name] {
			absent = append(absent, absentee{name: name})
		}
	}
	return absent
}

// unlisted stands for dynos whose names are random: who of them is absent only Heroku's list can tell.
const unlisted = "dynos that Heroku has yet to list"

// unheardOf are the dynos of Heroku's list that run, and that nobody hears.
func (c crew) unheardOf(list []heroku.Dyno) []absentee {
	var absent []absentee
	for _, dyno := range list {
		if dyno.Runs() && !c.heard[dyno.Name] {
			absent = append(absent, absentee{name: dyno.Name})
		}
	}
	return absent
}

// absent are those who keep a stop back, in the idle spell that began at spell.
func (r roll) absent(c crew, now, spell time.Time) []absentee {
	var absent []absentee
	if r.vouches(now, spell) {
		absent = c.unheardOf(r.dynos)
	} else {
		absent = c.unheard()
	}
	for _, process := range c.silent {
		if r.dead[process.Identity] || !process.LastHeard.After(r.zeroAt) {
			continue
		}
		i := slices.IndexFunc(absent, func(a absentee) bool { return a.name == process.Dyno })
		if i < 0 {
			absent = append(absent, absentee{process.Identity, process.LastHeard})
		} else if process.LastHeard.After(absent[i].lastHeard) {
			absent[i].lastHeard = process.LastHeard
		}
	}
	slices.SortFunc(absent, func(a, b absentee) int { return cmp.Compare(a.name, b.name) })
	return absent
}

// vouches reports whether the list is one of this idle spell, and not old.
func (r roll) vouches(now, spell time.Time) bool {
	return !r.askedAt.IsZero() && r.failure == "" && r.spell.Equal(spell) && now.Sub(r.askedAt) < rollMemory
}

// nextAt is when the list may be asked for because of those who are absent.
func (r roll) nextAt(absent []absentee, spell time.Time) time.Time {
	switch {
	case r.askedAt.IsZero():
		return r.askedAt
	case !r.spell.Equal(spell):
		return r.askedAt.Add(changedRollPause)
	}
	pause := rollPause
	if nameList(absent) != r.missed {
		pause = changedRollPause
	}
	return r.askedAt.Add(min(longestRollPause, pause<<min(max(0, r.times-1), 5)))
}

// answered takes in a list that was asked for at now.
func (r roll) answered(list []heroku.Dyno, c crew, now, spell time.Time) roll {
	next := roll{zeroAt: r.zeroAt, dynos: list, dead: map[string]bool{}}
	for _, process := range c.silent {
		if r.dead[process.Identity] || died(process, list, now) {
			next.dead[process.Identity] = true
		}
	}
	return next.asked(r, c, now, spell)
}

// failed takes in that the list did not come.
func (r roll) failed(why string, c crew, now, spell time.Time) roll {
	next := r
	next.failure = why
	return next.asked(r, c, now, spell)
}

// asked counts the lists that left somebody absent.
func (r roll) asked(last roll, c crew, now, spell time.Time) roll {
	r.askedAt, r.spell, r.times = now, spell, 0
	if absent := r.absent(c, now, spell); len(absent) > 0 {
		r.missed, r.times = nameList(absent), 1
		if last.spell.Equal(spell) {
			r.times = last.times + 1
		}
	}
	return r
}

// died reports whether a list that was asked for at some time proves that a silent process is dead: its
// dyno does not run, or was started again since.
func died(process queue.Silent, list []heroku.Dyno, asked time.Time) bool {
	return !slices.ContainsFunc(list, func(dyno heroku.Dyno) bool {
		return dyno.Name == process.Dyno && dyno.Runs() && !replaced(process, dyno, asked)
	})
}

// replaced reports whether a process was heard before what now runs in its dyno was started. A dyno that
// crashed and runs again need not be a new one, but it turned up anew.
func replaced(process queue.Silent, dyno heroku.Dyno, asked time.Time) bool {
	asked = asked.Add(-clockMargin)
	created, turned := asked.Add(-dyno.Age), asked.Add(-dyno.StateAge)
	return created.After(process.FirstHeard) || turned.After(process.FirstHeard.Add(upMargin))
}

func nameList(absent []absentee) string {
	names := make([]string, len(absent))
	for i, a := range absent {
		names[i] = a.name
	}
	return strings.Join(names, ",")
}

// absent are the dynos and processes for which a stop has to wait; none where Redis shows no workers, or
// where a person has released them.
func (s *scope) absent() []absentee {
	m := s.memory
	if !s.snapshot.Heartbeats || m.quantity == nil || *m.quantity == 0 {
		return nil
	}
	if until, _ := s.timeAnnotation(v1.AnnotationIgnoreSilentUntil); s.now.Before(until) {
		return nil
	}
	return m.roll.absent(s.crew(), s.now, s.snapshot.IdleSince)
}

func (s *scope) accounted() bool { return len(s.absent()) == 0 }

// heldByAbsence reports whether nothing but those who are absent keeps a stop back.
func (s *scope) heldByAbsence() bool {
	return s.decision.Reason == scaling.WorkersSilent ||
		(s.decision.Reason == scaling.Draining && s.heardFree() && !s.accounted())
}

// callRoll asks Heroku for its list of dynos if that may let a stop go ahead.
func (r *Reconciler) callRoll(ctx context.Context, s *scope) {
	m, spell := s.memory, s.snapshot.IdleSince
	certain := s.jobsAwaitStop() || (!m.uncertain && s.formationProblem == nil)
	if !s.heldByAbsence() || !certain || s.leavesDrift() || s.now.Before(m.roll.nextAt(s.absent(), spell)) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	priority := heroku.Sleep
	if s.jobsAwaitStop() {
		priority = heroku.Wake
	}
	list, err := m.client.Dynos(ctx, m.target.AppID, m.target.ProcessType, priority)
	if err != nil {
		m.roll = m.roll.failed(s.ofHeroku(err).message, s.crew(), s.now, spell)
	} else {
		m.roll = m.roll.answered(list, s.crew(), s.now, spell)
	}
	s.decide()
}

// silentCondition says who keeps a stop back.
func (s *scope) silentCondition() condition {
	return no(v1.ReasonWorkersSilent, "the queue is idle and the dynos are kept, %s; %s: restart them (heroku ps:restart), "+
		"see that they use this Redis and serve these queues, or set the annotation %s to a time until which they do not count",
		s.whoIsSilent(), s.whatHerokuSays(), v1.AnnotationIgnoreSilentUntil)
}

func (s *scope) whoIsSilent() string {
	if len(s.crew().heard) == 0 && len(s.snapshot.Silent) == 0 {
		return fmt.Sprintf("since none of the %d dynos is heard in this Redis by its name, which Sidekiq takes from the environment variable DYNO", *s.memory.quantity)
	}
	absent := s.absent()
	names := make([]string, len(absent))
	for i, a := range absent {
		name := brief(a.name, mostOfName)
		names[i] = name + " (not heard since it was started)"
		if !a.lastHeard.IsZero() {
			names[i] = fmt.Sprintf("%s (last heard at %s)", name, a.lastHeard.UTC().Format(time.RFC3339))
		}
	}
	return "because of " + listed(names)
}

// whatHerokuSays tells what Heroku's list of dynos says of those who are silent.
func (s *scope) whatHerokuSays() string {
	switch roll := s.memory.roll; {
	case roll.failure != "":
		return "whether they run could not be asked: " + brief(roll.failure, mostOfWords)
	case roll.vouches(s.now, s.snapshot.IdleSince):
		return "Heroku shows them as running, so they may be at work"
	}
	return "they may be at work, and Heroku has not been asked yet whether they run"
}
