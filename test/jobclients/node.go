package jobclients

import (
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Library is a job system of Node.
type Library string

// Libraries.
const (
	BullMQ5 Library = "bullmq5"
	BullMQ6 Library = "bullmq6"
	Bull    Library = "bull"
)

var libraries = sync.OnceValues(func() (string, error) { return run("hack/jobclients.sh") })

// Console starts a console for a queue: see node/console.js.
func (l Library) Console(t testing.TB, url, queue string) *Console {
	t.Helper()
	return startConsole(t, l.command(t, "console.js", url, queue))
}

// Worker starts a worker of a queue: see node/worker.js.
func (l Library) Worker(t testing.TB, url, queue string) *Worker {
	t.Helper()
	return startWorker(t, l.command(t, "worker.js", url, queue))
}

func (l Library) command(t testing.TB, script, url, queue string) *exec.Cmd {
	t.Helper()
	directory, err := libraries()
	must(t, err)
	repository, err := root()
	must(t, err)
	return exec.Command("node", filepath.Join(repository, "test/jobclients/node", script), directory, string(l), url, queue)
}
