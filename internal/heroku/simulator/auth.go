package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Token gives access as an account. Several may belong to one, and share its rate budget.
type Token struct {
	Secret  string `json:"secret"`
	Name    string `json:"name"`    // what the history shows; the account where empty
	Account string `json:"account"` // the account's e-mail
	// Scopes is global where empty, else any of identity, read, write, read-protected, write-protected.
	Scopes []string `json:"scopes"`
}

type token struct {
	Token
	account *account
}

// account is a person or a machine that requests are made for.
type account struct {
	email   string
	created time.Time
	budget  budget
}

// AddToken adds a token, and its account with a full budget where that is new.
func (s *Server) AddToken(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Name == "" {
		t.Name = t.Account
	}
	if len(t.Scopes) == 0 {
		t.Scopes = []string{"global"}
	}
	s.tokens[t.Secret] = &token{Token: t, account: s.account(t.Account)}
}

// RemoveToken revokes a token: requests with it are unauthorized from now on.
func (s *Server) RemoveToken(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, secret)
}

func (s *Server) account(email string) *account {
	a := s.accounts[email]
	if a == nil {
		now := time.Now()
		a = &account{
			email: email, created: now,
			budget: budget{tokens: float64(s.options.RateCapacity), at: now, multiplier: 1},
		}
		s.accounts[email] = a
	}
	return a
}

// identify finds the token of a request, nil where it has none that is known.
func (s *Server) identify(r *http.Request) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[credentials(r)]
}

// credentials are a Bearer token, or Basic with the token as password and an empty or e-mail user.
func credentials(r *http.Request) string {
	if secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return secret
	}
	user, password, _ := r.BasicAuth()
	if user != "" && !strings.Contains(user, "@") {
		return ""
	}
	return password
}

func authorize(c *call, accepted []string) error {
	c.header.Set("Oauth-Scope", strings.Join(c.token.Scopes, " "))
	c.header.Set("Oauth-Scope-Accepted", strings.Join(accepted, " "))
	if slices.ContainsFunc(accepted, func(scope string) bool { return slices.Contains(c.token.Scopes, scope) }) {
		return nil
	}
	return newError(http.StatusForbidden, "forbidden", fmt.Sprintf(
		"The scope of this OAuth authorization does not allow access to this resource. "+
			"This authorization has access scopes %s. This resource is accessible by scopes %s.",
		strings.Join(c.token.Scopes, ", "), strings.Join(accepted, ", ")))
}

func getAccount(c *call) (any, error) {
	a := c.token.account
	c.updated = a.created
	return accountResource{
		ID: a.id(), Email: a.email, AllowTracking: true, Verified: true,
		CreatedAt: timestamp(a.created), UpdatedAt: timestamp(a.created),
	}, nil
}

// id is the same on every run, like all ids here: a restarted simulator is the same platform.
func (a *account) id() string { return stableID("account", a.email) }

// person is how resources name an account.
func person(email string) ownerResource {
	a := account{email: email}
	return ownerResource{ID: a.id(), Email: email}
}

func stableID(parts ...string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(parts, "\x00"))).String()
}
