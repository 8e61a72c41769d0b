package heroku_test

import (
	"maps"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func TestDynoSizes(t *testing.T) {
	c := serve(t, answers(200, `[
		{"name":"Standard-1X","cost":{"cents":2500,"unit":"month"},"compute":1,"memory":0.5},
		{"name":"Eco","cost":{"cents":0,"unit":"month"}},
		{"name":"Private-S","cost":null},
		{"name":"dyno-1c-0.5gb"},
		{"name":"by-the-hour","cost":{"cents":3,"unit":"hour"}},
		{"name":"no-unit","cost":{"cents":3}},
		{"name":"no-cents","cost":{"unit":"month"}},
		{"name":"null-cents","cost":{"cents":null,"unit":"month"}},
		{"name":"negative","cost":{"cents":-1,"unit":"month"}},
		{"name":"as-text","cost":{"cents":"2500","unit":"month"}},
		{"name":"a-number","cost":2500},
		{"cost":{"cents":1,"unit":"month"}}]`))
	got, err := c.DynoSizes(t.Context())
	if want := map[string]int{"Standard-1X": 2500, "Eco": 0}; err != nil || !maps.Equal(got, want) {
		t.Errorf("DynoSizes: %v, %v; want %v", got, err, want)
	}
}

func TestDynoSizesOfTheSimulator(t *testing.T) {
	s := simulator.New(simulator.Options{})
	s.AddToken(simulator.Token{Secret: token, Account: "somebody@example.com", Scopes: []string{"write"}})
	got, err := serve(t, s.ServeHTTP).DynoSizes(t.Context())
	if err != nil || got["Standard-2X"] != 5000 || got["Performance-2XL"] != 150000 {
		t.Errorf("DynoSizes: %v, %v", got, err)
	}
}

func TestDynoSizesRefused(t *testing.T) {
	_, err := serve(t, answers(404, `{"id":"not_found","message":"gone"}`)).DynoSizes(t.Context())
	if e := failure(t, err); e.Status != 404 {
		t.Errorf("error %v", e)
	}
	_, err = serve(t, answers(200, `{"Standard-1X":25}`)).DynoSizes(t.Context())
	if e := failure(t, err); e.Kind != heroku.Unknown {
		t.Errorf("error %v", e)
	}
}
