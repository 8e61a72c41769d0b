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

// Formation returns the formation of one process type of app, which is a name
// or a UUID. It reads the list, since asking for a single process type is said
// to answer 404 when its quantity is 0. The error is of kind AppNotFound or
// ProcessTypeNotFound if there is none.
func (c *Client) Formation(ctx context.Context, app, processType string) (Formation, error) {
	if err := validate(app, processType); err != nil {
		return Formation{}, err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	all, a, err := list[formation](ctx, c, formationPath(app))
	if err != nil {
		return Formation{}, err
	}
	return find(all, a, app, processType)
}

func find(all []formation, a *answer, app, processType string) (Formation, error) {
	for _, f := range all {
		switch f.Type {
		case processType:
			return f.checked(a, processType)
		case "":
			return Formation{}, nonsense(a, "the list has an entry without a process type")
		}
	}
	message := fmt.Sprintf("the app %s has no process type %s", app, processType)
	return Formation{}, &Error{Kind: ProcessTypeNotFound, Message: message, RequestID: a.requestID}
}

// Scale sets the quantity of one process type of app and returns the formation
// that Heroku answered with, which is the truth even where it differs from
// quantity. The request is sent once at most; after an error,
// [Error.OutcomeKnown] says whether it may have been applied all the same.
func (c *Client) Scale(ctx context.Context, app, processType string, quantity int) (Formation, error) {
	if err := validate(app, processType); err != nil {
		return Formation{}, err
	}
	if quantity < 0 {
		return Formation{}, invalid(fmt.Sprintf("the quantity %d is negative", quantity))
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	var f formation
	a, err := c.call(ctx, func(ctx context.Context) error {
		opts := api.FormationUpdateOpts{Quantity: &quantity}
		return c.service.Patch(ctx, &f, formationPath(app)+"/"+processType, opts)
	})
	if err != nil {
		return Formation{}, err
	}
	return f.checked(a, processType)
}

// checked returns f as a Formation if it is one of processType and complete: a
// missing quantity must not be taken for zero, nor one app for another.
func (f formation) checked(a *answer, processType string) (Formation, error) {
	switch {
	case f.Type != processType:
		return Formation{}, nonsense(a, fmt.Sprintf("asked for the process type %s, answered with %q", processType, f.Type))
	case f.Quantity == nil || *f.Quantity < 0:
		return Formation{}, nonsense(a, "the answer has no valid quantity")
	case f.App.ID == "":
		return Formation{}, nonsense(a, "the answer does not name the app")
	}
	return Formation{
		AppID:       f.App.ID,
		AppName:     f.App.Name,
		ProcessType: f.Type,
		Quantity:    *f.Quantity,
		Size:        f.Size,
	}, nil
}

// Dyno is a container that runs, or shall run, one process.
type Dyno struct {
	Name      string // such as worker.1
	Type      string // the process type
	State     string // starting, up, crashed, idle or down
	CreatedAt time.Time
	UpdatedAt time.Time // when State last changed
}

// Dynos returns the dynos of one process type of app, which may be none.
func (c *Client) Dynos(ctx context.Context, app, processType string) ([]Dyno, error) {
	if err := validate(app, processType); err != nil {
		return nil, err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	all, a, err := list[api.Dyno](ctx, c, "/apps/"+app+"/dynos")
	if err != nil {
		return nil, err
	}
	return ofType(all, a, processType)
}

func ofType(all []api.Dyno, a *answer, processType string) ([]Dyno, error) {
	var dynos []Dyno
	for _, d := range all {
		switch d.Type {
		case processType:
			dynos = append(dynos, Dyno{d.Name, d.Type, d.State, d.CreatedAt, d.UpdatedAt})
		case "":
			return nil, nonsense(a, "the list has a dyno without a process type")
		}
	}
	return dynos, nil
}
