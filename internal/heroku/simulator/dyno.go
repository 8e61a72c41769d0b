package simulator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// States of a dyno. Heroku knows idle besides, for Eco web dynos.
const (
	StateStarting = "starting"
	StateUp       = "up"
	StateCrashed  = "crashed"
	StateDown     = "down"
)

const longestCrashDelay = 5 * time.Minute

// dyno runs one process after the other, until it is told to stop. Its goroutine is run.
type dyno struct {
	formation *formation
	id        string
	number    int
	name      string
	release   int
	size      dynoSize
	created   time.Time
	boot      time.Duration
	launch    func() process
	stopped   chan struct{} // closed to stop it

	// Guarded by Server.mu.
	state      string
	updated    time.Time
	process    process
	exitStatus int // of the last process
}

// start begins a dyno with a number, on behalf of an account. Server.mu is held.
func (f *formation) start(number int, by string) {
	s := f.app.server
	if s.closed {
		return
	}
	now := time.Now()
	d := &dyno{
		formation: f, id: uuid.NewString(), number: number, name: fmt.Sprintf("%s.%d", f.Type, number),
		release: f.app.current().version, size: f.size, created: now, updated: now,
		boot: f.app.BootTime, state: StateStarting, stopped: make(chan struct{}),
	}
	d.launch = f.launcher(d.name)
	f.dynos = append(f.dynos, d)
	slices.SortFunc(f.dynos, func(a, b *dyno) int { return cmp.Compare(a.number, b.number) })
	f.record(Event{Kind: Requested, Dyno: d.name})
	d.notifyCreated(by)
	s.active.Add(1)
	go d.run()
}

// launcher fixes what the dyno's processes get: a release has its config vars for good.
func (f *formation) launcher(name string) func() process {
	if len(f.Command) == 0 {
		return func() process { return newSimulatedProcess() }
	}
	s, command, dir, vars := f.app.server, f.Command, f.Dir, maps.Clone(f.app.ConfigVars)
	return func() process { return startProcess(command, dir, environment(vars, name), s.output.prefixed(name)) }
}

// stop moves a dyno out of the formation; it stays listed as down until its process is gone.
func (f *formation) stop(d *dyno) {
	f.dynos = slices.DeleteFunc(f.dynos, func(other *dyno) bool { return other == d })
	f.stopping = append(f.stopping, d)
	d.state, d.updated = StateDown, time.Now()
	close(d.stopped)
	d.notifyState("update", "stopping")
}

func (f *formation) replace(d *dyno, by string) {
	f.stop(d)
	f.start(d.number, by)
}

// run restarts what ends by itself: at once after the first crash, then after growing delays
// (devcenter.heroku.com/articles/dyno-restarts).
func (d *dyno) run() {
	s := d.formation.app.server
	defer s.active.Done()
	defer d.gone()
	for crashes := 0; d.pause(crashes) && d.live(); crashes++ {
	}
}

// pause waits out the delay after so many crashes; it says no where the dyno was stopped.
func (d *dyno) pause(crashes int) bool {
	var delay time.Duration
	if crashes > 1 {
		first := d.formation.app.server.options.CrashDelay
		delay = min(first<<min(crashes-2, 16), max(first, longestCrashDelay))
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-d.stopped:
		return false
	case <-timer.C:
		return true
	}
}

// live sees one process through its life; it says whether it crashed, and is to be started again.
func (d *dyno) live() (crashed bool) {
	p := d.launch()
	d.started(p)
	boot := time.NewTimer(d.boot)
	defer boot.Stop()
	for {
		select {
		case <-boot.C:
			d.become(StateUp, Event{Kind: Up, PID: p.pid()})
		case code := <-p.exited():
			d.become("", Event{Kind: Exited, PID: p.pid(), ExitCode: code})
			d.become(StateCrashed, Event{Kind: Crashed, PID: p.pid(), ExitCode: code})
			return true
		case <-d.stopped:
			d.shutDown(p)
			return false
		}
	}
}

func (d *dyno) started(p process) {
	s := d.formation.app.server
	s.mu.Lock()
	d.process = p
	s.mu.Unlock()
	d.become(StateStarting, Event{Kind: Started, PID: p.pid()})
}

// shutDown asks the process to end, and ends it after the grace
// (devcenter.heroku.com/articles/dyno-shutdown-behavior).
func (d *dyno) shutDown(p process) {
	s := d.formation.app.server
	d.become("", Event{Kind: Terminated, PID: p.pid()})
	p.terminate()
	grace := time.NewTimer(s.options.Grace)
	defer grace.Stop()
	var code int
	select {
	case code = <-p.exited():
	case <-grace.C:
		code = d.kill(p)
	case <-s.killing:
		code = d.kill(p)
	}
	d.become("", Event{Kind: Exited, PID: p.pid(), ExitCode: code})
}

func (d *dyno) kill(p process) (code int) {
	d.become("", Event{Kind: Killed, PID: p.pid()})
	p.kill()
	return <-p.exited()
}

// become records an event and the state it brings, none for the empty one. A dyno that was stopped in
// between stays down.
func (d *dyno) become(state string, e Event) {
	s := d.formation.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Kind == Exited {
		d.exitStatus = e.ExitCode
	}
	if state != "" && d.state != StateDown {
		d.state, d.updated = state, time.Now()
		d.notifyState(actionOf(state), state)
	}
	e.Dyno = d.name
	d.formation.record(e)
}

func (d *dyno) gone() {
	s := d.formation.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	d.formation.stopping = slices.DeleteFunc(d.formation.stopping, func(other *dyno) bool { return other == d })
	d.notifyState("destroy", StateDown)
}

// Kill ends the process of a dyno as a crash does, with SIGKILL to all of it.
func (s *Server) Kill(appName, dynoName string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(appName); a != nil {
		if d := a.dyno(dynoName); d != nil && d.process != nil {
			d.process.kill()
			return nil
		}
	}
	return fmt.Errorf("simulator: no process in dyno %s of %s", dynoName, appName)
}

// dynos lists the running ones, and of the stopping ones those whose name has no successor yet.
func (a *app) dynos() []*dyno {
	var all []*dyno
	for _, f := range a.formations {
		all = append(all, f.dynos...)
		for _, d := range f.stopping {
			if !slices.ContainsFunc(all, func(other *dyno) bool { return other.name == d.name }) {
				all = append(all, d)
			}
		}
	}
	return all
}

func (a *app) dyno(identity string) *dyno {
	for _, d := range a.dynos() {
		if d.name == identity || d.id == identity {
			return d
		}
	}
	return nil
}

func (d *dyno) resource() dynoResource {
	return dynoResource{
		App: d.formation.app.reference(), ID: d.id, Name: d.name, Type: d.formation.Type, State: d.state,
		Command: d.formation.command(), Size: d.size.name, DynoSize: d.size.reference(),
		Release: d.releaseReference(), CreatedAt: timestamp(d.created), UpdatedAt: timestamp(d.updated),
	}
}

func (d *dyno) releaseReference() releaseReference {
	return releaseReference{ID: d.formation.app.releaseID(d.release), Version: d.release}
}

func listDynos(c *call) (any, error) {
	var items collection
	for _, d := range c.app.dynos() {
		items = append(items, item{keys: map[string]string{"id": d.id, "name": d.name}, resource: d.resource()})
		if d.updated.After(c.updated) {
			c.updated = d.updated
		}
	}
	return items, nil
}

func getDyno(c *call) (any, error) {
	d := c.app.dyno(c.request.PathValue("dyno"))
	if d == nil {
		return nil, notFound("Couldn't find that dyno.")
	}
	c.updated = d.updated
	return d.resource(), nil
}

func restartDynos(c *call) (any, error) {
	for _, f := range c.app.formations {
		f.restart(c.token.Account)
	}
	return nil, nil
}

func restartDyno(c *call) (any, error) {
	d := c.app.dyno(c.request.PathValue("dyno"))
	if d == nil {
		return nil, notFound("Couldn't find that dyno.")
	}
	if d.state != StateDown {
		d.formation.replace(d, c.token.Account)
	}
	return nil, nil
}
