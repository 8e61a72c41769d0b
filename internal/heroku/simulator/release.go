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
	configVars  map[string]string
}

// newRelease follows a change of config vars or code. It restarts every dyno
// (devcenter.heroku.com/articles/dyno-restarts), and is told when it begins and when it is done
// (help.heroku.com/JP3QR5I5).
func (a *app) newRelease(user, description string) {
	a.touch()
	a.releases = append(a.releases, release{
		version: len(a.releases) + 1, created: a.updated, user: user, description: description, configVars: a.ConfigVars,
	})
	a.notifyRelease("create")
	for _, f := range a.formations {
		f.restart(user)
	}
	a.notifyRelease("update")
}

func (a *app) current() release { return a.releases[len(a.releases)-1] }

func (a *app) releaseID(version int) string {
	return stableID("release", a.id, strconv.Itoa(version))
}

// listReleases is what the CLI's config:set asks for, to name the version it made.
func listReleases(c *call) (any, error) {
	var items collection
	for _, r := range c.app.releases {
		items = append(items, item{
			keys:     map[string]string{"id": c.app.releaseID(r.version), "version": strconv.Itoa(r.version)},
			resource: c.app.releaseResource(r),
		})
	}
	return items, nil
}

// release finds the release of a path by its version or UUID.
func (c *call) release() (release, error) {
	identity := c.request.PathValue("release")
	for _, r := range c.app.releases {
		if identity == strconv.Itoa(r.version) || identity == c.app.releaseID(r.version) {
			c.updated = r.created
			return r, nil
		}
	}
	return release{}, notFound("Couldn't find that release.")
}

func getRelease(c *call) (any, error) {
	r, err := c.release()
	if err != nil {
		return nil, err
	}
	return c.app.releaseResource(r), nil
}

func getReleaseConfigVars(c *call) (any, error) {
	r, err := c.release()
	if err != nil {
		return nil, err
	}
	return r.configVars, nil
}

func (a *app) releaseResource(r release) releaseResource {
	return releaseResource{
		AddonPlanNames: []string{}, App: a.reference(), ID: a.releaseID(r.version), Version: r.version,
		CreatedAt: timestamp(r.created), UpdatedAt: timestamp(r.created), Description: r.description,
		Status: "succeeded", Current: r.version == len(a.releases), User: person(r.user),
	}
}
