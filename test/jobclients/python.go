package jobclients

import (
	"fmt"
	"os/exec"
	"sync"
	"testing"
)

// RQ is RQ, of which hack/prerequisites.sh installs the system's version. The programs of the job systems of
// Python are console.py and worker.py in the directory of their name.
func RQ(t testing.TB) System { return python(t, "rq") }

// Celery is Celery, likewise.
func Celery(t testing.TB) System { return python(t, "celery") }

// List is a list whose jobs are moved to another one while they run. Its name ends in :processing.
func List(t testing.TB) System { return python(t, "plain", "list") }

// SortedSet is a sorted set of jobs by the time when they are due.
func SortedSet(t testing.TB) System { return python(t, "plain", "sorted_set") }

// Stream is a stream that a group named workers reads.
func Stream(t testing.TB) System { return python(t, "plain", "stream") }

// interpreter is a Python that has what they need: the first of PATH, or the system's.
var interpreter = sync.OnceValues(func() (string, error) {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import rq, celery, redis").Run() == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("jobclients: no Python has rq, celery and redis: run `make prerequisites`")
})

func python(t testing.TB, directory string, args ...string) System {
	t.Helper()
	name, err := interpreter()
	must(t, err)
	script := func(file string) []string {
		return append([]string{name, "-B", program(t, directory+"/"+file)}, args...) // without a cache of bytecode
	}
	return System{console: script("console.py"), worker: script("worker.py")}
}
