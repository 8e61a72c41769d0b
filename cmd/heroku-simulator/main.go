// Command heroku-simulator runs a simulated Heroku Platform API whose dynos can be real processes.
//
//	heroku-simulator -app shop -process 'worker=0: bundle exec sidekiq' -config-var REDIS_URL=redis://…
//
// It prints the line with which the real Heroku CLI talks to it, and what the dynos print. On SIGINT or
// SIGTERM it stops the dynos as a scale-down does; a second signal ends their grace. Faults, budgets and
// the rotation of a config var are asked for under /_simulator/, see package simulator:
//
//	curl -X PUT $HEROKU_HOST/_simulator/config-var -d '{"app": "shop", "name": "REDIS_URL", "value": "redis://…"}'
//
// Several apps, accounts and tokens come from a JSON file, in the types of package simulator:
//
//	{
//	  "tokens": [{"secret": "HRKU-1", "name": "operator", "account": "ops@example.com", "scopes": ["write"]}],
//	  "apps": [{
//	    "name": "shop",
//	    "configVars": {"REDIS_URL": "redis://127.0.0.1:6379"},
//	    "formation": [{"type": "worker", "quantity": 0, "size": "standard-1x", "command": ["bundle", "exec", "sidekiq"]}]
//	  }]
//	}
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// config is the JSON file; flags add to it.
type config struct {
	Tokens []simulator.Token `json:"tokens"`
	Apps   []simulator.App   `json:"apps"`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "heroku-simulator:", err)
		os.Exit(1)
	}
}

func run(arguments []string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return serve(ctx, arguments, out)
}

func serve(ctx context.Context, arguments []string, out io.Writer) error {
	options := simulator.Options{Output: out}
	c, address, err := parse(arguments, &options)
	if err != nil {
		return err
	}
	s := simulator.New(options)
	for _, t := range c.Tokens {
		s.AddToken(t)
	}
	if err := s.Start(address); err != nil {
		return err
	}
	err = addApps(s, c.Apps)
	if err == nil {
		fmt.Fprintln(out, s.URL())
		fmt.Fprintf(out, "HEROKU_HOST=%s HEROKU_API_KEY=%s heroku ps -a %s\n", s.URL(), c.Tokens[0].Secret, c.Apps[0].Name)
		<-ctx.Done()
	}
	return errors.Join(err, closeGracefully(s))
}

func addApps(s *simulator.Server, apps []simulator.App) error {
	for _, a := range apps {
		if err := s.AddApp(a); err != nil {
			return err
		}
	}
	return nil
}

// closeGracefully gives the dynos their grace, unless a second signal takes it from them.
func closeGracefully(s *simulator.Server) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func parse(arguments []string, o *simulator.Options) (c config, address string, err error) {
	app := simulator.App{ConfigVars: map[string]string{}}
	var token simulator.Token
	flags := flag.NewFlagSet("heroku-simulator", flag.ContinueOnError)
	flags.StringVar(&address, "address", "127.0.0.1:5900", "where to listen; port 0 finds a free one")
	flags.StringVar(&token.Secret, "token", "HRKU-simulator", "token of the account, with every scope")
	flags.StringVar(&token.Account, "account", "owner@example.com", "e-mail of the account")
	flags.StringVar(&app.Name, "app", "shop", "name of the app")
	flags.DurationVar(&o.BootTime, "boot", 0, "how long dynos are starting (default 2s)")
	flags.DurationVar(&o.Grace, "grace", 0, "time between SIGTERM and SIGKILL (default 30s)")
	flags.DurationVar(&o.CrashDelay, "crash-delay", 0, "pause before the second restart of a crashed dyno, then doubled (default 10s)")
	flags.DurationVar(&o.RetryDelay, "webhook-retry", 0, "pause before the second attempt of a delivery to a sync webhook, then doubled (default 1s)")
	flags.IntVar(&o.RateCapacity, "rate-capacity", 0, "tokens of an account's rate budget (default 4500)")
	flags.IntVar(&o.RateRefill, "rate-refill", 0, "tokens that come back a minute (default 75)")
	flags.Func("process", "process type as TYPE[=QUANTITY][: COMMAND]; COMMAND goes to sh -c. May be repeated", func(text string) error {
		p, err := parseProcess(text)
		app.Formation = append(app.Formation, p)
		return err
	})
	flags.Func("config-var", "config var of the app as NAME=VALUE. May be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want NAME=VALUE")
		}
		app.ConfigVars[name] = value
		return nil
	})
	flags.Func("config", "JSON file with tokens and apps", func(name string) error { return readConfig(name, &c) })
	if err := flags.Parse(arguments); err != nil {
		return c, "", err
	}
	if flags.NArg() > 0 {
		return c, "", fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if len(c.Tokens) == 0 || given(flags, "token") {
		c.Tokens = append([]simulator.Token{token}, c.Tokens...)
	}
	if len(c.Apps) == 0 || len(app.Formation) > 0 {
		c.Apps = append([]simulator.App{withWorker(app)}, c.Apps...)
	}
	return c, address, nil
}

func given(flags *flag.FlagSet, name string) (found bool) {
	flags.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// withWorker gives an app without process types a simulated worker.
func withWorker(a simulator.App) simulator.App {
	if len(a.Formation) == 0 {
		a.Formation = []simulator.Process{{Type: "worker"}}
	}
	return a
}

func readConfig(name string, c *config) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	return decoder.Decode(c)
}

var process = regexp.MustCompile(`^([-\w]+)(?:=(\d+))?(?:: *(.+))?$`)

// parseProcess reads a line like that of a Procfile, with a quantity: `worker=2: bundle exec sidekiq`.
// As on Heroku a shell runs the command, and every process in the dyno gets SIGTERM.
func parseProcess(text string) (p simulator.Process, err error) {
	match := process.FindStringSubmatch(text)
	if match == nil {
		return p, errors.New("want TYPE[=QUANTITY][: COMMAND]")
	}
	p.Type = match[1]
	if match[2] != "" {
		if p.Quantity, err = strconv.Atoi(match[2]); err != nil {
			return p, err
		}
	}
	if match[3] != "" {
		p.Command = []string{"sh", "-c", match[3]}
	}
	return p, nil
}
