package heroku

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	api "github.com/heroku/heroku-go/v5"
)

// batchWindow is how long changes of an app are collected of which several process types are scaled.
// Jobs for several of them often come together; one PATCH for all costs one token. What comes while a
// PATCH is on its way waits for that in any case, and goes out in one.
const batchWindow = 2 * time.Millisecond

// Scaling sets the quantity of one process type of an app.
type Scaling struct {
	App         string // its name or UUID
	ProcessType string
	Quantity    int
	// Size is that of each dyno, such as standard-2x; empty leaves it as it is.
	Size     string
	Priority Priority
	// Alone keeps a later change of the same process type from taking this one's place, even if it
	// comes before this one was sent.
	Alone bool
	// AtOnce says that no other changes of the app are about to come, which would else be waited for.
	AtOnce bool
}

func (s Scaling) validate() error {
	if err := validate(s.App, s.ProcessType); err != nil {
		return err
	}
	if s.Quantity < 0 {
		return invalid(fmt.Sprintf("the quantity %d is negative", s.Quantity))
	}
	return nil
}

// request is a change on its way, with all who wait for its outcome.
type request struct {
	Scaling
	waiting   int       // callers
	deadline  time.Time // the earliest of theirs
	formation Formation
	err       error
}

// batch is a set of requests that one PATCH makes, one for each process type.
type batch struct {
	requests []*request
	done     chan struct{}
}

// Scale makes a change and returns the formation that Heroku answered with, which is the truth even
// where it differs from what was asked for. Changes of one app go out one PATCH after the other, so
// that none overtakes another, and those that come together go out in one; of two for one process type
// the later one holds, and answers both. After an error, [Error.OutcomeKnown] says whether the change
// may have been made all the same; nothing is sent twice but changes of a batch that was refused.
func (c *Client) Scale(ctx context.Context, scaling Scaling) (Formation, error) {
	if err := scaling.validate(); err != nil {
		return Formation{}, err
	}
	if err := checkContext(ctx); err != nil {
		return Formation{}, err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	deadline, _ := ctx.Deadline()
	a := c.apps.get(scaling.App)
	b, mine, first := a.join(scaling, deadline)
	for mine == nil { // until what stands alone was sent
		if err := b.wait(ctx); err != nil {
			err.unsent = true
			return Formation{}, err
		}
		b, mine, first = a.join(scaling, deadline)
	}
	if first {
		go c.sendNext(a, b, !scaling.AtOnce)
	}
	if err := b.wait(ctx); err != nil {
		err.unsent = a.withdraw(b, mine)
		return Formation{}, err
	}
	return mine.formation, mine.err
}

// AwaitTurn waits until no change of an app is on its way, so that one that is made now goes out now. The
// error is the context's.
func (c *Client) AwaitTurn(ctx context.Context, app string) error {
	a := c.apps.get(app)
	if err := a.sending.lock(ctx); err != nil {
		return err
	}
	a.sending.unlock()
	return nil
}

// answerGrace is how long a caller whose time is up waits for the request, whose time is up as well: it
// knows more.
const answerGrace = 50 * time.Millisecond

// wait waits until a batch was sent and answered.
func (b *batch) wait(ctx context.Context) *Error {
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		select {
		case <-b.done:
			return nil
		case <-time.After(answerGrace):
		}
	}
	return &Error{Kind: Unknown, Message: describe(ctx.Err()), cause: ctx.Err()}
}

// withdraw takes a request back for one who does not wait for it any more, and says whether it was in
// time.
func (a *app) withdraw(b *batch, mine *request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next != b {
		return false
	}
	if mine.waiting--; mine.waiting == 0 {
		b.requests = slices.DeleteFunc(b.requests, func(r *request) bool { return r == mine })
	}
	return true
}

// join returns no request if the next batch has one for the process type that must be sent as it is.
func (a *app) join(scaling Scaling, deadline time.Time) (b *batch, mine *request, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scaled[scaling.ProcessType] = true
	if first = a.next == nil; first {
		a.next = &batch{done: make(chan struct{})}
	}
	for _, known := range a.next.requests {
		if known.ProcessType != scaling.ProcessType {
			continue
		}
		if known.Alone {
			return a.next, nil, first
		}
		known.Scaling = scaling
		known.waiting++
		known.deadline = earlier(known.deadline, deadline)
		return a.next, known, first
	}
	mine = &request{Scaling: scaling, waiting: 1, deadline: deadline}
	a.next.requests = append(a.next.requests, mine)
	return a.next, mine, first
}

// sendNext sends the app's next batch when the one before is answered.
func (c *Client) sendNext(a *app, b *batch, collect bool) {
	defer close(b.done)
	if collect && a.scalesSeveral() {
		time.Sleep(batchWindow)
	}
	a.sending <- struct{}{}
	defer a.sending.unlock()
	a.mu.Lock()
	a.next = nil
	a.mu.Unlock()
	if len(b.requests) > 0 {
		c.send(b.requests)
	}
}

// scalesSeveral says whether other changes of the app may come at all.
func (a *app) scalesSeveral() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.scaled) > 1
}

// send makes the PATCH of several requests, or of one. If Heroku refuses several, each has another try
// of its own: whether a batch is made wholly or not at all is not documented, and one bad process type
// must not keep the others from their dynos.
func (c *Client) send(requests []*request) {
	if len(requests) == 1 {
		c.sendOne(requests[0])
		return
	}
	if err := c.sendAll(requests); isRefusal(err) {
		for _, r := range requests {
			c.sendOne(r)
		}
	}
}

// isRefusal says whether something in a request was refused, rather than its sender or its time.
func isRefusal(err error) bool {
	known, ok := errors.AsType[*Error](err)
	return ok && (known.Kind == Invalid || known.Kind == AboveLimit || known.Kind == ProcessTypeNotFound)
}

func (c *Client) sendOne(r *request) {
	ctx, cancel := context.WithDeadline(context.Background(), r.deadline)
	defer cancel()
	var f formation
	path := formationPath(r.App) + "/" + r.ProcessType
	answer, err := c.callAs(ctx, r.Priority, path, func(ctx context.Context) error {
		return c.service.Patch(ctx, &f, path, r.options())
	})
	c.settle(r, f, answer, err)
}

func (c *Client) sendAll(requests []*request) error {
	first := requests[0]
	updates := make([]update, len(requests))
	deadline, priority := first.deadline, first.Priority
	for i, r := range requests {
		updates[i] = update{Type: r.ProcessType, FormationUpdateOpts: r.options()}
		deadline, priority = earlier(deadline, r.deadline), min(priority, r.Priority)
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	var all []formation
	path := formationPath(first.App)
	answer, err := c.callAs(ctx, priority, path, func(ctx context.Context) error {
		return c.service.Patch(ctx, &all, path, updatesOf{updates})
	})
	for _, r := range requests {
		c.settle(r, formationOf(all, r.ProcessType), answer, err)
	}
	return err
}

// update and updatesOf are the body of a batch PATCH.
type update struct {
	Type string `json:"type"`
	api.FormationUpdateOpts
}

type updatesOf struct {
	Updates []update `json:"updates"`
}

func (r *request) options() api.FormationUpdateOpts {
	o := api.FormationUpdateOpts{Quantity: &r.Quantity}
	if r.Size != "" {
		o.Size = &r.Size
	}
	return o
}

// settle notes the outcome of a request.
func (c *Client) settle(r *request, f formation, from *answer, err error) {
	if r.formation, r.err = (Formation{}), err; err != nil {
		return
	}
	if r.formation, r.err = f.checked(from, r.App, r.ProcessType); r.err != nil {
		return
	}
	for _, identity := range []string{r.App, f.App.ID} {
		c.apps.get(identity).set(answered{f, from, time.Now()})
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
