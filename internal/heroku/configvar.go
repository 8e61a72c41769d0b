package heroku

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/queuescaler/queuescaler/internal/secret"
)

// ConfigVar returns the value of one config var of app, which is a name or a
// UUID. The error is of kind ConfigVarNotFound if the app has none of that
// name, or an empty one. The token needs one of the scopes read-protected,
// write-protected and global.
//
// Heroku only tells all config vars at once. The others are skipped, and none
// outlives the call or is part of an error. The one is kept for MaxAge.
func (c *Client) ConfigVar(ctx context.Context, app, name string, o ReadOptions) (secret.Text, error) {
	if err := validateApp(app); err != nil {
		return "", err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if !uuid.MatchString(app) {
		o.MaxAge = min(o.MaxAge, freshName)
	}
	vars := &c.apps.get(app).vars
	if err := vars.reading.lock(ctx); err != nil {
		return "", err
	}
	defer vars.reading.unlock()
	asked := time.Now()
	if known := vars.known[name]; o.MaxAge > 0 && asked.Sub(known.asOf) <= o.MaxAge {
		return known.value, nil
	}
	value, err := c.readConfigVar(ctx, app, name, o.Priority)
	if err != nil {
		return "", err
	}
	vars.known[name] = configVar{value, asked}
	if uuid.MatchString(app) {
		c.budget.Load().uses(canonical(app)+"/config-vars", asked)
	}
	return value, nil
}

// configVars are those of an app that were asked for.
type configVars struct {
	reading turn
	known   map[string]configVar // by name, for whoever reads
}

type configVar struct {
	value secret.Text
	asOf  time.Time
}

func (c *Client) readConfigVar(ctx context.Context, app, name string, p Priority) (secret.Text, error) {
	var body bytes.Buffer // not decoded by heroku-go, whose errors quote what they fail at
	path := "/apps/" + app + "/config-vars"
	a, err := c.callAs(ctx, p, path, func(ctx context.Context) error {
		return c.service.Get(ctx, &body, path, nil, nil)
	})
	if err != nil {
		return "", err
	}
	value, ok := stringMember(&body, name)
	switch {
	case !ok:
		return "", nonsense(a, "the answer is not an object of config vars")
	case value == "":
		message := fmt.Sprintf("the app %s has no config var %s, or an empty one", app, name)
		return "", &Error{Kind: ConfigVarNotFound, Message: message, RequestID: a.requestID}
	}
	return secret.Text(value), nil
}

// stringMember returns the member of that name of the JSON object in r, empty
// if it is missing or null, and decodes no other. It is false if r holds
// anything else than an object, or the member is not a string.
func stringMember(r io.Reader, name string) (string, bool) {
	decoder := json.NewDecoder(r)
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return "", false
	}
	value := ""
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return "", false
		}
		var member any = &json.RawMessage{}
		if key == name {
			member = &value
		}
		if err := decoder.Decode(member); err != nil {
			return "", false
		}
	}
	_, err := decoder.Token() // the end, without which a member may be missing
	return value, err == nil
}
