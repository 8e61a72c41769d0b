package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/cost"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/schedule"
)

// memory is what the operator keeps of an object between two reconciles. It belongs to whoever
// reconciles the object; the workqueue never lets two do that at once.
type memory struct {
	uid types.UID
	// finalized is the version of the object that the finalizer was added to.
	finalized string
	// status is what was last written, until the cache has the version of the object that this made.
	status  *v1.QueueScalerStatus
	version string
	// writtenAt is when the status was last written.
	writtenAt time.Time
	// unwritten is what has not been written yet; nil if all was.
	unwritten *v1.QueueScalerStatus

	// turnAt is when to ask again for a turn; zero if none is waited for.
	turnAt time.Time

	// since is when the operator first reconciled the object.
	since  time.Time
	hub    *queue.Hub
	client *heroku.Client
	// app and processType are the spec's names that target was resolved from.
	app, processType string
	target           *v1.Target

	// configVar is where the Redis URL comes from, if not from a Secret.
	configVar configVar

	// claimed is the target for which no rival was found.
	claimed targetKey

	// quantity is what Heroku last answered; nil if it never did. It is uncertain after a PATCH whose
	// answer was lost.
	quantity  *int
	uncertain bool
	readAt    time.Time
	// nextDrift is when to read the formation again although nothing asks for it.
	nextDrift time.Time
	drift     drift
	// confirmed says that Heroku's answer, or the workers' own heartbeats, vouched for the quantity
	// since the queue became active.
	confirmed bool
	// vouchedUntil is until when Heroku's answer to a PATCH does for another active spell.
	vouchedUntil time.Time
	// size is that of each dyno, as Heroku last answered, and ledger adds up what they cost.
	size   string
	ledger *cost.Ledger
	// limit is the most that Heroku allowed; 0 if it refused nothing. It is tried again at limitUntil.
	limit      int
	limitUntil time.Time

	// generation is the one that the limit and the retries belong to.
	generation int64
	retries    retries

	// unservedSince is when work was first seen waiting without a fresh heartbeat.
	unservedSince time.Time
	crashed       bool

	// suspended says whether the last reconcile found the object suspended; idleFloor is when it
	// last ceased to be.
	suspended bool
	idleFloor time.Time

	// problem is the reason for which the object is not ready, and problemSince since when.
	problem      string
	problemSince time.Time

	// windows are those of the spec's schedules, and windowsProblem what is wrong with them; both nil
	// before they were looked at.
	windows        []schedule.Window
	windowsProblem *problem

	// rescue is what came of starting workers for orphans.
	rescue rescue

	// startedAt is when dynos were last started from zero, until their first process is heard, and
	// heardBefore are the processes heard until then.
	startedAt   time.Time
	heardBefore map[string]bool
	// workerStart is how long that took the last time; 0 if it was not seen yet.
	workerStart time.Duration

	// quieted is when each process was last told to take no more jobs, in the drain that is going on.
	quieted map[string]time.Time
	// drainProblem is why a drain may not begin.
	drainProblem *problem
	// signalRefusal is why Redis refused to tell workers; it is asked again at signalAgainAt.
	signalRefusal string
	signalAgainAt time.Time

	// releasingSince is when the release of the old target, or of the only one, began.
	releasingSince time.Time
}

// know takes in what Heroku answered.
func (m *memory) know(formation heroku.Formation, now time.Time) {
	m.quantity, m.size, m.uncertain, m.readAt = &formation.Quantity, formation.Size, false, now
	m.confirmed = true
}

// leave forgets the target and what was known of it.
func (m *memory) leave() { m.target, m.quantity, m.vouchedUntil = nil, nil, time.Time{} }

// doubt says that the quantity may have changed: nothing is stopped until it is read again.
func (m *memory) doubt() { m.uncertain, m.confirmed = true, false }

// memories holds the memory of every object.
type memories struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]*memory
}

func newMemories() *memories { return &memories{byName: map[types.NamespacedName]*memory{}} }

// get returns an object's memory. A new object of an old name begins with an empty one.
func (m *memories) get(name types.NamespacedName, object *v1.QueueScaler) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.byName[name]
	if !ok || known.uid != object.UID {
		kept := known
		known = &memory{uid: object.UID}
		if kept != nil {
			known.hub = kept.hub
		}
		m.byName[name] = known
	}
	if known.generation != object.Generation {
		known.generation, known.limit, known.retries = object.Generation, 0, retries{}
		known.rescue, known.signalAgainAt = rescue{}, time.Time{}
		known.windows, known.windowsProblem, known.drainProblem = nil, nil, nil
	}
	return known
}

func (m *memories) drop(name types.NamespacedName) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.byName[name]
	delete(m.byName, name)
	return known
}
