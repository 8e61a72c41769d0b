package cost

import (
	"testing"
	"time"
)

func TestSummary(t *testing.T) {
	const hour = 3600.0
	since := time.Date(2026, 11, 1, 23, 0, 0, 0, time.FixedZone("", -2*3600))
	tests := map[string]struct {
		size    string
		amounts Amounts
		want    string
	}{
		"nothing yet": {want: ""},
		"saved": {"Standard-1X", Amounts{UsedSeconds: 10.7 * hour, SavedSeconds: 61.3 * hour, UsedDollars: 0.37, SavedDollars: 2.128},
			"saved 61.3 dyno-hours of 72.0 since 2026-11-02 (2.13 USD at Standard-1X)"},
		"a surplus": {"Standard-1X", Amounts{UsedSeconds: 5 * hour, SavedSeconds: -3 * hour, UsedDollars: 0.17, SavedDollars: -0.10},
			"saved -3.0 dyno-hours of 2.0 since 2026-11-02 (-0.10 USD at Standard-1X)"},
		"a surplus of seconds": {"Standard-1X", Amounts{UsedSeconds: hour, SavedSeconds: -5, UsedDollars: 0.17, SavedDollars: -0.0001},
			"saved 0.0 dyno-hours of 1.0 since 2026-11-02 (0.00 USD at Standard-1X)"},
		"several sizes": {SeveralSizes, Amounts{UsedSeconds: hour, SavedSeconds: hour, UsedDollars: 0.17, SavedDollars: 10},
			"saved 1.0 dyno-hours of 2.0 since 2026-11-02 (10.00 USD at several sizes)"},
		"Eco": {"eco", Amounts{UsedSeconds: hour, SavedSeconds: 3 * hour},
			"saved 3.0 dyno-hours of 4.0 since 2026-11-02 (no dollars, for Eco has a flat price)"},
		"unknown price": {"huge", Amounts{UsedSeconds: hour, SavedSeconds: 3 * hour, UnpricedSeconds: 4 * hour},
			"saved 3.0 dyno-hours of 4.0 since 2026-11-02 (the price of huge is not known)"},
		"no size": {"", Amounts{UsedSeconds: hour, SavedSeconds: 3 * hour, UnpricedSeconds: 4 * hour},
			"saved 3.0 dyno-hours of 4.0 since 2026-11-02 (the price of the dynos is not known)"},
		"partly unknown price": {SeveralSizes, Amounts{UsedSeconds: hour, SavedSeconds: 3 * hour, SavedDollars: 1, UnpricedSeconds: 2 * hour},
			"saved 3.0 dyno-hours of 4.0 since 2026-11-02 (1.00 USD at several sizes, without 2.0 dyno-hours of unknown price)"},
		"unknown hours": {"Basic", Amounts{SavedSeconds: hour, SavedDollars: 0.01, UnknownSeconds: 1.5 * hour},
			"saved 1.0 dyno-hours of 1.0 since 2026-11-02 (0.01 USD at Basic), and 1.5 hours unknown"},
		"nothing but unknown": {"", Amounts{UnknownSeconds: 1.5 * hour},
			"the quantity was unknown for 1.5 hours since 2026-11-02"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Totals{Since: since, Amounts: test.amounts, Size: test.size}.Summary()
			if got != test.want {
				t.Errorf("%q\nwant %q", got, test.want)
			}
		})
	}
}
