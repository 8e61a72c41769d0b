package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func TestParseProcess(t *testing.T) {
	tests := map[string]simulator.Process{
		"worker":                        {Type: "worker"},
		"worker=2":                      {Type: "worker", Quantity: 2},
		"worker: bundle exec sidekiq":   {Type: "worker", Command: []string{"sh", "-c", "bundle exec sidekiq"}},
		"worker=1:env A=b sidekiq -q x": {Type: "worker", Quantity: 1, Command: []string{"sh", "-c", "env A=b sidekiq -q x"}},
	}
	for text, want := range tests {
		if got, err := parseProcess(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "=1", "worker=-1", "worker=x", "a.b=1"} {
		if got, err := parseProcess(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestParse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	text := `{"tokens": [{"secret": "s", "account": "a@example.com", "scopes": ["write"]}],
		"apps": [{"name": "blog", "formation": [{"type": "worker", "quantity": 2, "command": ["sidekiq"]}]}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		arguments, apps, tokens string
	}{
		{"", "shop", "HRKU-simulator"},
		{"-app x -process web=1", "x", "HRKU-simulator"},
		{"-config " + file, "blog", "s"},
		{"-token t -process web=1 -config " + file, "shop blog", "t s"},
	}
	for _, test := range tests {
		c, _, err := parse(strings.Fields(test.arguments), &simulator.Options{})
		if err != nil {
			t.Errorf("%s: %v", test.arguments, err)
		}
		var apps, tokens []string
		for _, a := range c.Apps {
			apps = append(apps, a.Name)
		}
		for _, t := range c.Tokens {
			tokens = append(tokens, t.Secret)
		}
		if strings.Join(apps, " ") != test.apps || strings.Join(tokens, " ") != test.tokens {
			t.Errorf("%s: apps %v, tokens %v", test.arguments, apps, tokens)
		}
	}
}

func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, []string{"-address", "127.0.0.1:0", "-process", "worker=1: echo $GREETING; exec sleep 1000", "-config-var", "GREETING=hello"}, writer)
		_ = writer.Close()
	}()
	var printed []string
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		printed = append(printed, lines.Text())
		if len(printed) == 3 {
			stop()
		}
	}
	all := strings.Join(printed, "\n")
	for _, want := range []string{"http://127.0.0.1:", " HEROKU_API_KEY=HRKU-simulator heroku ps -a shop", "worker.1 | hello"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
