package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metrics are what the operator exposes: the sums of counters and gauges over their labels.
type metrics struct {
	at     time.Time
	totals map[string]float64
}

func (w *world) scrape(ctx context.Context) (*metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.operator.MetricsURL, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New("the operator's metrics: " + response.Status)
	}
	at := time.Now()
	totals, err := parseTotals(response.Body)
	return &metrics{at, totals}, err
}

func parseTotals(text io.Reader) (map[string]float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, fmt.Errorf("the operator's metrics: %w", err)
	}
	totals := map[string]float64{}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			totals[name] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return totals, nil
}

// rate is how much a counter grew in a second, since an earlier look.
func (m *metrics) rate(since *metrics, name string) float64 {
	return perSecond(m.totals[name]-since.totals[name], m.at.Sub(since.at))
}

// calls is how many commands a Redis has carried out, but for those that this program asks with.
func (s *server) calls(ctx context.Context) (int64, error) {
	info, err := s.client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	return countCalls(info)
}

// countCalls adds up lines like cmdstat_llen:calls=3,usec=5,…
func countCalls(info string) (int64, error) {
	var total int64
	for line := range strings.SplitSeq(info, "\r\n") {
		command, numbers, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || command == "info" || command == "client|list" {
			continue
		}
		calls, _, _ := strings.Cut(numbers, ",")
		number, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("INFO commandstats: %w", err)
		}
		total += number
	}
	return total, nil
}

// operatorConnections is how many the operator has to a Redis.
func (s *server) operatorConnections(ctx context.Context) (int, error) {
	list, err := s.client.ClientList(ctx).Result()
	return strings.Count(list, " name=queuescaler "), err
}

// pid is the server's process.
func (s *server) pid(ctx context.Context) (int, error) {
	info, err := s.client.Info(ctx, "server").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		if value, ok := strings.CutPrefix(line, "process_id:"); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, errors.New("INFO server does not tell the process")
}

// callsOfAll adds up the calls of all servers.
func (w *world) callsOfAll(ctx context.Context) (int64, error) {
	var total int64
	for _, server := range w.servers {
		calls, err := server.calls(ctx)
		if err != nil {
			return 0, err
		}
		total += calls
	}
	return total, nil
}

// mostConnections is the largest number of connections that the operator has to a Redis.
func (w *world) mostConnections(ctx context.Context) (int, error) {
	most := 0
	for _, server := range w.servers {
		count, err := server.operatorConnections(ctx)
		if err != nil {
			return 0, err
		}
		most = max(most, count)
	}
	return most, nil
}
