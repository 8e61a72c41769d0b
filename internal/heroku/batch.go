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
	// SendBy, where set, bounds how long the change may wait for anything: its turn, or a connection. After
	// that it fails with an error of kind Late, and nothing was sent. Such a change never goes out together
	// with one that may wait, so neither has to keep the other's time.
	SendBy time.Time
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
	waiting   int // callers
	deadline  time.Time
	done      chan struct{} // closed when the outcome is known, or all callers have left
	formation Formation
	err       error
}

// batch is a set of requests that go out together, one for each process type.
type batch struct{ requests []*request }

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
	b, r, joined := c.join(a, scaling, deadline)
	for !joined { // until what stands alone was sent
		if err := r.wait(ctx); err != nil {
			err.unsent = true
			return Formation{}, err
		}
		b, r, joined = c.join(a, scaling, deadline)
	}
	if scaling.timely() && !a.goesBy(ctx, scaling.SendBy, b, r) {
		return Formation{}, errLate()
	}
	if err := r.wait(ctx); err != nil {
		err.unsent = a.withdraw(b, r)
		return Formation{}, err
	}
	return r.formation, r.err
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

// wait waits until a request was sent and answered.
func (r *request) wait(ctx context.Context) *Error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		select {
		case <-r.done:
			return nil
		case <-time.After(answerGrace):
		}
	}
	return &Error{Kind: Unknown, Message: describe(ctx.Err()), cause: ctx.Err()}
}

// goesBy waits until some time, and reports whether the request has left by then. If not, it is taken back.
func (a *app) goesBy(ctx context.Context, by time.Time, b *batch, r *request) bool {
	ctx, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	return r.wait(ctx) == nil || !a.withdraw(b, r)
}

// withdraw takes a request back for one who does not wait for it any more, and reports whether it was in
// time.
func (a *app) withdraw(b *batch, mine *request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next != b {
		return false
	}
	if mine.waiting--; mine.waiting == 0 {
		b.requests = slices.DeleteFunc(b.requests, func(r *request) bool { return r == mine })
		close(mine.done)
	}
	return true
}

// join puts a change into the app's next batch, which begins with the first. If that has one for the process
// type that must be sent as it is, join returns that one, and did not join.
func (c *Client) join(a *app, scaling Scaling, deadline time.Time) (b *batch, r *request, joined bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scaled[scaling.ProcessType] = true
	if a.next == nil {
		a.next = &batch{}
		go c.sendNext(a, a.next, !scaling.AtOnce)
	}
	for _, known := range a.next.requests {
		if known.ProcessType != scaling.ProcessType {
			continue
		}
		if known.Alone {
			return a.next, known, false
		}
		known.Scaling = scaling
		known.waiting++
		known.deadline = scaling.within(known.deadline, deadline)
		return a.next, known, true
	}
	r = &request{Scaling: scaling, waiting: 1, deadline: deadline, done: make(chan struct{})}
	a.next.requests = append(a.next.requests, r)
	return a.next, r, true
}

// within is the deadline of a change with two callers, or of two changes: a stop must be over for all of
// them, and what may be repeated may take as long as the last one waits.
func (s Scaling) within(a, b time.Time) time.Time {
	if b.Before(a) == s.timely() {
		return b
	}
	return a
}

// timely reports whether the change may not wait.
func (s Scaling) timely() bool { return !s.SendBy.IsZero() }

// sendNext sends the app's next batch when the one before is answered.
func (c *Client) sendNext(a *app, b *batch, collect bool) {
	if collect && a.scalesSeveral() {
		time.Sleep(batchWindow)
	}
	a.sending <- struct{}{}
	defer a.sending.unlock()
	a.mu.Lock()
	a.next = nil
	a.mu.Unlock()
	requests := putOff(b.requests)
	if len(requests) > 0 {
		c.send(requests)
	}
	for _, r := range requests {
		close(r.done)
	}
}

// putOff sends back those who may not wait if there are others: jobs may wait for these. It returns who stays.
func putOff(requests []*request) (patient []*request) {
	for _, r := range requests {
		if !r.timely() {
			patient = append(patient, r)
		}
	}
	if len(patient) == 0 {
		return requests
	}
	for _, r := range requests {
		if r.timely() {
			r.err = errLate()
			close(r.done)
		}
	}
	return patient
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
	var f formation
	path := formationPath(r.App) + "/" + r.ProcessType
	answer, err := c.patch([]*request{r}, path, func(ctx context.Context) error {
		return c.service.Patch(ctx, &f, path, r.options())
	})
	c.settle(r, f, answer, err)
}

func (c *Client) sendAll(requests []*request) error {
	updates := make([]update, len(requests))
	for i, r := range requests {
		updates[i] = update{Type: r.ProcessType, FormationUpdateOpts: r.options()}
	}
	var all []formation
	path := formationPath(requests[0].App)
	answer, err := c.patch(requests, path, func(ctx context.Context) error {
		return c.service.Patch(ctx, &all, path, updatesOf{updates})
	})
	for _, r := range requests {
		c.settle(r, formationOf(all, r.ProcessType), answer, err)
	}
	return err
}

// patch makes the call of several requests that go out together.
func (c *Client) patch(requests []*request, path string, send func(context.Context) error) (*answer, error) {
	first := requests[0]
	deadline, priority, sendBy := first.deadline, first.Priority, first.SendBy
	for _, r := range requests[1:] {
		deadline, priority = first.within(deadline, r.deadline), min(priority, r.Priority)
		if r.SendBy.Before(sendBy) {
			sendBy = r.SendBy
		}
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if first.timely() {
		var end func()
		ctx, end = withSendBy(ctx, sendBy)
		defer end()
	}
	return c.callAs(ctx, priority, path, send)
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
