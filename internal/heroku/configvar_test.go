package heroku_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

const (
	redisURL = "rediss://:canary-of-redis@redis.example.com:6380"
	otherVar = "canary-of-another"
)

func TestConfigVar(t *testing.T) {
	tests := map[string]struct {
		body string
		kind heroku.Kind // empty for the value
	}{
		"among others":         {`{"A":"` + otherVar + `","REDIS_URL":"` + redisURL + `","Z":null}`, ""},
		"alone":                {`{"REDIS_URL":"` + redisURL + `"}`, ""},
		"after odd ones":       {`{"A":{"REDIS_URL":"x"},"B":["REDIS_URL"],"REDIS_URL":"` + redisURL + `"}`, ""},
		"missing":              {`{"REDIS_URL_":"` + otherVar + `","redis_url":"` + otherVar + `"}`, heroku.ConfigVarNotFound},
		"none at all":          {`{}`, heroku.ConfigVarNotFound},
		"empty":                {`{"REDIS_URL":""}`, heroku.ConfigVarNotFound},
		"null":                 {`{"REDIS_URL":null}`, heroku.ConfigVarNotFound},
		"a value of another":   {`{"A":"REDIS_URL","B":"` + otherVar + `"}`, heroku.ConfigVarNotFound},
		"a number":             {`{"REDIS_URL":1234567}`, heroku.Unknown},
		"an object":            {`{"REDIS_URL":{"` + otherVar + `":1}}`, heroku.Unknown},
		"a list":               {`["REDIS_URL","` + otherVar + `"]`, heroku.Unknown},
		"null instead of all":  {`null`, heroku.Unknown},
		"cut off after it":     {`{"REDIS_URL":"` + redisURL + `"`, heroku.Unknown},
		"cut off in another":   {`{"A":"` + otherVar, heroku.Unknown},
		"cut off after a name": {`{"A"`, heroku.Unknown},
		"no JSON":              {otherVar, heroku.Unknown},
		"no JSON inside":       {`{"A":` + otherVar + `}`, heroku.Unknown},
		"nothing":              {``, heroku.Unknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/apps/shop/config-vars" {
					t.Errorf("request %s %s", r.Method, r.URL.Path)
				}
				io.WriteString(w, test.body)
			})
			got, err := c.ConfigVar(t.Context(), "shop", "REDIS_URL", heroku.ReadOptions{})
			if test.kind == "" {
				if string(got) != redisURL || err != nil {
					t.Errorf("ConfigVar: %q, %v", string(got), err)
				}
				return
			}
			if e := failure(t, err); e.Kind != test.kind || got != "" {
				t.Errorf("ConfigVar: %q, %v of kind %s; want kind %s", string(got), e, e.Kind, test.kind)
			}
			hidesValues(t, err)
		})
	}
}

// hidesValues looks for values of config vars, whole or in part, in an error and all that it wraps.
func hidesValues(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		text := fmt.Sprintf("%v %+v %#v", err, err, err)
		for _, value := range []string{"canary", "1234567", "'c'"} {
			if strings.Contains(text, value) {
				t.Errorf("shown: %s", text)
			}
		}
	}
}

func TestConfigVarDoesNotPrint(t *testing.T) {
	c := serve(t, answers(200, `{"REDIS_URL":"`+redisURL+`"}`))
	got, err := c.ConfigVar(t.Context(), "shop", "REDIS_URL", heroku.ReadOptions{})
	if text := fmt.Sprintf("%v %#v %s %q", got, got, got, got); err != nil || strings.Contains(text, "canary") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestConfigVarOfTheSimulator(t *testing.T) {
	s := simulator.New(simulator.Options{})
	t.Cleanup(func() { s.Close(context.Background()) })
	shop := simulator.App{Name: "shop", ConfigVars: map[string]string{"A": otherVar, "REDIS_URL": redisURL}}
	if err := s.AddApp(shop); err != nil {
		t.Fatal(err)
	}
	c := serve(t, s.ServeHTTP)
	s.AddToken(simulator.Token{Secret: token, Account: "somebody@example.com", Scopes: []string{"read-protected"}})
	if got, err := c.ConfigVar(t.Context(), "shop", "REDIS_URL", heroku.ReadOptions{}); string(got) != redisURL || err != nil {
		t.Errorf("ConfigVar: %q, %v", string(got), err)
	}
	s.AddToken(simulator.Token{Secret: token, Account: "somebody@example.com", Scopes: []string{"write"}})
	_, err := c.ConfigVar(t.Context(), "shop", "REDIS_URL", heroku.ReadOptions{})
	if e := failure(t, err); e.Kind != heroku.Forbidden || !strings.Contains(e.Message, "read-protected") {
		t.Errorf("with the scope write: %v", e)
	}
}

func TestConfigVarRefusedBeforeSending(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %s %s", r.Method, r.URL) })
	_, err := c.ConfigVar(t.Context(), "../../account?x=", "REDIS_URL", heroku.ReadOptions{})
	if e := failure(t, err); e.Kind != heroku.Invalid {
		t.Errorf("error %v", e)
	}
}
