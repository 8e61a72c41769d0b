package controllers

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/secret"
)

const (
	// urlPeriod is how long a config var is trusted that seems to work.
	urlPeriod = time.Hour
	// brokenURLPeriod is how soon it is read again when Redis cannot be used: Heroku rotates passwords,
	// and moves servers. The wait doubles up to urlPeriod while that does not help.
	brokenURLPeriod = 15 * time.Second
)

// configVar is a Redis URL that was read from the app's config vars.
type configVar struct {
	app, name string
	url       secret.Text
	readAt    time.Time
	// wait is the time until it is read again while Redis cannot be used.
	wait time.Duration
	// problem is why it could not be read the last time.
	problem *problem
}

// redisURL returns the URL of the queue's Redis, from a Secret or from the app itself.
func (r *Reconciler) redisURL(ctx context.Context, s *scope) (string, *problem) {
	from := s.object.Spec.Redis.URLFrom
	if from.SecretKeyRef != nil {
		return r.secrets.value(ctx, s.name.Namespace, *from.SecretKeyRef, "spec.redis.urlFrom.secretKeyRef")
	}
	app, known := s.object.Spec.Heroku.App, &s.memory.configVar
	if known.app != app || known.name != from.HerokuConfigVar.Name {
		*known = configVar{app: app, name: from.HerokuConfigVar.Name}
	}
	if !s.now.Before(s.readURLAt()) {
		r.readConfigVar(ctx, s)
	}
	if known.url == "" { // one that could not be read anew is still the best that is known
		return "", known.problem
	}
	return string(known.url), nil
}

// readURLAt is when the config var is to be read.
func (s *scope) readURLAt() time.Time {
	switch known := s.memory.configVar; {
	case known.readAt.IsZero() || (s.news.released && s.news.at.After(known.readAt)):
		return s.now
	case known.problem != nil || s.redisFails():
		return known.readAt.Add(max(known.wait, brokenURLPeriod))
	default:
		return known.readAt.Add(urlPeriod)
	}
}

// redisFails says whether Redis could not be used with the URL when it was last tried.
func (s *scope) redisFails() bool {
	return s.memory.hub != nil && s.memory.hub.Snapshot(s.id()).Err != nil
}

func (r *Reconciler) readConfigVar(ctx context.Context, s *scope) {
	known := &s.memory.configVar
	if known.readAt.IsZero() || (known.problem == nil && !s.redisFails()) {
		known.wait = 0
	} else {
		known.wait = min(urlPeriod, max(brokenURLPeriod, 2*known.wait))
	}
	known.readAt = s.now
	if known.problem = r.account(ctx, s); known.problem != nil {
		return
	}
	url, err := s.memory.client.ConfigVar(ctx, known.app, known.name)
	if err != nil {
		known.problem = s.ofConfigVar(err)
		return
	}
	known.url = url
}

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
