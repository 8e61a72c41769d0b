package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
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
	releases   []release // the first, and one for each change of config vars
	formations []*formation
}

// From schema.json.
var (
	appName     = regexp.MustCompile(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`)
	processType = regexp.MustCompile(`^[-\w]{1,128}$`)
	configVar   = regexp.MustCompile(`^\w+$`)
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
	a.releases = []release{{version: 1, created: now, user: a.owner(), description: "Initial release"}}
	a.ConfigVars = maps.Clone(description.ConfigVars)
	a.DynoLimit = cmp.Or(a.DynoLimit, 100)
	a.BootTime = cmp.Or(a.BootTime, s.options.BootTime)
	for _, p := range description.Formation {
		if err := a.addProcess(p, now); err != nil {
			return err
		}
	}
	s.apps[a.Name] = a
	for _, f := range a.formations {
		f.grow()
	}
	return nil
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

// RemoveApp destroys an app: its dynos are stopped, and it is not found any more.
func (s *Server) RemoveApp(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(name); a != nil {
		a.stop()
		delete(s.apps, a.Name)
	}
}

// SetDynoLimit bounds the dynos of an app from now on. Those above it stay.
func (s *Server) SetDynoLimit(name string, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(name); a != nil {
		a.DynoLimit = limit
	}
}

// ConfigVars returns an app's config vars.
func (s *Server) ConfigVars(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(name); a != nil {
		return maps.Clone(a.ConfigVars)
	}
	return nil
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
	owner := account{email: a.owner()}
	released := timestamp(a.current().created)
	return appResource{
		ID: a.id, Name: a.Name, BuildStack: stack, Stack: stack,
		Owner:      ownerResource{ID: owner.id(), Email: owner.email},
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

func getConfigVars(c *call) (any, error) {
	vars := map[string]string{} // a copy: it is encoded after the lock is given up
	maps.Copy(vars, c.app.ConfigVars)
	return vars, nil
}

// patchConfigVars sets variables, and removes those that are null. A change releases the app anew.
func patchConfigVars(c *call) (any, error) {
	var changes map[string]*string
	if err := json.NewDecoder(c.request.Body).Decode(&changes); err != nil {
		return nil, newError(http.StatusBadRequest, "bad_request", "Invalid request body.")
	}
	for name := range changes {
		if !configVar.MatchString(name) {
			return nil, invalidParams("Invalid config var name %q.", name)
		}
	}
	before := maps.Clone(c.app.ConfigVars)
	if c.app.ConfigVars == nil {
		c.app.ConfigVars = map[string]string{}
	}
	for name, value := range changes {
		if value == nil {
			delete(c.app.ConfigVars, name)
		} else {
			c.app.ConfigVars[name] = *value
		}
	}
	if !maps.Equal(before, c.app.ConfigVars) {
		c.app.newRelease(c.token.Account, "Set "+strings.Join(slices.Sorted(maps.Keys(changes)), ", ")+" config vars")
		c.updated = c.app.updated
	}
	return maps.Clone(c.app.ConfigVars), nil
}
