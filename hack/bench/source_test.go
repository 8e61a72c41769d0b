package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseTotals(t *testing.T) {
	const text = `# TYPE queuescaler_redis_commands_total counter
queuescaler_redis_commands_total 12
# TYPE rest_client_requests_total counter
rest_client_requests_total{code="200",method="GET"} 3
rest_client_requests_total{code="200",method="PATCH"} 4
# TYPE go_memstats_heap_inuse_bytes gauge
go_memstats_heap_inuse_bytes 5e+06
`
	totals, err := parseTotals(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"queuescaler_redis_commands_total": 12, "rest_client_requests_total": 7, "go_memstats_heap_inuse_bytes": 5e6, "none": 0,
	} {
		if totals[name] != want {
			t.Errorf("%s: got %g, want %g", name, totals[name], want)
		}
	}
	if _, err := parseTotals(strings.NewReader("<html>")); err == nil {
		t.Error("a page that holds no metrics is accepted")
	}
}

func TestRate(t *testing.T) {
	before := &metrics{at: time.Unix(100, 0), totals: map[string]float64{"n": 10}}
	after := &metrics{at: time.Unix(110, 0), totals: map[string]float64{"n": 30}}
	if got := after.rate(before, "n"); got != 2 {
		t.Errorf("got %g a second, want 2", got)
	}
}

func TestCountCalls(t *testing.T) {
	got, err := countCalls("# Commandstats\r\ncmdstat_llen:calls=30,usec=5,usec_per_call=0.17\r\ncmdstat_info:calls=7,usec=1\r\n" +
		"cmdstat_client|list:calls=2,usec=1\r\ncmdstat_client|tracking:calls=1,usec=1\r\n")
	if err != nil || got != 31 {
		t.Errorf("got %d, %v, want 31", got, err)
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("42 (odd) name)) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 1 1 1")
	if err != nil {
		t.Fatal(err)
	}
	if want := (processStat{parent: 7, name: "odd) name)", cpu: 2 * time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, text := range []string{"", "42 (cut", "42 (cut) S 7", "42 (odd) S x 42 42 0 -1 1 1 1 1 1 1 1 1"} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
