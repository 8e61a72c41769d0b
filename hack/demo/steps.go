package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// steps say what is being done and how long it took, and remember how to undo it.
type steps struct {
	screen *screen
	undos  []undo
}

type undo struct {
	what string
	do   func(force context.Context) error
}

// do runs a step. Steps that cannot be interrupted are waited for, so that they can be undone.
func (s *steps) do(ctx context.Context, what string, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.run(ctx, what, f)
}

func (s *steps) run(ctx context.Context, what string, f func() error) error {
	began, done := time.Now(), make(chan error, 1)
	go func() { done <- f() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	interrupted := ctx.Done()
	s.screen.begin(what)
	for {
		select {
		case err := <-done:
			s.screen.end(what, time.Since(began), err)
			return err
		case <-interrupted:
			interrupted = nil
			s.screen.interrupt("stopping as soon as this is up", what)
		case <-tick.C:
			s.screen.progress(what, time.Since(began))
		}
	}
}

// undoWith is for what was started last.
func (s *steps) undoWith(what string, f func(force context.Context) error) {
	s.undos = append(s.undos, undo{what: what, do: f})
}

// undo stops everything, what was started last first. The context ends where there is no patience left.
func (s *steps) undo(force context.Context) error {
	if len(s.undos) == 0 {
		return nil
	}
	s.screen.leave()
	s.screen.say("\n" + s.screen.paint.bold("Stopping") + s.screen.paint.dim("  (Ctrl-C again does not wait)"))
	var all error
	for len(s.undos) > 0 {
		last := s.undos[len(s.undos)-1]
		s.undos = s.undos[:len(s.undos)-1]
		err := s.run(context.Background(), last.what, func() error {
			if err := last.do(force); force.Err() == nil {
				return err
			}
			return nil // what is cut short complains
		})
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", last.what, err))
		}
	}
	return all
}
