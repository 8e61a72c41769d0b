package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"time"
)

// controlRoutes serves the history and takes faults from tests in other processes.
//
//	GET    /_simulator/events?after=SEQ  events, those after a sequence number
//	GET    /_simulator/requests          API requests
//	GET    /_simulator/deliveries        attempts to deliver to webhooks
//	POST   /_simulator/faults            injects a Fault, "delay" as "1.5s"; answers {"fault": NUMBER}
//	DELETE /_simulator/faults            removes all faults
//	DELETE /_simulator/faults/{fault}    removes one
//	PUT    /_simulator/budget            {"account", "remaining", "multiplier"}, the last two as wanted
//	PUT    /_simulator/config-var        {"app", "name", "value"}: an add-on rotates it
func (s *Server) controlRoutes() {
	s.mux.HandleFunc("GET /_simulator/events", s.serveEvents)
	s.mux.HandleFunc("GET /_simulator/requests", s.serveRequests)
	s.mux.HandleFunc("GET /_simulator/deliveries", s.serveDeliveries)
	s.mux.HandleFunc("POST /_simulator/faults", s.postFault)
	s.mux.HandleFunc("DELETE /_simulator/faults", s.deleteFaults)
	s.mux.HandleFunc("DELETE /_simulator/faults/{fault}", s.deleteFault)
	s.mux.HandleFunc("PUT /_simulator/budget", s.putBudget)
	s.mux.HandleFunc("PUT /_simulator/config-var", s.putConfigVar)
	s.mux.HandleFunc("/_simulator/", http.NotFound)
}

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	events := s.Events()
	if after, err := strconv.Atoi(r.URL.Query().Get("after")); err == nil {
		events = events[min(max(after, 0), len(events)):]
	}
	answer{status: http.StatusOK, body: encode(append([]Event{}, events...))}.write(w)
}

func (s *Server) serveRequests(w http.ResponseWriter, _ *http.Request) {
	answer{status: http.StatusOK, body: encode(append([]Request{}, s.Requests()...))}.write(w)
}

func (s *Server) serveDeliveries(w http.ResponseWriter, _ *http.Request) {
	answer{status: http.StatusOK, body: encode(append([]Delivery{}, s.Deliveries()...))}.write(w)
}

func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Fault
		Delay string `json:"delay"`
	}
	if !decode(w, r, &body) {
		return
	}
	if body.Delay != "" {
		delay, err := time.ParseDuration(body.Delay)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body.Fault.Delay = delay
	}
	if err := body.validate(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	number := s.inject(body.Fault)
	answer{status: http.StatusCreated, body: encode(map[string]int{"fault": number})}.write(w)
}

func (f Fault) validate() error {
	switch f.Effect {
	case Status, HTMLPage, RateLimit, Hang, Reset, LoseAnswer, Slow, PartlyApply:
	default:
		return fmt.Errorf("unknown effect %q", f.Effect)
	}
	_, err := path.Match(f.Path, "")
	return err
}

func (s *Server) deleteFaults(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.faults = nil
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) deleteFault(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("fault"))
	if err != nil || !s.removeFault(number) {
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) putBudget(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Account    string `json:"account"`
		Remaining  *int   `json:"remaining"`
		Multiplier int    `json:"multiplier"`
	}
	if !decode(w, r, &body) {
		return
	}
	if body.Multiplier > 0 {
		s.SetRateMultiplier(body.Account, body.Multiplier)
	}
	if body.Remaining != nil {
		s.SetBudget(body.Account, *body.Remaining)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) putConfigVar(w http.ResponseWriter, r *http.Request) {
	var body struct {
		App   string `json:"app"`
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	if !decode(w, r, &body) {
		return
	}
	if err := s.RotateConfigVar(body.App, body.Name, body.Value); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
