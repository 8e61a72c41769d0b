package simulator

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// addOn is who rotates config vars.
const addOn = "heroku-redis@addons.heroku.com"

var configVar = regexp.MustCompile(`^\w+$`) // from schema.json

// ConfigVars returns an app's config vars.
func (s *Server) ConfigVars(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(name); a != nil {
		return maps.Clone(a.ConfigVars)
	}
	return nil
}

// SetConfigVars sets config vars, and removes those that are nil, as the app's owner does with
// `heroku config:set`: a change makes a release and restarts every dyno.
func (s *Server) SetConfigVars(name string, changes map[string]*string) error {
	return s.withApp(name, func(a *app) error {
		return a.changeConfigVars(changes, a.owner(), description(changes))
	})
}

// RotateConfigVar gives a config var a new value as Heroku Key-Value Store does when it changes its
// credentials or fails over: like SetConfigVars, in the add-on's name. The release is described as in
// devcenter.heroku.com/articles/webhook-events.
func (s *Server) RotateConfigVar(name, variable, value string) error {
	attachment := strings.TrimSuffix(variable, "_URL")
	return s.withApp(name, func(a *app) error {
		return a.changeConfigVars(map[string]*string{variable: &value}, addOn, "Update "+attachment+" by heroku-redis")
	})
}

// changeConfigVars sets variables, and removes those that are nil. Only a change makes a release. The
// map is replaced, never changed: releases and answers share it.
func (a *app) changeConfigVars(changes map[string]*string, by, description string) error {
	next := maps.Clone(a.ConfigVars)
	for name, value := range changes {
		if !configVar.MatchString(name) {
			return invalidParams("Invalid config var name %q.", name)
		}
		if value == nil {
			delete(next, name)
		} else {
			next[name] = *value
		}
	}
	if !maps.Equal(next, a.ConfigVars) {
		a.ConfigVars = next
		a.newRelease(by, description)
	}
	return nil
}

// description is what a release after a change by a person says.
func description(changes map[string]*string) string {
	return "Set " + strings.Join(slices.Sorted(maps.Keys(changes)), ", ") + " config vars"
}

func getConfigVars(c *call) (any, error) { return c.app.ConfigVars, nil }

func patchConfigVars(c *call) (any, error) {
	var changes map[string]*string
	if err := json.NewDecoder(c.request.Body).Decode(&changes); err != nil {
		return nil, badRequest()
	}
	if err := c.app.changeConfigVars(changes, c.token.Account, description(changes)); err != nil {
		return nil, err
	}
	c.updated = c.app.updated
	return c.app.ConfigVars, nil
}
