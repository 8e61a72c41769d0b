package jobclients

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Asynq is the program in asynq/main.go.
type Asynq struct{ program string }

// NewAsynq builds the program for a test.
func NewAsynq(t testing.TB) Asynq {
	t.Helper()
	program := filepath.Join(t.TempDir(), "asynq")
	_, err := run("go", "build", "-C", "test/jobclients/asynq", "-o", program, ".")
	must(t, err)
	return Asynq{program}
}

// Console starts a console for a queue.
func (a Asynq) Console(t testing.TB, url, queue string) *Console {
	t.Helper()
	return startConsole(t, exec.Command(a.program, "console", url, queue))
}

// Worker starts a worker of a queue.
func (a Asynq) Worker(t testing.TB, url, queue string) *Worker {
	t.Helper()
	return startWorker(t, exec.Command(a.program, "worker", url, queue))
}
