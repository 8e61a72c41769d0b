package main

import (
	"fmt"
	"strings"
	"time"
)

// changes tells of pictures in plain lines, for files and pipes: one for each that differs from the one
// before.
type changes struct {
	last string
	told int // entries
}

const changesFormat = "%-9s %5s  %9s  %7s  %8s   %s"

func (c *changes) take(p picture, entries []entry) []string {
	var lines []string
	if c.last == "" {
		lines = append(lines, "", fmt.Sprintf(changesFormat, "TIME", "DEPTH", "IN FLIGHT", "DESIRED", "QUANTITY", "DYNOS"))
		c.last = row("", picture{}) // nothing known is nothing to tell
	}
	for _, e := range entries[c.told:] {
		lines = append(lines, e.at.Local().Format(time.TimeOnly)+"    "+fit(e.change, 9)+e.text)
	}
	c.told = len(entries)
	if now := row("", p); now != c.last {
		c.last = now
		lines = append(lines, row(p.at.Local().Format(time.TimeOnly), p))
	}
	return lines
}

func row(at string, p picture) string {
	var dynos []string
	for _, dyno := range p.dynos {
		dynos = append(dynos, dyno.Name+" "+dyno.State)
	}
	return fmt.Sprintf(changesFormat, at, number(p.counts.depth), number(p.counts.inFlight),
		number(p.status.DesiredQuantity), number(p.status.Quantity), orDash(strings.Join(dynos, ", ")))
}
