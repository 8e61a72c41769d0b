package simulator

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// budget is what an account may spend on requests. All its tokens share it.
type budget struct {
	tokens     float64
	at         time.Time // when tokens was reckoned
	multiplier int
}

// SetBudget sets how many requests an account has left; it goes on being refilled. One below 0 lasts.
func (s *Server) SetBudget(email string, remaining int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.account(email).budget
	b.tokens, b.at = float64(remaining), time.Now()
}

// SetRateMultiplier gives an account a budget of another size, 1 or more times the usual one: capacity
// and refill grow alike, and what is left grows with them. Every answer tells it as
// Ratelimit-Multiplier. That header is seen on all answers and explained nowhere [?]; Heroku's own
// throttling client for Ruby, rate_throttle_client, reads it as a factor of the rate.
func (s *Server) SetRateMultiplier(email string, multiplier int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.account(email).budget
	s.refill(b)
	b.tokens *= float64(multiplier) / float64(b.multiplier)
	b.multiplier = multiplier
}

// Budget says how many requests an account has left.
func (s *Server) Budget(email string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remaining(s.account(email))
}

// spend takes one token of the account's budget. A refused request costs nothing.
func (s *Server) spend(c *call, free bool) error {
	a := c.token.account
	remaining := s.remaining(a)
	c.header.Set("Ratelimit-Multiplier", strconv.Itoa(a.budget.multiplier))
	if free {
		c.header.Set("Ratelimit-Remaining", strconv.Itoa(remaining))
		return nil
	}
	if remaining < 1 {
		c.header.Set("Ratelimit-Remaining", "0")
		return rateLimited()
	}
	a.budget.tokens--
	c.header.Set("Ratelimit-Remaining", strconv.Itoa(remaining-1))
	return nil
}

func (s *Server) remaining(a *account) int {
	s.refill(&a.budget)
	// Rounding down would lose a token to the last bit of a sum of fractions.
	return int(math.Floor(a.budget.tokens + 1e-6))
}

func (s *Server) refill(b *budget) {
	now := time.Now()
	multiplier := float64(b.multiplier)
	b.tokens += now.Sub(b.at).Minutes() * multiplier * float64(s.options.RateRefill)
	b.tokens = min(b.tokens, multiplier*float64(s.options.RateCapacity))
	b.at = now
}

func rateLimited() *apiError {
	e := newError(http.StatusTooManyRequests, "rate_limit",
		"Your account reached the API rate limit\nPlease wait a few minutes before making new requests")
	e.URL = "https://devcenter.heroku.com/articles/platform-api-reference#rate-limits"
	return e
}

func getRateLimit(c *call) (any, error) {
	return map[string]int{"remaining": c.server.remaining(c.token.account)}, nil
}
