package queue

import (
	"context"
	"errors"
	"slices"
	"time"
)

// armPatience is how long a listening connection that is to follow another may take to be armed.
const armPatience = 15 * time.Second

// line keeps a connection listening for as long as some owner wants to hear of its keys. When other keys are
// wanted a new connection is armed before the old one ends, so that no write falls between the two:
//
//	old  ────────────────┬─ PING, PONG ─┐
//	new        dialled ──┴─ armed ──────┴─ in force ───
//
// A server that has no room for one more loses the old connection first.
type line struct {
	hub      *Hub
	current  *session // in force; nil for none
	failures int      // in a row
}

// session is one listening connection.
type session struct {
	hub      *Hub
	prefixes []string
	made     time.Time
	cancel   context.CancelFunc
	ready    chan struct{} // closed when it is armed, and barrier is set
	barrier  barrier
	ended    chan struct{} // closed when it has ended, and err is set
	err      error
}

var (
	errOvertaken = errors.New("other keys are wanted")
	errUnarmed   = errors.New("the connection was not armed in time")
)

// listenOn keeps the line until the context ends.
func (h *Hub) listenOn(ctx context.Context) {
	l := &line{hub: h}
	defer l.hangUp()
	for ctx.Err() == nil {
		prefixes, anew := h.wanted()
		if len(prefixes) == 0 {
			l.hangUp()
			h.awaitRearm(ctx)
			continue
		}
		err := l.follow(ctx, prefixes, anew)
		if err == nil {
			err = l.hold(ctx)
		}
		if err != nil && !errors.Is(err, errOvertaken) && ctx.Err() == nil {
			sleep(ctx, h.listenFailed(err, l.failures))
			l.failures++
		}
	}
}

// follow has the wanted prefixes listened to.
func (l *line) follow(ctx context.Context, prefixes []string, anew bool) error {
	if l.current != nil && !anew && slices.Equal(prefixes, l.current.prefixes) {
		l.hub.arm(l.current, true)
		return nil
	}
	next := l.hub.open(ctx, prefixes)
	if err := next.awaitArmed(l.current != nil); err != nil {
		next.close()
		l.failed(err)
		return err
	}
	// Before the old connection ends, all that it was pushed must be in.
	seamless := l.current != nil && within(ctx, pushPatience, l.current.barrier) == nil && !l.current.over()
	l.hub.arm(next, seamless)
	if l.current != nil {
		l.current.close()
	}
	l.current, l.failures = next, 0
	return nil
}

// failed ends the old connection, too, if there may be no room for two, or it would say that all is well
// where it is not.
func (l *line) failed(err error) {
	var refused refusal
	if l.failures > 0 || errors.As(err, &refused) || classify(err, "").Kind == Full {
		l.hangUp()
	}
}

// hold waits until other prefixes are wanted, and not for the first time in rearmPeriod. It is an error if
// the connection breaks.
func (l *line) hold(ctx context.Context) error {
	s := l.current
	select {
	case <-s.ended:
	case <-ctx.Done():
	case <-l.hub.rearm:
		select {
		case <-s.ended:
		case <-ctx.Done():
		case <-time.After(rearmPeriod - time.Since(s.made)):
			return nil
		}
	}
	l.hangUp()
	return s.err
}

// hangUp ends the connection in force.
func (l *line) hangUp() {
	if l.current != nil {
		l.current.close()
		l.current = nil
		l.hub.disarm()
	}
}

// open begins to listen.
func (h *Hub) open(ctx context.Context, prefixes []string) *session {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{hub: h, prefixes: prefixes, made: time.Now(), cancel: cancel, ready: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.err = h.listen(ctx, prefixes, s)
	}()
	return s
}

func (s *session) armed(barrier barrier) {
	s.barrier = barrier
	close(s.ready)
}

func (s *session) pushed(keys []string) { s.hub.pushed(keys) }

// awaitArmed waits until the connection is armed. One that follows another has so long for that; the first
// is given up when other prefixes are wanted, but not before rearmPeriod.
func (s *session) awaitArmed(follows bool) error {
	rearm, patience := s.hub.rearm, (<-chan time.Time)(nil)
	if follows {
		rearm, patience = nil, time.After(armPatience)
	}
	for {
		select {
		case <-s.ready:
			return nil
		case <-s.ended:
			return s.err
		case <-patience:
			if follows {
				return errUnarmed
			}
			return errOvertaken
		case <-rearm:
			rearm, patience = nil, time.After(rearmPeriod-time.Since(s.made))
		}
	}
}

func (s *session) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *session) close() {
	s.cancel()
	<-s.ended
}

// within bounds the wait for a barrier.
func within(ctx context.Context, patience time.Duration, wait barrier) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return wait(ctx)
}
