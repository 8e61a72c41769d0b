package heroku

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// sendBy watches a request that must have a connection to be sent on by some time.
type sendBy struct {
	// late says that the time came first; connected, that there was a connection, whatever came first.
	late, connected atomic.Bool
}

type sendByKey struct{}

// withSendBy has a request made under the context fail if it has no connection by then. The caller calls end
// when the request is over.
func withSendBy(ctx context.Context, by time.Time) (_ context.Context, end func()) {
	s := &sendBy{}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, sendByKey{}, s))
	giveUp := func() {
		if !s.connected.Load() {
			s.late.Store(true)
			cancel()
		}
	}
	left := time.Until(by)
	if left <= 0 {
		giveUp()
	}
	timer := time.AfterFunc(left, giveUp)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { s.connected.Store(true) }})
	return ctx, func() { timer.Stop(); cancel() }
}

// tooLate reports whether a request was given up before anything of it can have been sent.
func tooLate(ctx context.Context) bool {
	s, ok := ctx.Value(sendByKey{}).(*sendBy)
	return ok && s.late.Load() && !s.connected.Load()
}

// errLate is the failure of a change that was not sent by its time.
func errLate() *Error {
	return &Error{Kind: Late, Message: "the change had to wait for longer than it may, and was not sent"}
}
