package main

import (
	"flag"
	"strings"
	"testing"
)

func TestElectionFlags(t *testing.T) {
	for args, says := range map[string]string{
		"": "",
		"--leader-election-lease-duration=15s --leader-election-renew-deadline=10s":   "",
		"--leader-election-lease-duration=54s":                                        "--leader-election-lease-duration=54s must be at least 5s longer",
		"--leader-election-renew-deadline=2s":                                         "--leader-election-renew-deadline=2s must be longer",
		"--leader-election-retry-period=0s":                                           "--leader-election-retry-period=0s must be at least",
		"--leader-election-renew-deadline=3s --leader-election-lease-duration=7999ms": "at least 5s longer",
	} {
		var e election
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		e.bind(flags)
		if err := flags.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		err := e.validate()
		if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v, want %q", args, err, says)
		}
	}
}
