package queue

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// heartbeatTTL is the expiry that every Sidekiq sets on its process hash at each heartbeat: what is
// gone of it is the heartbeat's age, by Redis's clock alone.
const heartbeatTTL = 60 * time.Second

// processLook is one member of the processes set. The set is where to start from: after a clean
// stop the hash outlives its member, and after a SIGKILL the member outlives the hash.
type processLook struct {
	Process
	exists bool
	queues []string // nil if they cannot be told
	serves bool     // one of the owner's queues

	details *redis.SliceCmd
	ttl     *redis.IntCmd
	work    []*redis.StringSliceCmd
}

func askProcess(b *batch, key, identity string) *processLook {
	return &processLook{
		Process: Process{Identity: identity},
		details: b.fields(key, "info", "busy", "quiet"),
		ttl:     b.ttl(key),
	}
}

// read takes in the hash. One that has expired tells nothing: see attendance.
func (p *processLook) read() error {
	if err := firstFailure(p.details, p.ttl); err != nil {
		return err
	}
	const missing, noExpiry = -2, -1
	switch ttl := p.ttl.Val(); ttl {
	case missing:
		return nil
	case noExpiry:
		p.HeardAgo = -1
	default:
		p.HeardAgo = heartbeatTTL - time.Duration(ttl)*time.Millisecond // negative if it expires otherwise
	}
	p.exists = true
	values := p.details.Val()
	info, _ := values[0].(string)
	p.queues, p.Tag, p.Embedded = readInfo(info)
	p.Quiet = values[2] == "true"
	busy, _ := values[1].(string)
	count, err := strconv.ParseInt(busy, 10, 64)
	if err != nil || count < 0 {
		p.queues = nil // a hash without a sound busy is not to be trusted
	}
	p.Busy = min(max(0, count), math.MaxInt32) // so that sums cannot overflow
	return nil
}

func (p *processLook) askWork(b *batch, key string) {
	if p.Busy > 0 || p.queues == nil {
		p.work = append(p.work, b.values(key+":work"), b.values(key+":workers"))
	}
}

// inFlight counts the running jobs whose queue counts. One whose queue cannot be told counts if the
// process serves the owner, and so does one that busy knows of and the work hash does not.
func (p *processLook) inFlight(serves bool, counts func(queue string) bool) (int64, error) {
	var total, seen int64
	for _, command := range p.work {
		if err := failure(command); err != nil {
			return 0, err
		}
		for _, value := range command.Val() {
			seen++
			queue, ok := queueOfWork(value)
			if (ok && counts(queue)) || (!ok && serves) {
				total++
			}
		}
	}
	if serves {
		total += max(0, p.Busy-seen)
	}
	return total, nil
}

// readInfo reads a process's queues, its tag and whether it is embedded from its info: capsules since
// 8.0.9, queues before 9.0. The queues are nil if none are named.
func readInfo(info string) (queues []string, tag string, embedded bool) {
	var parsed struct {
		Tag      string   `json:"tag"`
		Embedded bool     `json:"embedded"`
		Queues   []string `json:"queues"`
		Capsules map[string]struct {
			Weights map[string]json.Number `json:"weights"`
		} `json:"capsules"`
	}
	if json.Unmarshal([]byte(info), &parsed) != nil {
		return nil, "", false
	}
	queues = append(queues, parsed.Queues...)
	for _, capsule := range parsed.Capsules {
		for queue := range capsule.Weights {
			queues = append(queues, queue)
		}
	}
	return queues, parsed.Tag, parsed.Embedded
}

// queueOfWork reads the queue from an entry of a work hash.
func queueOfWork(value string) (string, bool) {
	var work struct {
		Queue string `json:"queue"`
	}
	if json.Unmarshal([]byte(value), &work) != nil || work.Queue == "" {
		return "", false
	}
	return strings.TrimPrefix(work.Queue, "queue:"), true
}

// queueOf reads the queue from a job's payload.
func queueOf(payload string) (string, bool) {
	var job struct {
		Queue string `json:"queue"`
	}
	if json.Unmarshal([]byte(payload), &job) != nil || job.Queue == "" {
		return "", false
	}
	return job.Queue, true
}

// enqueuedAt reads when a job was put into its queue: seconds up to Sidekiq 7, milliseconds since 8.
func enqueuedAt(payload string) (time.Time, bool) {
	var job struct {
		EnqueuedAt float64 `json:"enqueued_at"`
		CreatedAt  float64 `json:"created_at"`
	}
	if json.Unmarshal([]byte(payload), &job) != nil {
		return time.Time{}, false
	}
	stamp := job.EnqueuedAt
	if stamp <= 0 {
		stamp = job.CreatedAt
	}
	return timeOf(stamp), stamp > 0
}

// farthest is the greatest number of seconds since 1970 that is taken for a time: the year 5138.
const farthest = 1e11

// timeOf makes a time of seconds since 1970, or of milliseconds where the number is too large for
// them.
func timeOf(stamp float64) time.Time {
	if stamp > farthest {
		stamp = min(stamp/1000, farthest)
	}
	return time.UnixMicro(int64(stamp * 1e6))
}
