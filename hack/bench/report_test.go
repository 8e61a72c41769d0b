package main

import (
	"math"
	"testing"
)

func TestMarkdown(t *testing.T) {
	got := markdown([][]string{
		{"", "Measured", "Aim"},
		{"p50", "0.31 ms", "at most 2 µs"},
		{"The last of them", "12 s"},
	})
	want := `|                  | Measured |          Aim |
| ---------------- | -------: | -----------: |
| p50              |  0.31 ms | at most 2 µs |
| The last of them |     12 s |              |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestFigure(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.001: "0.00", 0.356: "0.36", 9.87: "9.87", 12.34: "12.3", 123.4: "123", 20000: "20000", -12.34: "-12.3", math.NaN(): "–",
	} {
		if got := figure(value); got != want {
			t.Errorf("%g: got %q, want %q", value, got, want)
		}
	}
}

func TestAim(t *testing.T) {
	if met, missed := aim("at most 2", true), aim("at most 2", false); met != "at most 2: met" || missed != "at most 2: **missed**" {
		t.Errorf("got %q and %q", met, missed)
	}
}

func TestFieldWith(t *testing.T) {
	if got := fieldWith("Redis server v=7.0.15 sha=00000000:0", "v="); got != "7.0.15" {
		t.Errorf("got %q", got)
	}
	if got := fieldWith("", "v="); got != "unknown" {
		t.Errorf("got %q", got)
	}
}
