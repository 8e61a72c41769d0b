package controllers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
)

// problem is an error with an owner: what a condition says of it, and who can cure it.
type problem struct {
	reason  string
	message string
	class   class
	// retryAfter is what Heroku asked for; 0 if nothing.
	retryAfter time.Duration
	// held says that the call was not made, since the rate budget is kept for more urgent ones.
	held bool
}

// class says how a problem passes.
type class int

const (
	// transient passes by itself.
	transient class = iota
	// limited passes when Heroku's rate budget refills.
	limited
	// missing may only not have arrived yet: somebody's job after missingPatience.
	missing
	// settled needs somebody to change something.
	settled
)

// missingPatience is how long things may arrive in any order.
const missingPatience = 10 * time.Minute

// ofHeroku makes a problem of a Platform API error.
func (s *scope) ofHeroku(err error) *problem {
	known, ok := errors.AsType[*heroku.Error](err)
	if !ok {
		return &problem{reason: v1.ReasonInternalError, message: "calling Heroku failed; see the operator's log"}
	}
	spec := s.object.Spec.Heroku
	p := &problem{message: known.Message, retryAfter: known.RetryAfter, held: known.Kind == heroku.RateLimited && known.Status == 0}
	switch known.Kind {
	case heroku.Unauthorized:
		p.reason, p.class = v1.ReasonHerokuUnauthorized, settled
		p.message = fmt.Sprintf("Heroku refuses the API token: put a valid one into key %q of Secret %q (spec.heroku.apiKeySecretRef)",
			spec.APIKeySecretRef.Key, spec.APIKeySecretRef.Name)
	case heroku.Forbidden:
		p.reason, p.class = v1.ReasonHerokuForbidden, settled
		p.message = fmt.Sprintf("Heroku forbids this (%s): spec.heroku.apiKeySecretRef needs a token with scope write, of an account that may scale app %q", known.Message, spec.App)
	case heroku.AppNotFound:
		p.reason, p.class = v1.ReasonAppNotFound, missing
		p.message = fmt.Sprintf("Heroku does not know app %q, or does not show it to this account: check spec.heroku.app", spec.App)
	case heroku.ProcessTypeNotFound:
		p.reason, p.class = v1.ReasonProcessTypeNotFound, missing
		p.message = fmt.Sprintf("app %q has no process type %q: check spec.heroku.processType and the app's Procfile", spec.App, spec.ProcessType)
	case heroku.ConfigVarNotFound:
		p.reason, p.class = v1.ReasonConfigVarMissing, missing
	case heroku.AboveLimit:
		p.reason, p.class = v1.ReasonQuantityLimited, settled
	case heroku.Invalid:
		p.reason, p.class = v1.ReasonHerokuRefused, settled
	case heroku.RateLimited:
		p.reason, p.class = v1.ReasonRateLimited, limited
		p.message = "the Heroku account has little or nothing left of its API rate limit: starts go first, then stops, then the rest; it refills at about 75 requests a minute"
	case heroku.Late:
		p.reason = v1.ReasonHerokuUnavailable
		p.message = "the stop could not be sent right after its look at the queue, since other changes of the app or the network held it up"
	default:
		p.reason = v1.ReasonHerokuUnavailable
		p.message = "Heroku's API cannot be used now: " + known.Message
	}
	return p
}

// ofQueue makes a problem of a Redis error.
func ofQueue(err *queue.Error) *problem {
	p := &problem{message: err.Message}
	switch err.Kind {
	case queue.Unauthorized:
		p.reason, p.class = v1.ReasonRedisUnauthorized, settled
	case queue.URLInvalid:
		p.reason, p.class = v1.ReasonRedisURLInvalid, settled
		p.message += " (spec.redis.urlFrom)"
	case queue.TLSFailed:
		p.reason, p.class = v1.ReasonRedisTLSFailed, settled
	case queue.WrongType:
		p.reason, p.class = v1.ReasonRedisKeyWrongType, settled
	default:
		p.reason = v1.ReasonRedisUnreachable
	}
	return p
}

// ofEndpoint makes a problem of a Redis URL or TLS setting that cannot be used.
func ofEndpoint(err error) *problem {
	if known, ok := errors.AsType[*queue.Error](err); ok {
		return ofQueue(known)
	}
	return &problem{reason: v1.ReasonRedisURLInvalid, message: "the Redis URL cannot be used", class: settled}
}

// retries spaces out calls to Heroku after failures. What delays a start is the failure of starts, and
// of nothing else.
type retries struct {
	// failures are the calls that failed in a row.
	failures int
	// scalings are the PATCHes among them, and starts those that start, however reads went in between.
	scalings, starts int
	// wakeAt is when a start may be tried again, lookAt is that of a read that a start has to wait for,
	// and restAt that of all else.
	wakeAt, lookAt, restAt time.Time
	last                   *problem
}

const (
	// longestWake bounds the wait of a start after a failure that passes by itself: nobody may wait long
	// for a worker.
	longestWake = 5 * time.Second
	// longestSettledWake is the same for what somebody may have to cure: a Heroku that is well again may
	// have said so by mistake.
	longestSettledWake = time.Minute
	// limitedWake is the wait of a start for which the rate budget has nothing left: whether it has is
	// mostly known without asking Heroku.
	limitedWake = 2 * time.Second
	// limitedRest is that of all else, where nothing says how long it should be.
	limitedRest = 30 * time.Second
	// longestRest bounds the wait of a stop or a drift read.
	longestRest = 5 * time.Minute
	// settledRest is that after an error that somebody must cure. What they change (the Secret, the spec)
	// is seen at once; this is for what is changed at Heroku.
	settledRest = 10 * time.Minute
	// missingRest is the wait for an app or a process type to appear at Heroku.
	missingRest = 30 * time.Second
)

// failed plans the next calls, but for starts, after a problem at some time.
func (r *retries) failed(p *problem, now time.Time) {
	if r.failures == 0 || !p.held { // calls that were not made say nothing of Heroku
		r.failures++
	}
	r.last = p
	rest := min(longestRest, backoff(max(r.failures, r.scalings)))
	switch p.class {
	case limited:
		rest = limitedRest
		if p.retryAfter > 0 {
			rest = max(time.Second, p.retryAfter+p.retryAfter/4) // and later by the jitter
		}
	case missing:
		rest = missingRest
	case settled:
		rest = settledRest
	}
	r.lookAt = now.Add(p.pause(r.failures))
	r.restAt = now.Add(max(jitter(rest), p.retryAfter))
}

// startFailed plans the next start after a problem of one.
func (r *retries) startFailed(p *problem, now time.Time) {
	if !p.held {
		r.starts++
	}
	r.wakeAt = now.Add(p.pause(r.starts))
}

// pause is how long work that waits lets pass after so many failures in a row.
func (p *problem) pause(failures int) time.Duration {
	wake := backoff(failures)
	switch p.class {
	case limited:
		if p.held { // until its turn: starts are served one after the other
			return min(p.retryAfter, limitedWake)
		}
		return jitter(limitedWake)
	case missing:
		return jitter(min(missingRest, wake))
	case settled:
		return jitter(min(longestSettledWake, wake))
	}
	return jitter(min(longestWake, max(wake, p.retryAfter)))
}

// backoff doubles a second with each failure.
func backoff(failures int) time.Duration { return time.Second << min(max(0, failures-1), 9) }

// read takes in a read that succeeded: all but starts may be tried again.
func (r *retries) read() { *r = retries{scalings: r.scalings, starts: r.starts, wakeAt: r.wakeAt} }

// scaled takes in a PATCH that succeeded.
func (r *retries) scaled() { *r = retries{} }

// jitter shortens a wait by up to a fifth, so that many objects do not come back together.
func jitter(wait time.Duration) time.Duration { return wait - rand.N(wait/5+1) }
