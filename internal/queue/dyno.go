package queue

import (
	"regexp"
	"strings"
)

// fir is what follows the process type in the name of a dyno of Heroku's Fir generation, as in
// worker-23z34x56y-w78k9.
var fir = regexp.MustCompile(`^-[0-9a-z]{6,12}-[0-9a-z]{5}$`)

// cedar is the same for the Cedar generation, as in worker.1.
var cedar = regexp.MustCompile(`^\.[1-9][0-9]*$`)

// dynoOf returns the name of the dyno in a process identity, <DYNO>:pid:nonce, if it is one of the
// process type; else nothing.
func dynoOf(identity, processType string) string {
	dyno, _, _ := strings.Cut(identity, ":")
	rest, ok := strings.CutPrefix(dyno, processType)
	if ok && processType != "" && (cedar.MatchString(rest) || fir.MatchString(rest)) {
		return dyno
	}
	return ""
}
