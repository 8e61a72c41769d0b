package jobclients

import (
	"path/filepath"
	"testing"
)

// Asynq builds asynq/main.go, which has both programs.
func Asynq(t testing.TB) System {
	t.Helper()
	program := filepath.Join(t.TempDir(), "asynq")
	_, err := run("go", "build", "-C", "test/jobclients/asynq", "-o", program, ".")
	must(t, err)
	return System{console: []string{program, "console"}, worker: []string{program, "worker"}}
}
