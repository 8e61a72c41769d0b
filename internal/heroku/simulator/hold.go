package simulator

import (
	"fmt"
	"net/http"
)

// HeldDeliveries are what an app's webhooks would have been told since HoldDeliveries.
type HeldDeliveries struct {
	app        *app
	deliveries []*delivery
}

// HoldDeliveries keeps back what an app's webhooks are to be told from now on, until Release.
func (s *Server) HoldDeliveries(name string) (held *HeldDeliveries, err error) {
	err = s.withApp(name, func(a *app) error {
		if a.held != nil {
			return fmt.Errorf("simulator: deliveries of %s are held already", name)
		}
		held = &HeldDeliveries{app: a}
		a.held = held
		return nil
	})
	return held, err
}

// Len is how many are held.
func (h *HeldDeliveries) Len() int {
	h.app.server.mu.Lock()
	defer h.app.server.mu.Unlock()
	return len(h.deliveries)
}

// Release ends the hold and delivers what was held in an order of one's own: the numbers from 0 in
// which they came. One that is named twice is a duplicate, as after an answer that Heroku did not get;
// one that is not named is lost. Without any number all leave as they came.
func (h *HeldDeliveries) Release(order ...int) error {
	s := h.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	released := h.deliveries
	if len(order) > 0 {
		released = nil
	}
	for _, number := range order {
		if number < 0 || number >= len(h.deliveries) {
			return fmt.Errorf("simulator: %d deliveries are held, and none has the number %d", len(h.deliveries), number)
		}
		released = append(released, h.deliveries[number])
	}
	h.deliveries, h.app.held = nil, nil
	if s.closed {
		return http.ErrServerClosed
	}
	for _, d := range released {
		d.webhook.enqueue(d)
	}
	return nil
}
