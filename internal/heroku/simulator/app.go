package simulator

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// App describes an app for AddApp.
type App struct {
	Name string `json:"name"`
	// Accounts are those with access, the owner first. Empty admits every account.
	Accounts   []string          `json:"accounts,omitempty"`
	ConfigVars map[string]string `json:"configVars,omitempty"`
	Formation  []Process         `json:"formation"`
	// DynoLimit bounds the dynos of the app; 100, Heroku's figure, where 0.
	DynoLimit int `json:"dynoLimit,omitempty"`
	// BootTime is the Server's where 0.
	BootTime time.Duration `json:"-"`
}

// Process describes one process type of an app.
type Process struct {
	Type     string `json:"type"`
	Size     string `json:"size,omitempty"` // standard-1x where empty
	Quantity int    `json:"quantity"`
	// Command starts a real process in every dyno; where it is empty, dynos are simulated only.
	Command []string `json:"command,omitempty"`
	Dir     string   `json:"dir,omitempty"` // of the command
}

type app struct {
	App
	server     *Server
	id         string
	created    time.Time
	updated    time.Time
	releases   []release // the first, and one for each change of config vars or code
	formations []*formation
	webhooks   []*webhook
	held       *HeldDeliveries // nil where deliveries leave at once
}

// From schema.json.
var (
	appName     = regexp.MustCompile(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`)
	processType = regexp.MustCompile(`^[-\w]{1,128}$`)
)

// AddApp adds an app and starts its dynos.
func (s *Server) AddApp(description App) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return http.ErrServerClosed
	}
	if !appName.MatchString(description.Name) {
		return fmt.Errorf("simulator: invalid app name %q", description.Name)
	}
	if s.apps[description.Name] != nil {
		return fmt.Errorf("simulator: app %q exists", description.Name)
	}
	now := time.Now()
	a := &app{
		App: description, server: s, id: stableID("app", description.Name),
		created: now, updated: now,
	}
	for s.app(a.id) != nil { // of an app that had the name before
		a.id = stableID("app", a.id)
	}
	a.ConfigVars = map[string]string{}
	maps.Copy(a.ConfigVars, description.ConfigVars)
	a.releases = []release{{version: 1, created: now, user: a.owner(), description: "Initial release", configVars: a.ConfigVars}}
	a.DynoLimit = cmp.Or(a.DynoLimit, 100)
	a.BootTime = cmp.Or(a.BootTime, s.options.BootTime)
	for _, p := range description.Formation {
		if err := a.addProcess(p, now); err != nil {
			return err
		}
	}
	s.apps[a.Name] = a
	for _, f := range a.formations {
		f.grow(a.owner())
	}
	return nil
}

// RenameApp gives an app another name. The old one is free at once, and nobody is led on from it. An app
// that has the new name gets the old one.
func (s *Server) RenameApp(name, to string) error {
	if !appName.MatchString(to) {
		return fmt.Errorf("simulator: invalid app name %q", to)
	}
	return s.withApp(name, func(a *app) error {
		delete(s.apps, a.Name)
		if other := s.apps[to]; other != nil {
			other.Name = a.Name
			s.apps[other.Name] = other
		}
		a.Name = to
		s.apps[to] = a
		return nil
	})
}

// withApp calls f with an app, by its name, while Server.mu is held.
func (s *Server) withApp(name string, f func(*app) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(name)
	if a == nil {
		return notFound("Couldn't find that app.")
	}
	return f(a)
}

func (a *app) addProcess(p Process, now time.Time) error {
	size, ok := sizeNamed(cmp.Or(p.Size, "standard-1x"))
	if !ok || !processType.MatchString(p.Type) || p.Quantity < 0 || a.formation(p.Type) != nil {
		return fmt.Errorf("simulator: invalid or doubled process type %+v", p)
	}
	a.formations = append(a.formations, &formation{
		Process: p, app: a, id: stableID("formation", a.id, p.Type), size: size, created: now, updated: now,
	})
	return nil
}

// RemoveApp destroys an app: its dynos are stopped, and it is not found any more. Its webhooks go
// first, and tell nobody.
func (s *Server) RemoveApp(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(name); a != nil {
		for _, w := range a.webhooks {
			w.remove()
		}
		a.webhooks = nil
		a.stop()
		delete(s.apps, a.Name)
	}
}

// RemoveProcess deploys a version of an app whose Procfile lacks a process type: its dynos stop, and it
// is not found any more.
func (s *Server) RemoveProcess(name, processType string) error {
	return s.withApp(name, func(a *app) error {
		f, err := a.find(processType)
		if err != nil {
			return err
		}
		f.Quantity, f.updated = 0, time.Now()
		f.shrink()
		a.formations = slices.DeleteFunc(a.formations, func(other *formation) bool { return other == f })
		a.newRelease(a.owner(), "Deploy 0123abcd")
		f.notifyDestroyed(a.owner())
		return nil
	})
}

// SetDynoLimit bounds the dynos of an app from now on. Those above it stay.
func (s *Server) SetDynoLimit(name string, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(name); a != nil {
		a.DynoLimit = limit
	}
}

func (a *app) stop() {
	for _, f := range a.formations {
		f.Quantity = 0
		f.shrink()
	}
}

func (a *app) allows(account string) bool {
	return len(a.Accounts) == 0 || slices.Contains(a.Accounts, account)
}

// touch notes a change, for Last-Modified.
func (a *app) touch() { a.updated = time.Now() }

func (a *app) owner() string {
	if len(a.Accounts) > 0 {
		return a.Accounts[0]
	}
	return "owner@example.com"
}

func (a *app) reference() reference { return reference{ID: a.id, Name: a.Name} }

func getApp(c *call) (any, error) {
	a := c.app
	stack := reference{ID: stableID("stack", "heroku-24"), Name: "heroku-24"}
	released := timestamp(a.current().created)
	return appResource{
		ID: a.id, Name: a.Name, BuildStack: stack, Stack: stack,
		Owner:      person(a.owner()),
		Region:     reference{ID: stableID("region", "us"), Name: "us"},
		GitURL:     "https://git.heroku.com/" + a.Name + ".git",
		WebURL:     "https://" + a.Name + ".herokuapp.com/",
		CreatedAt:  timestamp(a.created),
		UpdatedAt:  timestamp(a.updated),
		ReleasedAt: &released,
	}, nil
}

// listAddOns is there for the CLI's apps:info; the simulated platform sells none.
func listAddOns(*call) (any, error) { return collection{}, nil }
