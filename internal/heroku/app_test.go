package heroku_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// twoApps is a Platform API with two apps and a client.
func twoApps(t *testing.T) (*simulator.Server, *heroku.Client) {
	t.Helper()
	server := simulator.New(simulator.Options{})
	server.AddToken(simulator.Token{Secret: token, Account: "ops@example.com"})
	for name, quantity := range map[string]int{"shop": 1, "mill": 4} {
		app := simulator.App{Name: name, Formation: []simulator.Process{{Type: "worker", Quantity: quantity}}}
		if err := server.AddApp(app); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = server.Close(t.Context()) })
	h := httptest.NewServer(server)
	t.Cleanup(h.Close)
	client := heroku.NewClient(heroku.Options{BaseURL: h.URL, Token: token})
	t.Cleanup(client.Close)
	return server, client
}

// TestSwappedNames has two apps swap their names: what is known, read and changed of each stays its own.
func TestSwappedNames(t *testing.T) {
	t.Parallel()
	server, client := twoApps(t)
	read := func(app string, o heroku.ReadOptions) heroku.Formation {
		t.Helper()
		formation, err := client.Formation(t.Context(), app, "worker", o)
		if err != nil {
			t.Fatal(err)
		}
		return formation
	}
	shop, mill := read("shop", heroku.ReadOptions{}), read("mill", heroku.ReadOptions{})
	if err := server.RenameApp("shop", "mill"); err != nil {
		t.Fatal(err)
	}
	if now := read("shop", heroku.ReadOptions{}); now.AppID != mill.AppID || now.Quantity != 4 {
		t.Errorf("the name shop is now that of %+v", now)
	}
	if known := read(shop.AppID, heroku.ReadOptions{MaxAge: 1 << 40}); known.AppID != shop.AppID || known.Quantity != 1 {
		t.Errorf("what is known of the first app is %+v", known)
	}
	for _, app := range []heroku.Formation{shop, mill} {
		changed, err := client.Scale(t.Context(), heroku.Scaling{App: app.AppID, ProcessType: "worker", Quantity: app.Quantity + 5})
		if err != nil || changed.AppID != app.AppID || changed.Quantity != app.Quantity+5 {
			t.Errorf("%+v, %v; want that of %s", changed, err, app.AppID)
		}
	}
	if server.Quantity("mill", "worker") != 6 || server.Quantity("shop", "worker") != 9 {
		t.Error("one app has the other's dynos")
	}
}

// TestAnotherAppsAnswer has an answer name another app than was asked for: nothing is learned from it.
func TestAnotherAppsAnswer(t *testing.T) {
	t.Parallel()
	const other = `{"type":"worker","quantity":7,"app":{"id":"99999999-89ab-cdef-0123-456789abcdef","name":"mill"}}`
	for _, app := range []string{appID, "shop"} {
		lists := []string{"[" + other + "]", `[` + worker + `,{"type":"web","quantity":1,"app":{"id":"99999999-89ab-cdef-0123-456789abcdef","name":"shop"}}]`}
		for _, list := range lists {
			c := serve(t, answers(http.StatusOK, list))
			_, err := c.Formation(t.Context(), app, "worker", heroku.ReadOptions{})
			if e := failure(t, err); e.Kind != heroku.Unknown {
				t.Errorf("%s, read: %v", app, e)
			}
			if _, err = c.Formation(t.Context(), app, "worker", heroku.ReadOptions{MaxAge: 1 << 40}); err == nil {
				t.Errorf("%s: something was learned", app)
			}
		}
		c := serve(t, answers(http.StatusOK, other))
		_, err := c.Scale(t.Context(), heroku.Scaling{App: app, ProcessType: "worker", Quantity: 7})
		if e := failure(t, err); e.Kind != heroku.Unknown || e.OutcomeKnown() {
			t.Errorf("%s, change: %v", app, e)
		}
	}
}
