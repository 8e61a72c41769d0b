package queue

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// recording is a keyspace of a real job system at a known stage.
type recording struct {
	Version string
	Stage   string
	Time    float64 `json:"redis_time"`
	Keys    map[string]struct {
		Type  string
		PTTL  int64
		Value json.RawMessage
	}
}

// recordings reads those of a job system.
func recordings(t *testing.T, system string) []recording {
	t.Helper()
	files, err := filepath.Glob("testdata/" + system + "/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %v, %v", files, err)
	}
	var all []recording
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r recording
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		_ = file.Close()
	}
	return all
}

// restore writes a recording into an emptied Redis as if it had been made now, and returns that time.
func (r recording) restore(t *testing.T, client *redis.Client, prefix string) time.Time {
	t.Helper()
	do(t, client, cmd("flushall"))
	start := now(t, client)
	shift := float64(start.UnixMicro())/1e6 - r.Time
	pipe := client.Pipeline()
	ctx := context.Background()
	for name, key := range r.Keys {
		name := prefix + name
		value := shiftTimes(string(key.Value), shift)
		decode := func(into any) {
			if err := json.Unmarshal([]byte(value), into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		switch key.Type {
		case "string":
			var text string
			decode(&text)
			pipe.Set(ctx, name, text, 0)
		case "set":
			var members []any
			decode(&members)
			pipe.SAdd(ctx, name, members...)
		case "list":
			var entries []any
			decode(&entries)
			pipe.RPush(ctx, name, entries...)
		case "hash":
			var fields map[string]string
			decode(&fields)
			pipe.HSet(ctx, name, fields)
		case "zset":
			var members [][2]any
			decode(&members)
			for _, member := range members {
				pipe.ZAdd(ctx, name, redis.Z{Member: member[0], Score: member[1].(float64) + shift})
			}
		default:
			t.Fatalf("%s has type %s", name, key.Type)
		}
		if key.PTTL > 0 {
			pipe.PExpire(ctx, name, time.Duration(key.PTTL)*time.Millisecond)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	return start
}

// timeField is a field of a payload or info with a time, its quotes escaped as often as may be.
var timeField = regexp.MustCompile(`((?:created_at|enqueued_at|failed_at|run_at|started_at)\\*":)([0-9.]+)`)

// isoTime is a time in a value, as Python and Ruby write it.
var isoTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)`)

// shiftTimes moves the times in a JSON text by seconds, each in its own unit.
func shiftTimes(text string, seconds float64) string {
	text = isoTime.ReplaceAllStringFunc(text, func(match string) string {
		stamp, err := time.Parse(time.RFC3339Nano, match)
		if err != nil {
			panic(err)
		}
		return stamp.Add(time.Duration(seconds * 1e9)).Format("2006-01-02T15:04:05.000000Z07:00")
	})
	return timeField.ReplaceAllStringFunc(text, func(match string) string {
		parts := timeField.FindStringSubmatch(match)
		stamp, err := strconv.ParseFloat(parts[2], 64)
		if err != nil {
			panic(err)
		}
		switch {
		case stamp > 1e11:
			return parts[1] + strconv.FormatInt(int64(math.Round(stamp+1000*seconds)), 10)
		case strings.Contains(parts[2], "."):
			return parts[1] + strconv.FormatFloat(stamp+seconds, 'f', 6, 64)
		}
		return parts[1] + strconv.FormatInt(int64(math.Round(stamp+seconds)), 10)
	})
}

// expectation is what a stage shows. Both queues are served by one process, of type worker.
type expectation struct {
	defaultDepth, mailersDepth int64
	// defaultInFlight: in the recordings only jobs of the queue default are ever seen to run.
	defaultInFlight int64
	processes       int
	busy            int64
	quiet           int
	processed       int64
	// In seconds from the recording on.
	defaultDue, mailersDue         float64
	defaultLatency, mailersLatency float64
}

// none is a due time of no job.
const none = math.MaxInt32

var expectations = map[string]map[string]expectation{
	"6.0.7": {
		"idle":       {0, 0, 0, 1, 0, 0, 0, none, none, 0, 0},
		"stopped":    {0, 0, 0, 0, 0, 0, 0, none, none, 0, 0},
		"queued":     {2, 1, 0, 0, 0, 0, 0, 299.468, none, 1.328, 0.195},
		"blind":      {1, 0, 0, 1, 0, 0, 0, 298.704, 34.675, 1.661, 0},
		"in_flight":  {1, 0, 1, 1, 1, 0, 1, 285.487, 21.458, 14.878, 0},
		"quiet":      {1, 0, 1, 1, 1, 1, 1, 263.283, -0.745, 37.082, 0},
		"terminated": {2, 0, 0, 0, 0, 0, 2, 260.309, -3.72, 40.488, 0},
		"retry":      {0, 1, 2, 1, 2, 0, 2, 244.166, none, 0, 1.468},
		"killed":     {0, 1, 2, 1, 2, 0, 2, 243.528, none, 0, 2.106},
		"killed_62s": {0, 1, 0, 0, 0, 0, 2, 181.321, none, 0, 64.313},
	},
	"6.4.1": {
		"idle":       {0, 0, 0, 1, 0, 0, 0, none, none, 0, 0},
		"stopped":    {0, 0, 0, 0, 0, 0, 0, none, none, 0, 0},
		"queued":     {2, 1, 0, 0, 0, 0, 0, 299.338, none, 1.548, 0.319},
		"blind":      {1, 0, 0, 1, 0, 0, 1, 298.638, 16.725, 1.777, 0},
		"in_flight":  {1, 0, 1, 1, 1, 0, 1, 285.495, 3.582, 14.921, 0},
		"quiet":      {1, 0, 1, 1, 1, 1, 1, 263.336, -18.577, 37.08, 0},
		"terminated": {2, 0, 0, 0, 0, 0, 2, 259.664, -22.249, 41.222, 0},
		"retry":      {0, 1, 2, 1, 2, 0, 2, 243.471, none, 0, 0.812},
		"killed":     {0, 1, 2, 1, 2, 0, 2, 242.828, none, 0, 1.455},
		"killed_62s": {0, 1, 0, 0, 0, 0, 2, 180.672, none, 0, 63.611},
	},
	"7.3.10": {
		"idle":       {0, 0, 0, 1, 0, 0, 0, none, none, 0, 0},
		"stopped":    {0, 0, 0, 0, 0, 0, 0, none, none, 0, 0},
		"queued":     {2, 1, 0, 0, 0, 0, 0, 299.471, none, 1.342, 0.203},
		"blind":      {1, 1, 1, 1, 1, 0, 0, 298.743, none, 1.61, 0.931},
		"in_flight":  {1, 1, 1, 1, 1, 0, 0, 285.604, none, 14.749, 14.07},
		"quiet":      {1, 1, 1, 1, 1, 1, 0, 263.42, none, 36.933, 36.254},
		"terminated": {2, 1, 0, 0, 0, 0, 1, 259.833, none, 40.98, 39.841},
		"retry":      {0, 0, 2, 1, 2, 0, 2, 243.613, 4.205, 0, 0},
		"killed":     {0, 0, 2, 1, 2, 0, 2, 242.998, 3.59, 0, 0},
		"killed_62s": {0, 0, 0, 0, 0, 0, 2, 180.859, -58.549, 0, 0},
	},
	"8.1.7": {
		"idle":       {0, 0, 0, 1, 0, 0, 0, none, none, 0, 0},
		"stopped":    {0, 0, 0, 0, 0, 0, 0, none, none, 0, 0},
		"queued":     {2, 1, 0, 0, 0, 0, 0, 299.442, none, 1.346, 0.217},
		"blind":      {1, 1, 0, 1, 0, 0, 0, 298.739, none, 1.587, 0.92},
		"in_flight":  {1, 1, 1, 1, 1, 0, 0, 285.564, none, 14.761, 14.094},
		"quiet":      {1, 1, 1, 1, 1, 1, 0, 263.327, none, 36.998, 36.331},
		"terminated": {2, 1, 0, 0, 0, 0, 1, 259.799, none, 40.989, 39.86},
		"retry":      {0, 0, 2, 1, 2, 0, 2, 243.633, 3.256, 0, 0},
		"killed":     {0, 0, 2, 1, 2, 0, 2, 242.992, 2.615, 0, 0},
		"killed_62s": {0, 0, 0, 0, 0, 0, 2, 180.85, -59.527, 0, 0},
	},
}

// view is one way to look at a stage.
type view struct {
	spec   Spec
	prefix string
	want   func(expectation) wanted
}

type wanted struct {
	depth, inFlight int64
	due, latency    float64
}

func both(e expectation) wanted {
	return wanted{
		e.defaultDepth + e.mailersDepth, e.defaultInFlight,
		min(e.defaultDue, e.mailersDue), max(e.defaultLatency, e.mailersLatency),
	}
}

// mailers sees the jobs of default only as jobs in flight on dynos of its own.
func mailers(ownDynos bool) func(expectation) wanted {
	return func(e expectation) wanted {
		w := wanted{e.mailersDepth, 0, e.mailersDue, e.mailersLatency}
		if ownDynos {
			w.inFlight = e.defaultInFlight
		}
		return w
	}
}

func justDefault(e expectation) wanted {
	return wanted{e.defaultDepth, e.defaultInFlight, e.defaultDue, e.defaultLatency}
}

var views = map[string]view{
	"both queues":           {Spec{Names: []string{"default", "mailers"}, ProcessType: "worker"}, "", both},
	"all queues":            {Spec{ProcessType: "worker"}, "", both},
	"with a key prefix":     {Spec{Names: []string{"default", "mailers"}, ProcessType: "worker", KeyPrefix: "shop:"}, "shop:", both},
	"all with a key prefix": {Spec{ProcessType: "worker", KeyPrefix: "shop:"}, "shop:", both},
	"only mailers":          {Spec{Names: []string{"mailers"}, ProcessType: "worker"}, "", mailers(true)},
	"mailers of others":     {Spec{Names: []string{"mailers"}, ProcessType: "work"}, "", mailers(false)},
	"default of others":     {Spec{Names: []string{"default"}, ProcessType: "web"}, "", justDefault},
}

func TestRecordedSidekiq(t *testing.T) {
	client := newRedis(t)
	all := recordings(t, "sidekiq")
	if len(all) != 40 {
		t.Fatalf("%d recordings", len(all))
	}
	for _, r := range all {
		e, ok := expectations[r.Version][r.Stage]
		if !ok {
			t.Fatalf("nothing is expected of %s %s", r.Version, r.Stage)
		}
		for name, v := range views {
			t.Run(fmt.Sprintf("%s/%s/%s", r.Version, r.Stage, name), func(t *testing.T) {
				restored := r.restore(t, client, v.prefix)
				spec := v.spec
				spec.System, spec.DueHorizon = Sidekiq, time.Hour
				got := observe(t, client, spec)
				checkRecorded(t, got, restored, e, v.want(e))
				if killed := r.Stage == "killed_62s" && spec.ProcessType == "worker"; killed != (len(got.Silent) == 1) {
					t.Errorf("silent: %v", got.Silent)
				}
			})
		}
	}
}

func checkRecorded(t *testing.T, got Observation, restored time.Time, e expectation, want wanted) {
	t.Helper()
	if got.Depth != want.depth || got.InFlight != want.inFlight {
		t.Errorf("depth, in flight: got %d, %d, want %d, %d", got.Depth, got.InFlight, want.depth, want.inFlight)
	}
	busy, quiet := int64(0), 0
	for _, process := range got.Processes {
		busy += process.Busy
		if process.Quiet {
			quiet++
		}
	}
	if len(got.Processes) != e.processes || got.Live() != e.processes || busy != e.busy || quiet != e.quiet {
		t.Errorf("processes %v, want %d, fresh, busy %d, quiet %d", got.Processes, e.processes, e.busy, e.quiet)
	}
	if got.AllQuiet() != (e.quiet > 0) {
		t.Errorf("all quiet: %v", got.AllQuiet())
	}
	if got.Processed != e.processed {
		t.Errorf("processed %d, want %d", got.Processed, e.processed)
	}
	if !got.Heartbeats || got.Doubt != "" || len(got.NotServed)+len(got.Paused) > 0 || !got.DueKnownUntil.IsZero() {
		t.Errorf("heartbeats %v, doubt %q, not served %v, paused %v, due known until %v",
			got.Heartbeats, got.Doubt, got.NotServed, got.Paused, got.DueKnownUntil)
	}
	begun, ended := got.Start.Sub(restored), got.End.Sub(restored)
	switch {
	case want.due == none && !got.NextDue.IsZero():
		t.Errorf("next due %v, want none", got.NextDue)
	case want.due != none:
		between(t, "next due", got.NextDue.Sub(restored), seconds(want.due)-(ended-begun), seconds(want.due))
	}
	if want.depth == 0 {
		between(t, "latency", got.Latency, 0, 0)
	} else {
		between(t, "latency", got.Latency, seconds(want.latency)+begun, seconds(want.latency)+ended)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
