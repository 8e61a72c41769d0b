package heroku

import (
	"context"
	"sync"
	"time"
)

// apps are what a client knows of each app, by its name and its UUID.
type apps struct {
	mu     sync.Mutex
	byName map[string]*app
}

func (a *apps) get(name string) *app {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byName[name]
	if known == nil {
		known = &app{reading: newTurn(), sending: newTurn(), known: map[string]answered{}, scaled: map[string]bool{}}
		a.put(name, known)
	}
	return known
}

// alias makes an app known by its UUID as well, under which it is asked for from now on.
func (a *apps) alias(id string, known *app) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byName[id] == nil {
		a.put(id, known)
	}
}

func (a *apps) put(name string, known *app) {
	if a.byName == nil {
		a.byName = map[string]*app{}
	}
	a.byName[name] = known
}

// app is what a client knows of one app, and what it is about to change.
type app struct {
	reading, sending turn

	mu sync.Mutex
	// listed is when the list was asked for that known was taken from.
	listed time.Time
	known  map[string]answered
	// next collects the changes that go out together.
	next *batch
	// scaled are the process types that were ever scaled.
	scaled map[string]bool
}

// answered is what Heroku said of a process type, and when it was asked, or did what it was told.
type answered struct {
	formation
	answer *answer
	asOf   time.Time
}

// learn takes in a list that was asked for at some time. What is newer is kept.
func (a *app) learn(all []formation, from *answer, asked time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := map[string]answered{}
	for _, f := range all {
		if f.Type == "" {
			return nonsense(from, "the list has an entry without a process type")
		}
		known[f.Type] = answered{f, from, asked}
		if newer := a.known[f.Type]; newer.asOf.After(asked) {
			known[f.Type] = newer
		}
	}
	a.listed, a.known = asked, known
	return nil
}

// recall returns what is known of a process type since some time, if it is.
func (a *app) recall(app, processType string, since time.Time) (_ Formation, _ error, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.known[processType]
	switch {
	case ok && !known.asOf.Before(since):
		f, err := known.checked(known.answer, processType)
		return f, err, true
	case !ok && !a.listed.Before(since):
		f, err := find(nil, &answer{}, app, processType)
		return f, err, true
	}
	return Formation{}, nil, false
}

// turn is a lock that is waited for no longer than a context lasts.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) lock(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return checkContext(ctx)
	}
}

func (t turn) unlock() { <-t }
