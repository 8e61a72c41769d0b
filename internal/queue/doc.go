// Package queue knows what job queues in Redis look like, and watches them.
//
// One Hub per Redis server reads the queues of all its owners in one deduplicated pipeline, keeps a
// Snapshot per owner, and tells an owner only of changes that matter. One file per job system says
// which keys it has and what they mean.
//
// The invariant: unknown is never empty. What cannot be read is an error, what cannot be understood
// makes an Observation doubtful, and a gap in observation restarts the idle clock. Everything here
// only reads.
package queue
