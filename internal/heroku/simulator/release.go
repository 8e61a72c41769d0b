package simulator

import (
	"strconv"
	"time"
)

// release is a version of an app with its config vars. The newest is the current one.
type release struct {
	version     int
	created     time.Time
	user        string // e-mail
	description string
}

// newRelease follows a change of config vars. It restarts every dyno
// (devcenter.heroku.com/articles/dyno-restarts).
func (a *app) newRelease(user, description string) {
	a.touch()
	a.releases = append(a.releases, release{
		version: len(a.releases) + 1, created: a.updated, user: user, description: description,
	})
	for _, f := range a.formations {
		f.restart()
	}
}

func (a *app) current() release { return a.releases[len(a.releases)-1] }

func (a *app) releaseID(version int) string {
	return stableID("release", a.id, strconv.Itoa(version))
}

// listReleases is what the CLI's config:set asks for, to name the version it made.
func listReleases(c *call) (any, error) {
	a := c.app
	var items collection
	for _, r := range a.releases {
		id := a.releaseID(r.version)
		user := account{email: r.user}
		items = append(items, item{
			keys: map[string]string{"id": id, "version": strconv.Itoa(r.version)},
			resource: releaseResource{
				AddonPlanNames: []string{}, App: a.reference(), ID: id, Version: r.version,
				CreatedAt: timestamp(r.created), UpdatedAt: timestamp(r.created), Description: r.description,
				Status: "succeeded", Current: r.version == len(a.releases), User: ownerResource{ID: user.id(), Email: user.email},
			},
		})
	}
	return items, nil
}
