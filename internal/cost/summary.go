package cost

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Summary says in one line what was saved, such as
//
//	saved 61.3 dyno-hours of 72.0 since 2026-11-01 (2.13 USD at Standard-1X)
//
// of the dyno-hours that would have run all the time. It is empty while there is nothing to tell.
func (t Totals) Summary() string {
	alwaysOn, unknown, since := t.UsedSeconds+t.SavedSeconds, hours(t.UnknownSeconds), t.Since.UTC().Format("2006-01-02")
	switch {
	case alwaysOn == 0 && t.UnknownSeconds == 0:
		return ""
	case alwaysOn == 0:
		return fmt.Sprintf("the quantity was unknown for %s hours since %s", unknown, since)
	}
	text := fmt.Sprintf("saved %s dyno-hours of %s since %s (%s)", hours(t.SavedSeconds), hours(alwaysOn), since, t.dollars())
	if unknown != "0.0" {
		text += fmt.Sprintf(", and %s hours unknown", unknown)
	}
	return text
}

func (t Totals) dollars() string {
	priced := fmt.Sprintf("%s USD at %s", decimal(t.SavedDollars, 2), t.Size)
	switch {
	case strings.EqualFold(t.Size, eco):
		return "no dollars, for Eco has a flat price"
	case t.UnpricedSeconds == 0:
		return priced
	case t.UsedDollars == 0 && t.SavedDollars == 0:
		return "the price of " + cmp.Or(t.Size, "the dynos") + " is not known"
	default:
		return priced + ", without " + hours(t.UnpricedSeconds) + " dyno-hours of unknown price"
	}
}

func hours(seconds float64) string { return decimal(seconds/3600, 1) }

// decimal shows no sign where nothing is left but zeros.
func decimal(x float64, digits int) string {
	text := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Trim(text, "-0.") == "" {
		return strings.TrimPrefix(text, "-")
	}
	return text
}
