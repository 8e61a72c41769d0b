package heroku

import (
	"net/http"
	"testing"
	"time"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0},
		{"soon", 0},
		{"-5", 0},
		{"0", 0},
		{"30", 30 * time.Second},
		{"999999999", time.Hour},
		{"1700000030", 30 * time.Second},
		{"1600000000", 0},
		{"9999999999", time.Hour},
		{"92233720368547758070", 0},
		{now.Add(30 * time.Second).UTC().Format(http.TimeFormat), 30 * time.Second},
		{now.Add(-time.Second).UTC().Format(http.TimeFormat), 0},
	}
	for _, test := range tests {
		if got := parseRetryAfter(test.value, now); got != test.want {
			t.Errorf("parseRetryAfter(%q) = %v, want %v", test.value, got, test.want)
		}
	}
}
