package jobclients

import (
	"path/filepath"
	"sync"
	"testing"
)

// BullMQ5 is BullMQ before it left paused jobs where they wait. Its programs, and those of the other job
// systems of Node, are node/console.js and node/worker.js.
func BullMQ5(t testing.TB) System { return node(t, "bullmq5") }

// BullMQ6 is BullMQ.
func BullMQ6(t testing.TB) System { return node(t, "bullmq6") }

// Bull is BullMQ's predecessor.
func Bull(t testing.TB) System { return node(t, "bull") }

var libraries = sync.OnceValues(func() (string, error) { return run("hack/jobclients.sh") })

func node(t testing.TB, library string) System {
	t.Helper()
	directory, err := libraries()
	must(t, err)
	script := func(name string) []string {
		return []string{filepath.Join(directory, "bin", "node"), program(t, "node/"+name), directory, library}
	}
	return System{console: script("console.js"), worker: script("worker.js")}
}
