package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/secret"
)

// redisURL returns the URL of the queue's Redis, from a Secret or from the app itself.
func (r *Reconciler) redisURL(ctx context.Context, s *scope) (string, *problem) {
	from := s.object.Spec.Redis.URLFrom
	if from.SecretKeyRef != nil {
		return r.secrets.value(ctx, s.name.Namespace, *from.SecretKeyRef, "spec.redis.urlFrom.secretKeyRef")
	}
	known := &s.memory.configVar
	known.aim(s.appNamed(), from.HerokuConfigVar.Name)
	fails := s.redisFails()
	if (known.url == "" || fails) && !s.now.Before(known.due(fails)) {
		r.readConfigVar(ctx, s, known.wakePriority(), adoptionAge)
	}
	if known.url == "" { // one that could not be read anew is still the best that is known
		return "", known.problem
	}
	return string(known.url), nil
}

// appNamed is the app that the spec names, by its UUID where that is known.
func (s *scope) appNamed() appNamed {
	named := appNamed{name: s.object.Spec.Heroku.App}
	if target := s.memory.target; target != nil {
		named.id = target.AppID
	}
	return named
}

// refreshURL reads a config var again from which jobs may be missed: when it is time, and on each sign that
// it names another server by now. Nothing waits for the answer.
func (r *Reconciler) refreshURL(ctx context.Context, s *scope) {
	known := &s.memory.configVar
	if s.object.Spec.Redis.URLFrom.HerokuConfigVar == nil || known.url == "" {
		return
	}
	s.noteURLSigns()
	fails := s.redisFails()
	if s.now.Before(known.due(fails)) {
		return
	}
	priority, maxAge := heroku.Drift, r.options.DriftPeriod/2
	if fails || known.sign {
		priority, maxAge = known.wakePriority(), 0
	}
	if r.readConfigVar(s.unhurried(ctx), s, priority, maxAge) {
		r.wakeups.enqueue(s.name, false) // its queue is looked at there
	}
}

// noteURLSigns looks for signs that the app uses another server: a release, a worker that fell silent, jobs
// that no worker takes.
func (s *scope) noteURLSigns() {
	m, known := s.memory, &s.memory.configVar
	released := s.news.released && s.news.at.After(known.readAt)
	unserved := s.unservedForLong() && known.readAt.Before(m.unservedSince.Add(blindPatience))
	heard := s.snapshot.Live() > 0
	silent := known.heard && !heard && m.quantity != nil && *m.quantity > 0
	if s.snapshot.Known() {
		known.heard = heard
	}
	known.sign = known.sign || released || unserved || silent
}

// nextURLRead is when a config var is to be read again; zero if the URL is in a Secret.
func (s *scope) nextURLRead() time.Time {
	if s.object.Spec.Redis.URLFrom.HerokuConfigVar == nil {
		return time.Time{}
	}
	return s.memory.configVar.due(s.redisFails())
}

// confirmURL reports whether the Redis in which no job was seen is the one that the app uses: a stop asks
// for that, and waits where it is not known. What jobs wait for does not: a drain began with the same question.
func (r *Reconciler) confirmURL(ctx context.Context, s *scope) bool {
	known := &s.memory.configVar
	fromSecret := s.object.Spec.Redis.URLFrom.HerokuConfigVar == nil
	if fromSecret || s.jobsAwaitStop() || s.now.Sub(known.confirmedAt) < urlConfirmed {
		return true
	}
	if known.problem != nil && s.now.Before(known.retryAt) {
		s.queueProblem = known.problem
		s.decide()
		return false
	}
	switch moved := r.readConfigVar(s.unhurried(ctx), s, heroku.Sleep, urlConfirmed/2); {
	case s.interrupted():
		return false
	case known.problem != nil:
		s.queueProblem = known.problem
	case moved:
		s.queueProblem = &problem{reason: v1.ReasonUnknown, message: fmt.Sprintf(
			"config var %s names another Redis server since; the queue is read there", known.name)}
		r.wakeups.enqueue(s.name, false)
	default:
		return true
	}
	s.decide()
	return false
}

// redisFails reports whether Redis could not be used with the URL when it was last tried.
func (s *scope) redisFails() bool {
	return s.memory.hub != nil && s.memory.hub.Snapshot(s.id()).Err != nil
}

// readConfigVar reads the URL and reports whether it is another one than before.
func (r *Reconciler) readConfigVar(ctx context.Context, s *scope, p heroku.Priority, maxAge time.Duration) (moved bool) {
	known := &s.memory.configVar
	if problem := r.account(ctx, s); problem != nil {
		known.failed(problem, s.now)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, known.patience())
	defer cancel()
	client := s.memory.client
	url, err := client.ConfigVar(ctx, known.app.identity(), known.name, heroku.ReadOptions{Priority: p, MaxAge: maxAge})
	if s.elapse(); s.interrupted() {
		return false
	}
	if err != nil {
		known.failed(s.ofConfigVar(err), s.now)
		return false
	}
	moved = known.url != "" && known.url != url
	known.read(url, s.redisFails(), s.now)
	if s.redisFails() {
		known.retryAt = s.now.Add(max(known.wait, client.DriftPeriod(known.wait)))
	}
	known.nextAt = s.now.Add(jitterLater(client.DriftPeriod(r.options.DriftPeriod)))
	return moved
}

// jitterLater makes a period longer by up to a fifth: all together must not spend more than their share.
func jitterLater(period time.Duration) time.Duration { return period + rand.N(period/5+1) }

// ofConfigVar makes a problem of a config var that could not be read.
func (s *scope) ofConfigVar(err error) *problem {
	p := s.ofHeroku(err)
	name := s.memory.configVar.name
	switch p.reason {
	case v1.ReasonHerokuForbidden:
		p.message = fmt.Sprintf("the API token may not read config var %s: spec.heroku.apiKeySecretRef needs the scope read-protected, write-protected or global, or use spec.redis.urlFrom.secretKeyRef", name)
	case v1.ReasonConfigVarMissing:
		p.message = fmt.Sprintf("app %q has no config var %s, or an empty one: check spec.redis.urlFrom.herokuConfigVar.name", s.object.Spec.Heroku.App, name)
	}
	return p
}

const (
	// brokenURLPeriod is how soon a config var is read again when Redis cannot be used: Heroku rotates
	// passwords, and moves servers. The wait doubles up to longestURLWait while that does not help.
	brokenURLPeriod = 15 * time.Second
	// longestURLWait bounds the waits while the queue is not known.
	longestURLWait = time.Minute
	// urlConfirmed is how long a config var that was read vouches for the server before a stop.
	urlConfirmed = time.Minute
	// firstURLRead bounds the first try to read it.
	firstURLRead = 5 * time.Second
)

// appNamed is an app by the name in the spec and, once it is known, by its UUID.
type appNamed struct{ name, id string }

func (a appNamed) identity() string {
	if a.id != "" {
		return a.id
	}
	return a.name
}

// configVar is a Redis URL that was read from the app's config vars.
type configVar struct {
	app  appNamed
	name string
	url  secret.Text
	// readAt is when it was last tried to read it, and confirmedAt when that last succeeded.
	readAt, confirmedAt time.Time
	// nextAt is when it is read again although nothing is wrong; retryAt is when it is read again while
	// it cannot be read, or Redis cannot be used.
	nextAt, retryAt time.Time
	// failures are the reads in a row that failed, and wait the pause while Redis cannot be used.
	failures int
	wait     time.Duration
	// problem is why it could not be read the last time.
	problem *problem
	// sign says that something tells of another server: it is read at once. heard says whether workers
	// were heard.
	sign, heard bool
}

// aim forgets what is known if it is of another app or config var.
func (v *configVar) aim(app appNamed, name string) {
	if v.app.name != app.name || v.name != name || v.app.id != "" && app.id != "" && v.app.id != app.id {
		*v = configVar{name: name}
	}
	if app.id == "" {
		app.id = v.app.id
	}
	v.app = app
}

// due is when to read it.
func (v *configVar) due(redisFails bool) time.Time {
	switch {
	case v.readAt.IsZero():
		return time.Time{}
	case v.problem != nil || redisFails:
		return v.retryAt
	case v.sign:
		return time.Time{}
	}
	return v.nextAt
}

// wakePriority is that of a read without which no job is seen. One that Heroku has refused for certain
// leaves the reserve to starts.
func (v *configVar) wakePriority() heroku.Priority {
	if v.problem != nil && (v.problem.class == settled || v.problem.class == missing) {
		return heroku.Sleep
	}
	return heroku.Wake
}

// patience bounds a read.
func (v *configVar) patience() time.Duration {
	if v.failures == 0 {
		return firstURLRead
	}
	return usualRead
}

// failed takes in that it could not be read. One that is known is read later, if it only waits for a better
// time.
func (v *configVar) failed(p *problem, now time.Time) {
	v.failures++
	v.problem, v.readAt = p, now
	pause := jitter(min(longestURLWait, backoff(v.failures)))
	if p.class == limited {
		pause = p.retryAfter
		if !p.held {
			pause = p.pause(v.failures)
		}
	}
	v.retryAt = now.Add(pause)
}

// read takes in the URL.
func (v *configVar) read(url secret.Text, redisFails bool, now time.Time) {
	v.url, v.problem, v.failures, v.sign = url, nil, 0, false
	v.readAt, v.confirmedAt = now, now
	v.wait = min(longestURLWait, max(brokenURLPeriod, 2*v.wait))
	if !redisFails {
		v.wait = 0
	}
	v.retryAt = now.Add(max(v.wait, brokenURLPeriod))
}
