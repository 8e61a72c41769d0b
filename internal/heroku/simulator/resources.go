package simulator

import "time"

// The resources as they go over the wire: every property of heroku-go v5's schema.json, and dyno_size,
// which the API has sent beside the deprecated size since.

type timestamp time.Time

// MarshalJSON writes whole seconds in UTC, as Heroku does.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"` + time.RFC3339 + `"`)), nil
}

// microTimestamp is the time of a notification, which Heroku tells to the microsecond.
type microTimestamp time.Time

// MarshalJSON writes microseconds in UTC.
func (t microTimestamp) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000000Z"`)), nil
}

type reference struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type ownerResource struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

type releaseReference struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
}

type releaseResource struct {
	AddonPlanNames  []string      `json:"addon_plan_names"`
	App             reference     `json:"app"`
	CreatedAt       timestamp     `json:"created_at"`
	Current         bool          `json:"current"`
	Description     string        `json:"description"`
	ID              string        `json:"id"`
	OutputStreamURL *string       `json:"output_stream_url"`
	Slug            *reference    `json:"slug"`
	Status          string        `json:"status"`
	UpdatedAt       timestamp     `json:"updated_at"`
	User            ownerResource `json:"user"`
	Version         int           `json:"version"`
}

type accountResource struct {
	AllowTracking           bool       `json:"allow_tracking"`
	Beta                    bool       `json:"beta"`
	CountryOfResidence      *string    `json:"country_of_residence"`
	CreatedAt               timestamp  `json:"created_at"`
	DefaultOrganization     *reference `json:"default_organization"`
	DefaultTeam             *reference `json:"default_team"`
	DelinquentAt            *timestamp `json:"delinquent_at"`
	Email                   string     `json:"email"`
	Federated               bool       `json:"federated"`
	ID                      string     `json:"id"`
	IdentityProvider        *reference `json:"identity_provider"`
	LastLogin               *timestamp `json:"last_login"`
	Name                    *string    `json:"name"`
	SMSNumber               *string    `json:"sms_number"`
	SuspendedAt             *timestamp `json:"suspended_at"`
	TwoFactorAuthentication bool       `json:"two_factor_authentication"`
	UpdatedAt               timestamp  `json:"updated_at"`
	Verified                bool       `json:"verified"`
}

type appResource struct {
	ACM                          bool          `json:"acm"`
	ArchivedAt                   *timestamp    `json:"archived_at"`
	BuildStack                   reference     `json:"build_stack"`
	BuildpackProvidedDescription *string       `json:"buildpack_provided_description"`
	CreatedAt                    timestamp     `json:"created_at"`
	GitURL                       string        `json:"git_url"`
	ID                           string        `json:"id"`
	InternalRouting              *bool         `json:"internal_routing"`
	Maintenance                  bool          `json:"maintenance"`
	Name                         string        `json:"name"`
	Organization                 *reference    `json:"organization"`
	Owner                        ownerResource `json:"owner"`
	Region                       reference     `json:"region"`
	ReleasedAt                   *timestamp    `json:"released_at"`
	RepoSize                     *int          `json:"repo_size"`
	SlugSize                     *int          `json:"slug_size"`
	Space                        *reference    `json:"space"`
	Stack                        reference     `json:"stack"`
	Team                         *reference    `json:"team"`
	UpdatedAt                    timestamp     `json:"updated_at"`
	WebURL                       string        `json:"web_url"`
}

type formationResource struct {
	App       reference `json:"app"`
	Command   string    `json:"command"`
	CreatedAt timestamp `json:"created_at"`
	DynoSize  reference `json:"dyno_size"`
	ID        string    `json:"id"`
	Quantity  int       `json:"quantity"`
	Size      string    `json:"size"`
	Type      string    `json:"type"`
	UpdatedAt timestamp `json:"updated_at"`
}

type dynoResource struct {
	App       reference        `json:"app"`
	AttachURL *string          `json:"attach_url"`
	Command   string           `json:"command"`
	CreatedAt timestamp        `json:"created_at"`
	DynoSize  reference        `json:"dyno_size"`
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Release   releaseReference `json:"release"`
	Size      string           `json:"size"`
	State     string           `json:"state"`
	Type      string           `json:"type"`
	UpdatedAt timestamp        `json:"updated_at"`
}

// dynoStateResource is what the entity dyno tells in notifications. It has no times.
type dynoStateResource struct {
	App        reference        `json:"app"`
	Command    string           `json:"command"`
	ExitStatus *int             `json:"exit_status"`
	ID         string           `json:"id"`
	Management *string          `json:"management"` // how it was started; null for a formation's [?]
	Name       string           `json:"name"`
	Release    releaseReference `json:"release"`
	Size       string           `json:"size"`
	State      string           `json:"state"`
	Type       string           `json:"type"`
}

type webhookResource struct {
	App       reference `json:"app"`
	CreatedAt timestamp `json:"created_at"`
	ID        string    `json:"id"`
	Include   []string  `json:"include"`
	Level     string    `json:"level"`
	UpdatedAt timestamp `json:"updated_at"`
	URL       string    `json:"url"`
}

type dynoSizeResource struct {
	Compute          int           `json:"compute"`
	Cost             *costResource `json:"cost"`
	Dedicated        bool          `json:"dedicated"`
	DynoUnits        int           `json:"dyno_units"`
	ID               string        `json:"id"`
	Memory           float64       `json:"memory"`
	Name             string        `json:"name"`
	PrivateSpaceOnly bool          `json:"private_space_only"`
}

type costResource struct {
	Cents int    `json:"cents"`
	Unit  string `json:"unit"`
}
