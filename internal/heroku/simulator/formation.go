package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// formation is one process type of an app: what the API calls a formation resource.
type formation struct {
	Process  // Quantity is the current one
	app      *app
	id       string
	size     dynoSize
	created  time.Time
	updated  time.Time
	dynos    []*dyno // by number
	stopping []*dyno // told to stop, and not gone yet
}

func (a *app) formation(identity string) *formation {
	for _, f := range a.formations {
		if f.Type == identity || f.id == identity {
			return f
		}
	}
	return nil
}

func (f *formation) resource() formationResource {
	return formationResource{
		App: f.app.reference(), ID: f.id, Type: f.Type, Quantity: f.Quantity,
		Size: f.size.name, DynoSize: f.size.reference(), Command: f.command(),
		CreatedAt: timestamp(f.created), UpdatedAt: timestamp(f.updated),
	}
}

// command is the line in the Procfile: a dyno runs it in a shell.
func (f *formation) command() string {
	if len(f.Command) == 3 && f.Command[0] == "sh" && f.Command[1] == "-c" {
		return f.Command[2]
	}
	return cmp.Or(strings.Join(f.Command, " "), "bin/"+f.Type)
}

// update is one entry of a PATCH: what to change about one process type.
type update struct {
	Type     string          `json:"type"`
	Quantity json.RawMessage `json:"quantity"`
	Size     *string         `json:"size"`
	DynoSize json.RawMessage `json:"dyno_size"`
}

// plan is what the formation will be once all updates of a PATCH are applied.
type plan map[*formation]*change

type change struct {
	quantity int
	size     dynoSize
}

func listFormation(c *call) (any, error) {
	var items collection
	for _, f := range c.app.formations {
		items = append(items, item{keys: map[string]string{"id": f.id, "type": f.Type}, resource: f.resource()})
	}
	return items, nil
}

func getFormation(c *call) (any, error) {
	f, err := c.app.find(c.request.PathValue("type"))
	if err != nil {
		return nil, err
	}
	c.updated = f.updated
	return f.resource(), nil
}

func (a *app) find(identity string) (*formation, error) {
	if f := a.formation(identity); f != nil {
		return f, nil
	}
	return nil, notFound(fmt.Sprintf("Couldn't find that process type (%s).", identity))
}

func patchFormation(c *call) (any, error) {
	var u update
	if err := json.NewDecoder(c.request.Body).Decode(&u); err != nil {
		return nil, badRequest()
	}
	u.Type = c.request.PathValue("type")
	if err := c.change([]update{u}); err != nil {
		return nil, err
	}
	return c.app.formation(u.Type).resource(), nil
}

// patchFormations answers with the whole formation, from which the CLI picks what it asked for.
func patchFormations(c *call) (any, error) {
	var body struct {
		Updates []update `json:"updates"`
	}
	if err := json.NewDecoder(c.request.Body).Decode(&body); err != nil {
		return nil, badRequest()
	}
	if len(body.Updates) == 0 {
		return nil, invalidParams("No updates specified.")
	}
	if err := c.change(body.Updates); err != nil {
		return nil, err
	}
	resources := []formationResource{}
	for _, f := range c.app.formations {
		resources = append(resources, f.resource())
	}
	return resources, nil
}

// change validates all updates before it applies any. A fault may refuse one of them, and all behind it.
func (c *call) change(updates []update) error {
	applied, refused := c.fault.split(updates)
	p, err := c.app.plan(applied)
	if err != nil {
		return err
	}
	by := Event{
		Kind: Scaled, Account: c.token.Account, Method: c.request.Method, Path: c.request.URL.Path, RequestID: c.requestID,
	}
	c.app.apply(p, by)
	c.updated = c.app.updated
	if len(refused) == 0 {
		return nil
	}
	by.Kind, by.App, by.Type = Refused, c.app.Name, refused[0].Type
	c.server.addEvent(by)
	return c.fault.refusal(refused[0].Type)
}

func (a *app) plan(updates []update) (plan, error) {
	p := plan{}
	for _, u := range updates {
		f, err := a.find(u.Type)
		if err != nil {
			return nil, err
		}
		if p[f] == nil {
			p[f] = &change{quantity: f.Quantity, size: f.size}
		}
		if err := p[f].merge(u); err != nil {
			return nil, err
		}
	}
	return p, a.check(p)
}

func (ch *change) merge(u update) error {
	if u.Quantity != nil {
		quantity, err := parseQuantity(u.Quantity, ch.quantity)
		if err != nil {
			return err
		}
		ch.quantity = quantity
	}
	name, err := u.size()
	if name == "" || err != nil {
		return err
	}
	size, ok := sizeNamed(name)
	if !ok {
		return noSuchSize(name)
	}
	ch.size = size
	return nil
}

// size takes both spellings: size, and dyno_size as a name or as {"id"} or {"name"}.
func (u update) size() (string, error) {
	if u.DynoSize == nil {
		return deref(u.Size), nil
	}
	var name string
	if json.Unmarshal(u.DynoSize, &name) == nil {
		return name, nil
	}
	var ref reference
	if json.Unmarshal(u.DynoSize, &ref) == nil {
		return cmp.Or(ref.Name, ref.ID), nil
	}
	return "", invalidParams("Invalid dyno_size %s.", u.DynoSize)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// parseQuantity takes 2, and as the CLI sends them "2", "+1" and "-1".
func parseQuantity(raw json.RawMessage, current int) (int, error) {
	text, quoted := string(raw), false
	if json.Unmarshal(raw, &text) == nil {
		quoted = true
	}
	n, err := strconv.Atoi(text)
	if quoted && strings.ContainsAny(text[:min(1, len(text))], "+-") {
		n += current
	}
	if err != nil || n < 0 {
		return 0, invalidParams("Invalid quantity %s.", raw)
	}
	return n, nil
}

// after is what a process type has once the plan is applied.
func (p plan) after(f *formation) change {
	if ch := p[f]; ch != nil {
		return *ch
	}
	return change{quantity: f.Quantity, size: f.size}
}

// check holds the plan against Heroku's limits. Going down is always allowed.
func (a *app) check(p plan) error {
	var running []dynoSize
	total, raised, changed := 0, false, false
	for _, f := range a.formations {
		next := p.after(f)
		total += next.quantity
		if next.quantity > 0 {
			running = append(running, next.size)
		}
		up, other := next.quantity > f.Quantity, next.size != f.size
		if (up || other) && next.quantity > next.size.limit {
			return aboveSizeLimit(next.size)
		}
		raised, changed = raised || up, changed || other
	}
	if raised && total > a.DynoLimit {
		return aboveAppLimit(a.DynoLimit)
	}
	if raised || changed {
		return checkTiers(running)
	}
	return nil
}

// checkTiers names two sizes that do not go together, the cheaper one first.
func checkTiers(sizes []dynoSize) error {
	slices.SortStableFunc(sizes, func(a, b dynoSize) int { return cmp.Compare(a.cents, b.cents) })
	for _, z := range sizes {
		if z.tier != sizes[0].tier {
			return invalidParams("Cannot use the following dyno types in the same app: %s and %s", sizes[0].name, z.name)
		}
	}
	return nil
}

func aboveSizeLimit(z dynoSize) *apiError {
	e := aboveLimit(z.limit, fmt.Sprintf("Cannot update to more than %d %s size dynos per process type.", z.limit, z.name))
	e.Size = z.name
	return e
}

// aboveAppLimit carries the app's whole limit: clients subtract the other process types themselves.
func aboveAppLimit(limit int) *apiError {
	return aboveLimit(limit, fmt.Sprintf("Cannot update to more than %d dynos per app.", limit))
}

func aboveLimit(limit int, message string) *apiError {
	e := newError(http.StatusUnprocessableEntity, "cannot_update_above_limit", message)
	e.URL = "https://devcenter.heroku.com/articles/dyno-size#default-scaling-limits"
	e.Limit = limit
	return e
}

// apply carries out a checked plan and records each process type in it, changed or not. A new size
// restarts the dynos.
func (a *app) apply(p plan, by Event) {
	for _, f := range a.formations {
		next := p[f]
		if next == nil {
			continue
		}
		by.OldQuantity, by.NewQuantity, by.Size = f.Quantity, next.quantity, next.size.name
		f.record(by)
		resized := f.size != next.size
		if !resized && f.Quantity == next.quantity {
			continue
		}
		a.touch()
		before := change{quantity: f.Quantity, size: f.size}
		f.Quantity, f.size, f.updated = next.quantity, next.size, a.updated
		f.notifyUpdated(by.Account, before)
		f.shrink()
		if resized {
			f.restart(by.Account)
		}
		f.grow(by.Account)
	}
}

// Scale sets a quantity as a person's `heroku ps:scale` does: same limits, recorded, no request.
func (s *Server) Scale(appName, processType string, quantity int) error {
	return s.withApp(appName, func(a *app) error {
		p, err := a.plan([]update{{Type: processType, Quantity: json.RawMessage(strconv.Itoa(quantity))}})
		if err != nil {
			return err
		}
		a.apply(p, Event{Kind: Scaled, Account: a.owner()})
		return nil
	})
}

// Quantity is the quantity of a process type, and -1 where there is none such.
func (s *Server) Quantity(appName, processType string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.app(appName); a != nil {
		if f := a.formation(processType); f != nil {
			return f.Quantity
		}
	}
	return -1
}

// grow starts dynos until there are Quantity of them.
func (f *formation) grow(by string) {
	for number := len(f.dynos) + 1; number <= f.Quantity; number++ {
		f.start(number, by)
	}
}

// shrink stops the dynos above Quantity, the highest numbers first.
func (f *formation) shrink() {
	for len(f.dynos) > f.Quantity {
		f.stop(f.dynos[len(f.dynos)-1])
	}
}

// restart replaces every dyno. The new one does not wait for the old one's end.
func (f *formation) restart(by string) {
	for _, d := range slices.Clone(f.dynos) {
		f.replace(d, by)
	}
}

func (f *formation) record(e Event) {
	e.App, e.Type = f.app.Name, f.Type
	f.app.server.addEvent(e)
}
