package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/secret"
)

const webhooksUsage = `usage: queuescaler webhooks add    --app APP --url URL
       queuescaler webhooks list   --app APP
       queuescaler webhooks remove --app APP --url URL

The token is taken from $HEROKU_API_KEY, and the secret that signs the deliveries from $WEBHOOK_SECRET`

var errUsage = errors.New(webhooksUsage)

// webhookSecrets are those that deliveries may be signed with: the new one first, where there are two.
func webhookSecrets() []string { return strings.Fields(os.Getenv("WEBHOOK_SECRET")) }

// webhookAddress is where deliveries are received unless a flag says otherwise.
func webhookAddress() string {
	if len(webhookSecrets()) == 0 {
		return "0"
	}
	return ":8082"
}

// manageWebhooks has Heroku tell the operator of what happens to an app.
func manageWebhooks(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("webhooks", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	app := flags.String("app", "", "")
	url := flags.String("url", "", "")
	api := flags.String("heroku-url", "", "")
	if len(args) == 0 {
		return errUsage
	}
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 || *app == "" || (*url == "") != (args[0] == "list") {
		return errUsage
	}
	token := os.Getenv("HEROKU_API_KEY")
	if token == "" {
		return errors.New("set HEROKU_API_KEY to a Heroku API token")
	}
	client := heroku.NewClient(heroku.Options{Token: token, BaseURL: *api, UserAgent: "queuescaler"})
	defer client.Close()
	switch args[0] {
	case "add":
		return addWebhook(ctx, client, *app, *url, out)
	case "list":
		return listWebhooks(ctx, client, *app, out)
	case "remove":
		return removeWebhook(ctx, client, *app, *url, out)
	}
	return errUsage
}

func addWebhook(ctx context.Context, client *heroku.Client, app, url string, out io.Writer) error {
	secrets := webhookSecrets()
	if len(secrets) == 0 {
		return errors.New("set WEBHOOK_SECRET to the secret that the operator has as well")
	}
	change, err := client.EnsureWebhook(ctx, app, heroku.Webhook{URL: url, Secret: secret.Text(secrets[0])})
	if err == nil {
		_, err = fmt.Fprintf(out, "%s: %s %s\n", app, change, url)
	}
	return err
}

func listWebhooks(ctx context.Context, client *heroku.Client, app string, out io.Writer) error {
	all, err := client.Webhooks(ctx, app)
	for _, w := range all {
		fmt.Fprintf(out, "%s\t%s\t%s\n", w.URL, w.Level, strings.Join(w.Include, ","))
	}
	return err
}

func removeWebhook(ctx context.Context, client *heroku.Client, app, url string, out io.Writer) error {
	removed, err := client.DeleteWebhook(ctx, app, url)
	if err == nil {
		_, err = fmt.Fprintf(out, "%s: removed %d of %s\n", app, removed, url)
	}
	return err
}
