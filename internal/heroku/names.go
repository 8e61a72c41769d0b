package heroku

import (
	"fmt"
	"regexp"
)

var (
	appName     = regexp.MustCompile(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`)
	uuid        = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	processName = regexp.MustCompile(`^[-\w]{1,128}$`)
	headerValue = regexp.MustCompile(`^[\x21-\x7e]+$`)
)

// formationPath returns the path of an app's formation.
func formationPath(app string) string { return "/apps/" + app + "/formation" }

// validateApp refuses what must not become part of a path. heroku-go puts its
// paths together with %v, so that an app "../../account" would leave the
// server as it is.
func validateApp(app string) error {
	if !appName.MatchString(app) && !uuid.MatchString(app) {
		return invalid(fmt.Sprintf("%q is neither the name nor the UUID of an app", app))
	}
	return nil
}

// validate refuses an app or a process type that must not become part of a
// path. The process type release is run by Heroku at each release and cannot be
// scaled.
func validate(app, processType string) error {
	if err := validateApp(app); err != nil {
		return err
	}
	if !processName.MatchString(processType) || processType == "release" {
		return invalid(fmt.Sprintf("%q is not a process type that can be scaled", processType))
	}
	return nil
}

// validateToken refuses a token that no header can carry. net/http would refuse
// most of these as well, but as an error that looks like a broken network.
func validateToken(token string) error {
	if !headerValue.MatchString(token) {
		return &Error{Kind: Unauthorized, Message: "the API key is empty or has characters that no API key has"}
	}
	return nil
}
