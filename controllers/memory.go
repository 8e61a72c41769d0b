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
	"github.com/queuescaler/queuescaler/internal/secret"
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
	// writing spaces out writes that fail.
	writing writing
	// writtenAt is when the status was last written.
	writtenAt time.Time
	// unwritten is what has not been written yet; nil if all was.
	unwritten *v1.QueueScalerStatus

	// turnAt is when to ask again for a turn; zero if none is waited for.
	turnAt time.Time

	// since is when the operator first reconciled the object.
	since time.Time
	hub   *queue.Hub
	// client is that of the token, and adopter the one that last knew of the target. After a change of the
	// token, former is the adopter for as long as there may be a target to leave.
	client, adopter, former *heroku.Client
	token                   secret.Text

	// formation is what is known of the target; all of it goes when the target is left.
	formation

	// configVar is where the Redis URL comes from, if not from a Secret.
	configVar configVar

	// ledger adds up what the dynos of all targets cost.
	ledger *cost.Ledger

	// generation is the one that the limit and the retries belong to.
	generation int64
	retries    retries

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

	// releasingSince is when the release of the old target, or of the only one, began.
	releasingSince time.Time
	// releaseTries are the tries of it that failed.
	releaseTries int
}

// leave forgets the target and what was known of it.
func (m *memory) leave() { m.formation = formation{app: m.app, processType: m.processType} }

// aim leaves the target if the spec names another one.
func (m *memory) aim(app, processType string) {
	if m.app != app || m.processType != processType {
		m.app, m.processType = app, processType
		m.leave()
	}
}

// gone leaves a target that Heroku does not know. Whoever was looked for by UUID is looked for by name,
// which may be another app's now, and the other way round.
func (m *memory) gone() {
	byName := m.byName
	m.leave()
	m.byName = !byName
}

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
		known.writing = writing{}
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
