package heroku_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/heroku/heroku-go/v5"

	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/secret"
)

const (
	hookID  = "11111111-2222-3333-4444-555555555555"
	hookURL = "https://queuescaler.example.com/heroku"
	signing = "signing-canary-0123456789"
)

// hooks is a server that keeps the webhooks of the app shop, as Heroku's schema has them.
type hooks struct {
	t        *testing.T
	present  []api.AppWebhookInfoResult
	secrets  []string // that were sent, in their order
	requests []string
}

func hook(id, url string, level string, include ...string) api.AppWebhookInfoResult {
	h := api.AppWebhookInfoResult{ID: id, URL: url, Level: level, Include: include, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	h.App.ID, h.App.Name = appID, "shop"
	return h
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.requests = append(h.requests, r.Method)
	id, _ := strings.CutPrefix(r.URL.Path, "/apps/shop/webhooks/")
	i := slices.IndexFunc(h.present, func(h api.AppWebhookInfoResult) bool { return h.ID == id })
	switch {
	case r.URL.Path == "/apps/shop/webhooks" && r.Method == http.MethodGet:
		json.NewEncoder(w).Encode(append([]api.AppWebhookInfoResult{}, h.present...))
	case r.URL.Path == "/apps/shop/webhooks" && r.Method == http.MethodPost:
		var o api.AppWebhookCreateOpts
		h.decode(r, &o)
		h.note(o.Secret)
		created := hook(fmt.Sprintf("%08d-0000-0000-0000-000000000000", len(h.present)), o.URL, o.Level, o.Include...)
		h.present = append(h.present, created)
		w.Header().Set("Heroku-Webhook-Secret", "told-once")
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(created)
	case i >= 0 && r.Method == http.MethodPatch:
		var o api.AppWebhookUpdateOpts
		h.decode(r, &o)
		h.note(o.Secret)
		include := []string{}
		for _, kind := range o.Include {
			include = append(include, *kind)
		}
		h.present[i].Level, h.present[i].Include = *o.Level, include
		json.NewEncoder(w).Encode(h.present[i])
	case i >= 0 && r.Method == http.MethodDelete:
		json.NewEncoder(w).Encode(h.present[i])
		h.present = slices.Delete(h.present, i, i+1)
	default:
		answers(404, `{"id":"not_found","message":"Couldn't find that webhook."}`)(w, r)
	}
}

// decode refuses what the schema does not have.
func (h *hooks) decode(r *http.Request, into any) {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		h.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
}

func (h *hooks) note(sent *string) {
	if sent != nil {
		h.secrets = append(h.secrets, *sent)
	}
}

func TestEnsureWebhook(t *testing.T) {
	all := []string{"api:formation", "api:dyno", "api:release"}
	other := hook("99999999-2222-3333-4444-555555555555", "https://elsewhere.example.com/", "notify", "api:build")
	tests := map[string]struct {
		present  []api.AppWebhookInfoResult
		want     heroku.Webhook
		change   heroku.Change
		requests string
		level    string
		include  []string
		secret   bool // whether it was sent
	}{
		"there is none": {
			nil, heroku.Webhook{URL: hookURL, Secret: signing},
			heroku.Created, "GET POST", "sync", all, true,
		},
		"there is another": {
			[]api.AppWebhookInfoResult{other}, heroku.Webhook{URL: hookURL, Secret: signing, Level: "notify", Include: all[:1]},
			heroku.Created, "GET POST", "notify", all[:1], true,
		},
		"there is the same, with who knows which secret": {
			[]api.AppWebhookInfoResult{other, hook(hookID, hookURL, "sync", all...)}, heroku.Webhook{URL: hookURL, Secret: signing},
			heroku.Updated, "GET PATCH", "sync", all, true,
		},
		"there is the same, and its secret is to be kept": {
			[]api.AppWebhookInfoResult{other, hook(hookID, hookURL, "sync", all[2], all[0], all[1])}, heroku.Webhook{URL: hookURL},
			heroku.Unchanged, "GET", "sync", []string{all[2], all[0], all[1]}, false,
		},
		"it tells too little": {
			[]api.AppWebhookInfoResult{hook(hookID, hookURL, "sync", "api:release")}, heroku.Webhook{URL: hookURL},
			heroku.Updated, "GET PATCH", "sync", all, false,
		},
		"it does not insist": {
			[]api.AppWebhookInfoResult{hook(hookID, hookURL, "notify", all...)}, heroku.Webhook{URL: hookURL},
			heroku.Updated, "GET PATCH", "sync", all, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := &hooks{t: t, present: slices.Clone(test.present)}
			c := serve(t, h.ServeHTTP)
			change, err := c.EnsureWebhook(t.Context(), "shop", test.want)
			if err != nil || change != test.change || strings.Join(h.requests, " ") != test.requests {
				t.Errorf("%s, %v after %v; want %s after %s", change, err, h.requests, test.change, test.requests)
			}
			if sent := len(h.secrets) > 0; sent != test.secret || sent && !slices.Equal(h.secrets, []string{signing}) {
				t.Errorf("sent the secrets %q, want it sent: %v", h.secrets, test.secret)
			}
			i := slices.IndexFunc(h.present, func(h api.AppWebhookInfoResult) bool { return h.URL == hookURL })
			if got := h.present[i]; got.Level != test.level || !slices.Equal(got.Include, test.include) {
				t.Errorf("is now %+v, want level %s and include %v", got, test.level, test.include)
			}
			if len(test.present) > 0 && test.present[0].URL == other.URL && fmt.Sprint(h.present[0]) != fmt.Sprint(other) {
				t.Errorf("changed another webhook: %+v", h.present[0])
			}
		})
	}
}

func TestWebhooksAndTheirEnd(t *testing.T) {
	h := &hooks{t: t, present: []api.AppWebhookInfoResult{
		hook(hookID, hookURL, "sync", "api:formation"),
		hook("99999999-2222-3333-4444-555555555555", "https://elsewhere.example.com/", "notify", "api:build"),
		hook("88888888-2222-3333-4444-555555555555", hookURL, "notify", "api:build"),
	}}
	c := serve(t, h.ServeHTTP)
	got, err := c.Webhooks(t.Context(), "shop")
	want := heroku.Webhook{ID: hookID, URL: hookURL, Level: "sync", Include: []string{"api:formation"}}
	if err != nil || len(got) != 3 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("Webhooks: %v, %v; want three, first %v", got, err, want)
	}
	for _, want := range []int{2, 0} {
		if n, err := c.DeleteWebhook(t.Context(), "shop", hookURL); n != want || err != nil {
			t.Errorf("DeleteWebhook: %d, %v; want %d", n, err, want)
		}
	}
	if len(h.present) != 1 || h.present[0].URL == hookURL {
		t.Errorf("left %+v", h.present)
	}
}

func TestWebhookThatWentMeanwhile(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			json.NewEncoder(w).Encode([]api.AppWebhookInfoResult{hook(hookID, hookURL, "sync", "api:formation")})
			return
		}
		answers(404, `{"id":"not_found","message":"Couldn't find that webhook."}`)(w, r)
	})
	if _, err := c.DeleteWebhook(t.Context(), "shop", hookURL); err != nil {
		t.Errorf("DeleteWebhook: %v", err)
	}
	_, err := c.EnsureWebhook(t.Context(), "shop", heroku.Webhook{URL: hookURL, Secret: signing})
	if e := failure(t, err); e.Status != 404 {
		t.Errorf("EnsureWebhook: %v", err)
	}
}

func TestWebhookRefusedBeforeSending(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("sent %s %s", r.Method, r.URL)
		}
		io.WriteString(w, `[]`)
	})
	tests := map[string]struct {
		app  string
		want heroku.Webhook
	}{
		"app leaves the path":  {"../../account?x=", heroku.Webhook{URL: hookURL, Secret: signing}},
		"no URL":               {"shop", heroku.Webhook{Secret: signing}},
		"no host":              {"shop", heroku.Webhook{URL: "https:///heroku", Secret: signing}},
		"no scheme":            {"shop", heroku.Webhook{URL: "queuescaler.example.com/heroku", Secret: signing}},
		"another scheme":       {"shop", heroku.Webhook{URL: "ftp://queuescaler.example.com/", Secret: signing}},
		"no such level":        {"shop", heroku.Webhook{URL: hookURL, Secret: signing, Level: "often"}},
		"a new one unsigned":   {"shop", heroku.Webhook{URL: hookURL}},
		"a URL with a newline": {"shop", heroku.Webhook{URL: hookURL + "\n", Secret: signing}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := c.EnsureWebhook(t.Context(), test.app, test.want)
			if e := failure(t, err); e.Kind != heroku.Invalid || !e.OutcomeKnown() {
				t.Errorf("error %v of kind %s", e, e.Kind)
			}
		})
	}
	_, err := c.DeleteWebhook(t.Context(), "../../account?x=", hookURL)
	failure(t, err)
}

func TestWebhookAnswersThatAreNone(t *testing.T) {
	tests := map[string]struct{ list, answer string }{
		"id leaves the path": {`[{"id":"../../x","url":"` + hookURL + `"}]`, `{}`},
		"list without URLs":  {`[{"id":"` + hookID + `"}]`, `{}`},
		"no webhook":         {`[]`, `{}`},
		"another URL":        {`[]`, `{"url":"https://example.com","level":"sync","include":["api:formation","api:dyno","api:release"]}`},
		"another level":      {`[]`, `{"url":"` + hookURL + `","level":"notify","include":["api:formation","api:dyno","api:release"]}`},
		"fewer events":       {`[]`, `{"url":"` + hookURL + `","level":"sync","include":["api:formation"]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "..") {
					t.Errorf("sent %s %s", r.Method, r.URL.Path)
				}
				if r.Method == http.MethodGet {
					io.WriteString(w, test.list)
					return
				}
				io.WriteString(w, test.answer)
			})
			_, err := c.EnsureWebhook(t.Context(), "shop", heroku.Webhook{URL: hookURL, Secret: signing})
			if e := failure(t, err); e.Kind != heroku.Unknown {
				t.Errorf("error %v of kind %s", e, e.Kind)
			}
		})
	}
}

func TestWebhookSecretIsNotShown(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodGet {
			io.WriteString(w, `[]`)
			return
		}
		message, _ := json.Marshal("Invalid params: " + string(body))
		answers(422, `{"id":"invalid_params","message":`+string(message)+`}`)(w, r)
	})
	want := heroku.Webhook{URL: hookURL, Secret: secret.Text(signing)}
	_, err := c.EnsureWebhook(t.Context(), "shop", want)
	e := failure(t, err)
	if text := fmt.Sprintf("%v %#v %+v", e, e, want); strings.Contains(text, signing) || !strings.Contains(e.Message, "[redacted]") {
		t.Errorf("shown: %s", text)
	}
}
