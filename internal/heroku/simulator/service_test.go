package simulator_test

import (
	"errors"
	"net/http"
	"testing"

	heroku "github.com/heroku/heroku-go/v5"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func service(s *simulator.Server, token string) *heroku.Service {
	h := heroku.NewService(&http.Client{Transport: &heroku.Transport{
		BearerToken: token, Transport: &http.Transport{DisableKeepAlives: true},
	}})
	h.URL = s.URL()
	return h
}

// heroku-go is the client that the operator uses.
func TestHerokuGo(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{Size: "standard-2x"}))
	h, ctx := service(s, secret), t.Context()

	account, err := h.AccountInfo(ctx)
	if err != nil || account.Email != owner {
		t.Errorf("%+v, %v", account, err)
	}
	app, err := h.AppInfo(ctx, "shop")
	if err != nil || app.Name != "shop" {
		t.Errorf("%+v, %v", app, err)
	}
	f, err := h.FormationUpdate(ctx, app.ID, "worker", heroku.FormationUpdateOpts{Quantity: heroku.Int(2)})
	if err != nil || f.Quantity != 2 || f.Size != "Standard-2X" || f.App.ID != app.ID {
		t.Errorf("%+v, %v", f, err)
	}
	list, err := h.FormationList(ctx, "shop", &heroku.ListRange{Field: "type", Max: 10})
	if err != nil || len(list) != 2 || list[1].ID != f.ID {
		t.Errorf("%+v, %v", list, err)
	}
	dynos, err := h.DynoList(ctx, "shop", nil)
	if err != nil || len(dynos) != 3 {
		t.Errorf("%+v, %v", dynos, err)
	}
	if _, err := h.DynoInfo(ctx, "shop", "worker.2"); err != nil {
		t.Error(err)
	}
	if _, err := h.DynoRestart(ctx, "shop", "worker.2"); err != nil {
		t.Error(err)
	}
	vars, err := h.ConfigVarUpdate(ctx, "shop", map[string]*string{"A": heroku.String("1"), "REDIS_URL": nil})
	if err != nil || len(vars) != 1 || *vars["A"] != "1" {
		t.Errorf("%v, %v", vars, err)
	}
	if sizes, err := h.DynoSizeList(ctx, nil); err != nil || len(sizes) < 10 {
		t.Errorf("%+v, %v", sizes, err)
	}
	if limit, err := h.RateLimitInfo(ctx); err != nil || limit.Remaining >= 4500 {
		t.Errorf("%+v, %v", limit, err)
	}
}

func TestHerokuGoErrors(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{Size: "basic"}))
	_, err := service(s, "none").AppInfo(t.Context(), "shop")
	var e heroku.Error
	if !errors.As(err, &e) || e.StatusCode != 401 || e.ID != "unauthorized" {
		t.Error(err)
	}
	s.SetBudget(owner, 0)
	_, err = service(s, secret).AppInfo(t.Context(), "shop")
	if !errors.As(err, &e) || e.StatusCode != 429 || e.ID != "rate_limit" {
		t.Error(err)
	}
}
