package heroku

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	api "github.com/heroku/heroku-go/v5"

	"github.com/queuescaler/queuescaler/internal/lease"
	"github.com/queuescaler/queuescaler/internal/secret"
)

// Accounts has one Client for each token in use, and one rate budget for each account that tokens turn
// out to belong to. It is safe for concurrent use.
type Accounts struct {
	options AccountOptions
	clients *lease.Registry[secret.Text, *Client]

	mu      sync.Mutex
	budgets map[string]*sharedBudget // by account
}

// AccountOptions are what all clients have in common.
type AccountOptions struct {
	Options
	// Reserve is the share of each account's rate budget, from 0 to 1, that only wakes may use, so that
	// the rest is left for people and other programs.
	Reserve float64
}

// sharedBudget is the budget of an account and the clients that use it.
type sharedBudget struct {
	*Budget
	clients map[*Client]bool
}

// NewAccounts returns one without clients. The options' Token is not used.
func NewAccounts(o AccountOptions) *Accounts {
	a := &Accounts{options: o, budgets: map[string]*sharedBudget{}}
	a.clients = lease.NewRegistry(a.open, a.close)
	return a
}

// Acquire returns the client of a token for an owner, who leaves the client that it had before.
func (a *Accounts) Acquire(owner string, token secret.Text) (*Client, error) {
	return a.clients.Acquire(owner, token)
}

// Release takes the client away from an owner. It is closed when nobody has it any more.
func (a *Accounts) Release(owner string) { a.clients.Release(owner) }

func (a *Accounts) open(token secret.Text) (*Client, error) {
	options := a.options.Options
	options.Token = string(token)
	c := NewClient(options)
	c.accounts = a
	a.join(c, "token-"+digest(token))
	return c, nil
}

func (a *Accounts) close(c *Client) {
	a.mu.Lock()
	a.leave(c)
	a.mu.Unlock()
	c.Close()
}

// digest names a token without telling it.
func digest(token secret.Text) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:4])
}

// join has a client use the budget of an account from now on. An account that is new takes over the
// budget that the client had.
func (a *Accounts) join(c *Client, account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.leave(c)
	shared := a.budgets[account]
	if shared == nil {
		if before == nil {
			before = newBudget(a.options.Reserve, time.Now())
		}
		shared = &sharedBudget{Budget: before, clients: map[*Client]bool{}}
		a.budgets[account] = shared
	}
	shared.clients[c] = true
	c.budget.Store(shared.Budget)
}

// leave takes a client off its budget, and returns that if no other client uses it. The caller holds
// the lock.
func (a *Accounts) leave(c *Client) *Budget {
	for account, shared := range a.budgets {
		if !shared.clients[c] {
			continue
		}
		delete(shared.clients, c)
		if len(shared.clients) == 0 {
			delete(a.budgets, account)
			return shared.Budget
		}
	}
	return nil
}

// AccountState is what is known of an account's rate budget.
type AccountState struct {
	// Account is the account's UUID, or stands for the token where that may not ask for it.
	Account string
	// Left is how many requests there should be left, and Capacity how many there are at most.
	Left, Capacity float64
}

// States returns what is known of the rate budgets, in no order.
func (a *Accounts) States() []AccountState {
	a.mu.Lock()
	defer a.mu.Unlock()
	states := make([]AccountState, 0, len(a.budgets))
	for account, shared := range a.budgets {
		left, capacity := shared.state(time.Now())
		states = append(states, AccountState{Account: account, Left: left, Capacity: capacity})
	}
	return states
}

// identifyPeriod is the time until an account that could not be asked for is asked for again.
const identifyPeriod = 10 * time.Minute

// identity is what a client knows of its account.
type identity struct {
	asking sync.Mutex
	// next is when to ask again; never once it is settled.
	next    time.Time
	settled bool
}

// Identify asks once which account the token belongs to, so that all tokens of an account share its
// rate budget. A token without the scope identity (or global) may not ask, and keeps a budget of its
// own. It does not wait for somebody else who asks.
func (c *Client) Identify(ctx context.Context) {
	if c.accounts == nil || !c.identity.asking.TryLock() {
		return
	}
	defer c.identity.asking.Unlock()
	if c.identity.settled || time.Now().Before(c.identity.next) {
		return
	}
	account, err := c.account(ctx)
	known, _ := errors.AsType[*Error](err)
	switch {
	case err == nil:
		c.accounts.join(c, account)
		c.identity.settled = true
	case known != nil && known.Kind == Forbidden:
		c.identity.settled = true
	case ctx.Err() != nil: // somebody had better things to do
	default:
		c.identity.next = time.Now().Add(identifyPeriod)
	}
}

// account is the UUID of the token's account.
func (c *Client) account(ctx context.Context) (string, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	var account api.Account
	a, err := c.call(ctx, func(ctx context.Context) error {
		return c.service.Get(ctx, &account, "/account", nil, nil)
	})
	if err == nil && account.ID == "" {
		err = nonsense(a, "the answer does not name the account")
	}
	return account.ID, err
}
