package simulator_test

import (
	"maps"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func TestConfigVarsFromGo(t *testing.T) {
	value := "1"
	tests := []struct {
		name    string
		change  func(s *simulator.Server) error
		want    map[string]string
		user    string // of the release, empty where there is none
		refused bool
	}{
		{"rotate", func(s *simulator.Server) error { return s.RotateConfigVar("shop", "REDIS_URL", "redis://new") },
			map[string]string{"REDIS_URL": "redis://new"}, "heroku-redis@addons.heroku.com", false},
		{"rotate to the same", func(s *simulator.Server) error { return s.RotateConfigVar("shop", "REDIS_URL", "redis://example") },
			map[string]string{"REDIS_URL": "redis://example"}, "", false},
		{"set and remove", func(s *simulator.Server) error {
			return s.SetConfigVars("shop", map[string]*string{"A": &value, "REDIS_URL": nil})
		}, map[string]string{"A": "1"}, owner, false},
		{"an invalid name", func(s *simulator.Server) error {
			return s.SetConfigVars("shop", map[string]*string{"REDIS_URL": nil, "A-B": &value})
		}, map[string]string{"REDIS_URL": "redis://example"}, "", true},
		{"no such app", func(s *simulator.Server) error { return s.RotateConfigVar("none", "REDIS_URL", "redis://new") },
			map[string]string{"REDIS_URL": "redis://example"}, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := platform(t, simulator.Options{}, shop(simulator.Process{Quantity: 1}))
			awaitEvents(t, s, simulator.Up, 1)
			if err := test.change(s); (err != nil) != test.refused {
				t.Error(err)
			}
			if got := s.ConfigVars("shop"); !maps.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
			var releases []struct{ User struct{ Email string } }
			get(t, s, "/apps/shop/releases").decode(t, &releases)
			if (len(releases) == 2) != (test.user != "") {
				t.Errorf("%+v", releases)
			}
			if test.user != "" {
				awaitEvents(t, s, simulator.Exited, 1)
				awaitEvents(t, s, simulator.Up, 2)
			}
			latest := get(t, s, "/apps/shop/releases/2")
			if test.user == "" {
				if latest.status != 404 {
					t.Errorf("%d %s", latest.status, latest.body)
				}
				return
			}
			var r struct{ User struct{ Email string } }
			latest.decode(t, &r)
			if r.User.Email != test.user {
				t.Errorf("released by %s, want %s", r.User.Email, test.user)
			}
		})
	}
}
