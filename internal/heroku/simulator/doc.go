// Package simulator is a Heroku Platform API v3 over HTTP for tests, end-to-end tests and the demo.
// Its dynos can be real processes.
//
// It answers as the real API does in everything a scaler meets: authentication and scopes, the rate
// budget of an account, paging, conditional requests, limits on dynos, error bodies and webhooks. Faults
// can be injected, deliveries to webhooks held back, swapped, doubled and replayed. Every request, every
// delivery and every step in a dyno's life is recorded, and Wait blocks until the record says what a
// test hopes for, so that no test has to sleep.
//
// Everything is in memory. Server.mu guards all of it except the history, which has its own lock and
// may be locked while Server.mu is held, never the other way around. An endpoint runs wholly under
// Server.mu: it is short, and processes start and stop in the goroutine of their dyno.
//
// Time is plain package time: inside testing/synctest the budget and simulated dynos run on the fake
// clock, with Server used as an http.Handler.
//
// The control endpoints under /_simulator/ ask for no credentials: listen where only tests can reach.
package simulator
