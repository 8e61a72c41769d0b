// Package jobclients runs the job systems' own clients and workers, for tests: those of Node from a cache
// that hack/jobclients.sh fills, those of Go from a module beside this one, those of Python as installed.
// Plain lists, sorted sets and streams have a worker here.
package jobclients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// System is a job system: its own client, and a worker with jobs for tests.
type System struct {
	console, worker []string // what to run; the queues' names follow
}

// WorkerCommand is a worker of the queues as a Procfile has it: it finds Redis by REDIS_URL, and writes to
// the file named by JOB_LOG (stack.JobLog) what becomes of its jobs.
func (s System) WorkerCommand(queues ...string) []string { return slices.Concat(s.worker, queues) }

// Console starts the client of a queue. It ends with the test.
func (s System) Console(t testing.TB, url, queue string, env ...string) *Console {
	t.Helper()
	input, output := start(t, command(append(slices.Clone(s.console), queue), url, env))
	return &Console{t: t, input: input, output: output}
}

// Worker starts a worker of the queues, and returns when it is ready. It ends with the test.
func (s System) Worker(t testing.TB, url string, env []string, queues ...string) *Worker {
	t.Helper()
	process := command(s.WorkerCommand(queues...), url, append(slices.Clone(env), "FOLLOW_INPUT=1"))
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	_, output := start(t, process)
	worker := &Worker{t: t, process: process}
	t.Cleanup(worker.killGroup)
	if line, err := output.ReadString('\n'); err != nil {
		t.Fatalf("the worker is not ready: %s%v", line, err)
	}
	return worker
}

// command is to run with an environment that is added to the test's own.
func command(words []string, url string, env []string) *exec.Cmd {
	command := exec.Command(words[0], words[1:]...)
	command.Env = append(append(os.Environ(), "REDIS_URL="+url), env...)
	return command
}

// Console is a job system's own client. It evaluates one expression, or command, at a time.
type Console struct {
	t      testing.TB
	input  io.Writer
	output *bufio.Reader
}

// Eval evaluates an expression. Its value goes into what is given, if anything is.
func (c *Console) Eval(expression string, into any) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.input, expression); err != nil {
		c.t.Fatalf("%s: %v", expression, err)
	}
	line, err := c.output.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("%s: %v", expression, err)
	}
	if bytes.HasPrefix(line, []byte(`{"error":`)) {
		c.t.Fatalf("%s: %s", expression, line)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(line, into); err != nil {
		c.t.Fatalf("%s: %s: %v", expression, line, err)
	}
}

// Worker is a worker process.
type Worker struct {
	t       testing.TB
	process *exec.Cmd
}

// Release has the jobs end that hold.
func (w *Worker) Release() { w.signal(syscall.SIGUSR2) }

// Kill ends the process at once, in the middle of its jobs, and those that it has started.
func (w *Worker) Kill() {
	w.killGroup()
	_ = w.process.Wait()
}

// killGroup kills the process and those that it has started.
func (w *Worker) killGroup() { _ = syscall.Kill(-w.process.Process.Pid, syscall.SIGKILL) }

// Stop ends the process as a dyno's stop does.
func (w *Worker) Stop() {
	w.t.Helper()
	w.signal(syscall.SIGTERM)
	_ = w.process.Wait()
}

func (w *Worker) signal(signal syscall.Signal) {
	w.t.Helper()
	if err := w.process.Process.Signal(signal); err != nil {
		w.t.Fatal(err)
	}
}

// start starts a process that ends when its input does, so that none outlives a test that is killed.
func start(t testing.TB, command *exec.Cmd) (io.Writer, *bufio.Reader) {
	t.Helper()
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return input, bufio.NewReader(output)
}

// root is the repository's directory, in or above which a test runs.
var root = sync.OnceValues(func() (string, error) {
	directory, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(directory, "test/jobclients")); missing == nil {
			return directory, nil
		}
		if directory == filepath.Dir(directory) {
			return "", fmt.Errorf("jobclients: no repository here")
		}
		directory = filepath.Dir(directory)
	}
	return "", err
})

// run runs a program in the repository and returns what it prints.
func run(name string, args ...string) (string, error) {
	directory, err := root()
	if err != nil {
		return "", err
	}
	command := exec.Command(name, args...)
	command.Dir = directory
	output, err := command.Output()
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns no other
		err = fmt.Errorf("jobclients: %s: %w: %s", name, err, exit.Stderr)
	}
	return strings.TrimSpace(string(output)), err
}

// program is the path of a file in this directory.
func program(t testing.TB, name string) string {
	t.Helper()
	repository, err := root()
	must(t, err)
	return filepath.Join(repository, "test/jobclients", name)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
