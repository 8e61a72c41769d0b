package heroku

import (
	"context"
	"math"
	"time"

	api "github.com/heroku/heroku-go/v5"
)

// Dyno is a container that runs, or shall run, one process.
type Dyno struct {
	Name  string // such as worker.1
	Type  string // the process type
	State string // starting, up, crashed, idle or down
	// Age and StateAge are how long ago the dyno was created and State last changed, at most. Both are
	// measured by Heroku's clock alone; unknownAge where Heroku does not tell.
	Age, StateAge time.Duration
}

// unknownAge is longer ago than anything.
const unknownAge = time.Duration(math.MaxInt64)

// Runs reports whether a process may be running in the dyno.
func (d Dyno) Runs() bool {
	switch d.State {
	case "crashed", "down", "idle":
		return false
	}
	return true // a state of another name may mean anything
}

// Dynos returns the dynos of one process type of app, which may be none.
func (c *Client) Dynos(ctx context.Context, app, processType string, p Priority) ([]Dyno, error) {
	if err := validate(app, processType); err != nil {
		return nil, err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	all, a, err := list[api.Dyno](ctx, c, p, "/apps/"+app+"/dynos")
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
			dynos = append(dynos, Dyno{d.Name, d.Type, d.State, a.age(d.CreatedAt), a.age(d.UpdatedAt)})
		case "":
			return nil, nonsense(a, "the list has a dyno without a process type")
		}
	}
	return dynos, nil
}

// age is how long ago a time by Heroku's clock was when Heroku answered, at most: the header Date has
// whole seconds, the past ones.
func (a *answer) age(t time.Time) time.Duration {
	if a.date.IsZero() || t.IsZero() {
		return unknownAge
	}
	return max(0, a.date.Add(time.Second).Sub(t))
}
