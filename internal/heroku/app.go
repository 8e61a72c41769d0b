package heroku

import (
	"context"
	"strings"
	"sync"
	"time"
)

// apps are what a client knows of each app, by its UUID. What was asked for by a name stands beside that:
// the name may be another app's at any time.
type apps struct {
	mu    sync.Mutex
	known map[string]*app
}

// get returns what is known of an app, by its UUID or by a name.
func (a *apps) get(identity string) *app {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := canonical(identity)
	if a.known == nil {
		a.known = map[string]*app{}
	}
	if a.known[key] == nil {
		a.known[key] = newApp()
	}
	return a.known[key]
}

// canonical writes a UUID in one way; a name has small letters only.
func canonical(identity string) string { return strings.ToLower(identity) }

func newApp() *app {
	return &app{
		reading: newTurn(), sending: newTurn(), known: map[string]answered{}, scaled: map[string]bool{},
		vars: configVars{reading: newTurn(), known: map[string]configVar{}},
	}
}

// learn takes in a list that was asked for at some time by an app's UUID or name. A list that is another
// app's, or of several, says nothing.
func (a *apps) learn(identity string, all []formation, from *answer, asked time.Time) error {
	id := ""
	for _, f := range all {
		if f.App.ID == "" {
			continue // no answer to anything
		}
		if !f.isOf(identity) || id != "" && f.App.ID != id {
			return nonsense(from, "the list is not that of the app "+identity)
		}
		id = f.App.ID
	}
	err := a.get(identity).learn(all, from, asked)
	if err == nil && id != "" && canonical(id) != canonical(identity) {
		err = a.get(id).learn(all, from, asked)
	}
	return err
}

// app is what a client knows of one app, and what it is about to change.
type app struct {
	reading, sending turn
	vars             configVars

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

// set takes in what Heroku answered to a change.
func (a *app) set(now answered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[now.Type] = now
}

// recall returns what is known of a process type since some time, if it is.
func (a *app) recall(app, processType string, since time.Time) (_ Formation, _ error, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.known[processType]
	switch {
	case ok && !known.asOf.Before(since):
		f, err := known.checked(known.answer, app, processType)
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
