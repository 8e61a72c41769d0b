package jobclients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// Python is a job system of Python. Its programs are in a directory of its name beside this file.
type Python string

// Job systems of Python. hack/prerequisites.sh installs them.
const (
	RQ     Python = "rq"
	Celery Python = "celery"
)

// python is a Python that has both: the first of PATH, or the system's.
var python = sync.OnceValues(func() (string, error) {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import rq, celery, redis").Run() == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("jobclients: no Python has rq, celery and redis: run `make prerequisites`")
})

// Console starts a console: see console.py. The environment is added to the test's own.
func (p Python) Console(t testing.TB, url string, env ...string) *Console {
	t.Helper()
	return startConsole(t, p.command(t, url, env, "console.py"))
}

// Worker starts a worker: see worker.py. Its processes are killed together.
func (p Python) Worker(t testing.TB, url string, env []string, queues ...string) *Worker {
	t.Helper()
	worker := startWorker(t, p.command(t, url, env, append([]string{"worker.py"}, queues...)...))
	t.Cleanup(worker.killGroup)
	return worker
}

func (p Python) command(t testing.TB, url string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	name, err := python()
	must(t, err)
	repository, err := root()
	must(t, err)
	command := exec.Command(name, args...)
	command.Dir = filepath.Join(repository, "test/jobclients", string(p))
	command.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "REDIS_URL="+url), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}
