package main

import (
	"math"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var hundred distribution
	for i := 100; i > 0; i-- {
		hundred = append(hundred, time.Duration(i))
	}
	for _, test := range []struct {
		name string
		of   distribution
		p    float64
		want time.Duration
	}{
		{"none", nil, 50, 0},
		{"one", distribution{7}, 1, 7},
		{"the least", hundred, 0, 1},
		{"half", hundred, 50, 50},
		{"between two", distribution{1, 2, 3, 4}, 60, 3},
		{"nearly all", hundred, 99, 99},
		{"all", hundred, 100, 100},
	} {
		if got := test.of.percentile(test.p); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("it was sorted in place")
	}
}

func TestRatio(t *testing.T) {
	if got := ratio(3*time.Second, 2*time.Second); got != 1.5 {
		t.Errorf("got %g, want 1.5", got)
	}
	if got := ratio(time.Second, 0); !math.IsNaN(got) {
		t.Errorf("got %g, want not a number", got)
	}
	if got := perSecond(30, time.Minute); got != 0.5 {
		t.Errorf("got %g, want 0.5", got)
	}
}
