package heroku

import (
	"context"
	"fmt"
	"time"

	api "github.com/heroku/heroku-go/v5"
)

// Formation is how many dynos of a process type an app shall have.
type Formation struct {
	AppID       string // a UUID, which a renamed app keeps
	AppName     string
	ProcessType string
	Quantity    int
	Size        string // of each dyno, such as standard-1X
}

// formation is a Formation on the wire, where the quantity may be missing.
type formation struct {
	api.Formation
	Quantity *int `json:"quantity"`
}

// ReadOptions say how a formation is read.
type ReadOptions struct {
	Priority Priority
	// MaxAge lets an answer do that came not longer ago; with 0 Heroku is asked. What an app is that is
	// asked for by name is known for freshName at most.
	MaxAge time.Duration
}

// freshName is how long a name is taken for that of the same app: names change hands.
const freshName = 5 * time.Second

// Formation returns the formation of one process type of app, which is a name
// or a UUID. It reads the list, since asking for a single process type is said
// to answer 404 when its quantity is 0, and keeps that for all process types of
// the app. The error is of kind AppNotFound or ProcessTypeNotFound if there is
// none.
func (c *Client) Formation(ctx context.Context, app, processType string, o ReadOptions) (Formation, error) {
	if err := validate(app, processType); err != nil {
		return Formation{}, err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	a := c.apps.get(app)
	if !uuid.MatchString(app) {
		o.MaxAge = min(o.MaxAge, freshName)
	}
	if err := a.reading.lock(ctx); err != nil {
		return Formation{}, err
	}
	defer a.reading.unlock()
	asked := time.Now()
	if f, err, ok := a.recall(app, processType, asked.Add(-o.MaxAge)); ok && o.MaxAge > 0 {
		return f, err
	}
	all, answer, err := list[formation](ctx, c, o.Priority, formationPath(app))
	if err != nil {
		return Formation{}, err
	}
	if err := c.apps.learn(app, all, answer, asked); err != nil {
		return Formation{}, err
	}
	f, err := find(all, answer, app, processType)
	if err == nil {
		c.budget.Load().uses(f.AppID, asked)
	}
	return f, err
}

// DriftPeriod is the time until an app's formation is to be read again in search of changes made by
// others: at least base, and so long that all apps of the account together leave half of its rate
// budget alone.
func (c *Client) DriftPeriod(base time.Duration) time.Duration {
	return c.budget.Load().driftPeriod(base, time.Now())
}

func find(all []formation, a *answer, app, processType string) (Formation, error) {
	if f := formationOf(all, processType); f.Type != "" {
		return f.checked(a, app, processType)
	}
	message := fmt.Sprintf("the app %s has no process type %s", app, processType)
	return Formation{}, &Error{Kind: ProcessTypeNotFound, Message: message, RequestID: a.requestID}
}

// formationOf is the entry of a process type, or one without a process type if there is none.
func formationOf(all []formation, processType string) formation {
	for _, f := range all {
		if f.Type == processType {
			return f
		}
	}
	return formation{}
}

// isOf reports whether f is one of an app, by its UUID or its name.
func (f formation) isOf(app string) bool {
	if uuid.MatchString(app) {
		return canonical(f.App.ID) == canonical(app)
	}
	return f.App.Name == "" || f.App.Name == app
}

// checked returns f as a Formation if it is the one that was asked for, and complete: a
// missing quantity must not be taken for zero, nor one app for another.
func (f formation) checked(a *answer, app, processType string) (Formation, error) {
	switch {
	case f.Type != processType:
		return Formation{}, nonsense(a, fmt.Sprintf("asked for the process type %s, answered with %q", processType, f.Type))
	case f.Quantity == nil || *f.Quantity < 0:
		return Formation{}, nonsense(a, "the answer has no valid quantity")
	case f.App.ID == "":
		return Formation{}, nonsense(a, "the answer does not name the app")
	case !f.isOf(app):
		return Formation{}, nonsense(a, fmt.Sprintf("asked for the app %s, answered with that of another one", app))
	}
	return Formation{
		AppID:       f.App.ID,
		AppName:     f.App.Name,
		ProcessType: f.Type,
		Quantity:    *f.Quantity,
		Size:        f.Size,
	}, nil
}
