package heroku

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/queuescaler/queuescaler/internal/secret"
)

// ConfigVar returns the value of one config var of app, which is a name or a
// UUID. The error is of kind ConfigVarNotFound if the app has none of that
// name, or an empty one. The token needs one of the scopes read-protected,
// write-protected and global.
//
// Heroku only tells all config vars at once. The others are skipped, and none
// outlives the call or is part of an error.
func (c *Client) ConfigVar(ctx context.Context, app, name string) (secret.Text, error) {
	if err := validateApp(app); err != nil {
		return "", err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	var body bytes.Buffer // not decoded by heroku-go, whose errors quote what they fail at
	a, err := c.call(ctx, func(ctx context.Context) error {
		return c.service.Get(ctx, &body, "/apps/"+app+"/config-vars", nil, nil)
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
