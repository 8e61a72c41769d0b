package main

import (
	"bytes"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func TestManageWebhooks(t *testing.T) {
	const token, url = "HRKU-canary", "https://queuescaler.example.com/heroku"
	server := simulator.New(simulator.Options{})
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(t.Context()) })
	server.AddToken(simulator.Token{Secret: token, Account: "a@example.com", Scopes: []string{"write"}})
	if err := server.AddApp(simulator.App{Name: "shop-prod", Formation: []simulator.Process{{Type: "worker"}}}); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := manageWebhooks(t.Context(), append(args, "--heroku-url", server.URL()), &out)
		return out.String(), err
	}
	t.Setenv("HEROKU_API_KEY", "")
	if _, err := run("list", "--app", "shop-prod"); err == nil {
		t.Error("no error without a token")
	}
	t.Setenv("HEROKU_API_KEY", token)
	t.Setenv("WEBHOOK_SECRET", "")
	if _, err := run("add", "--app", "shop-prod", "--url", url); err == nil {
		t.Error("no error without a secret")
	}
	t.Setenv("WEBHOOK_SECRET", "new-secret old-secret")
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"list", "--app", "shop-prod"}, ""},
		{[]string{"add", "--app", "shop-prod", "--url", url}, "shop-prod: created " + url + "\n"},
		{[]string{"add", "--app", "shop-prod", "--url", url}, "shop-prod: updated " + url + "\n"},
		{[]string{"list", "--app", "shop-prod"}, url + "\tsync\tapi:formation,api:dyno,api:release\n"},
		{[]string{"remove", "--app", "shop-prod", "--url", url}, "shop-prod: removed 1 of " + url + "\n"},
		{[]string{"list", "--app", "shop-prod"}, ""},
	} {
		if got, err := run(step.args...); err != nil || got != step.want {
			t.Errorf("%q: %q, %v; want %q", step.args, got, err, step.want)
		}
	}
	for _, args := range [][]string{{}, {"add"}, {"add", "--app", "a"}, {"list"}, {"list", "--app", "a", "--url", "b"}, {"sing", "--app", "a", "--url", "b"}} {
		if err := manageWebhooks(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
