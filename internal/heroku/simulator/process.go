package simulator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is what runs in a dyno. exited delivers one exit code, once nothing of it is left.
type process interface {
	pid() int
	exited() <-chan int
	terminate() // SIGTERM
	kill()      // SIGKILL
}

// simulatedProcess does nothing, and obeys at once.
type simulatedProcess chan int

func newSimulatedProcess() simulatedProcess { return make(simulatedProcess, 1) }

func (p simulatedProcess) pid() int           { return 0 }
func (p simulatedProcess) exited() <-chan int { return p }
func (p simulatedProcess) terminate()         { p.end(0) }
func (p simulatedProcess) kill()              { p.end(signalled(syscall.SIGKILL)) }

func (p simulatedProcess) end(code int) {
	select {
	case p <- code:
	default: // ended before
	}
}

// groupProcess is a real process with a process group of its own, so that signals reach its children
// too, as Heroku signals every process of a dyno.
type groupProcess struct {
	leader   *exec.Cmd
	output   *os.File      // what the group prints; at its end when no member is left
	drained  chan struct{} // closed when output is copied
	exit     chan int
	stopOnce sync.Once
	stopping chan struct{}
	killOnce sync.Once
	killed   chan struct{}
}

// startProcess starts a command. One that cannot be started has exited with 127, as in a shell.
func startProcess(command []string, dir string, env []string, output *dynoWriter) process {
	p, err := start(command, dir, env, output)
	if err != nil {
		output.print(err.Error())
		failed := newSimulatedProcess()
		failed.end(127)
		return failed
	}
	return p
}

func start(command []string, dir string, env []string, output *dynoWriter) (*groupProcess, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	leader := exec.Command(command[0], command[1:]...)
	leader.Dir, leader.Env = dir, env
	leader.Stdout, leader.Stderr = writer, writer
	leader.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = leader.Start()
	if err := errors.Join(err, writer.Close()); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	p := &groupProcess{
		leader: leader, output: reader, drained: make(chan struct{}), exit: make(chan int, 1),
		stopping: make(chan struct{}), killed: make(chan struct{}),
	}
	go p.copy(output)
	go p.wait()
	return p, nil
}

func (p *groupProcess) pid() int           { return p.leader.Process.Pid }
func (p *groupProcess) exited() <-chan int { return p.exit }

func (p *groupProcess) terminate() {
	p.stopOnce.Do(func() { close(p.stopping); p.signal(syscall.SIGTERM) })
}

func (p *groupProcess) kill() {
	p.killOnce.Do(func() { close(p.killed); p.signal(syscall.SIGKILL) })
}

// signal ignores errors: a group that is gone is what every signal here is for.
func (p *groupProcess) signal(s syscall.Signal) { _ = syscall.Kill(-p.pid(), s) }

// wait sees to the whole group. Children of a leader that crashed go with it, as a dyno does; children
// of a leader that obeyed SIGTERM first have what is left of the grace. They are seen by the pipe that
// they print to: it ends with the last of them.
func (p *groupProcess) wait() {
	_ = p.leader.Wait() // the state tells more
	select {
	case <-p.stopping:
		select {
		case <-p.drained:
		case <-p.killed:
		}
	default:
	}
	p.kill()
	// A child that left the group holds the pipe open, and is not waited for.
	_ = p.output.SetReadDeadline(time.Now().Add(time.Second))
	<-p.drained
	_ = p.output.Close()
	p.exit <- exitCode(p.leader.ProcessState)
}

func (p *groupProcess) copy(output *dynoWriter) {
	defer close(p.drained)
	output.copy(p.output)
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalled(status.Signal())
	}
	return state.ExitCode()
}

// signalled is the exit code that shells and Heroku's logs give a process ended by a signal.
func signalled(s syscall.Signal) int { return 128 + int(s) }

// environment has the app's config vars, what Heroku adds, and of the simulator's own environment only
// what a program needs to be found and to run: its secrets are none of the app's business.
func environment(configVars map[string]string, dyno string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range configVars {
		env = append(env, name+"="+value)
	}
	return append(env, "DYNO="+dyno, fmt.Sprintf("PORT=%d", freePort()))
}

// freePort finds a port nobody listens on. Only web processes use it, and may have to try again.
func freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// lineWriter is shared by all dynos; lines do not mix.
type lineWriter struct {
	mu sync.Mutex
	to io.Writer
}

// prefixed returns the writer of one dyno.
func (w *lineWriter) prefixed(dyno string) *dynoWriter { return &dynoWriter{lines: w, dyno: dyno} }

type dynoWriter struct {
	lines *lineWriter
	dyno  string
}

// copy takes line by line what a process prints, until its end.
func (w *dynoWriter) copy(from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			w.print(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return // the end, or the pipe given up
		}
	}
}

// print drops a line that cannot be written: nobody is there to hear of it.
func (w *dynoWriter) print(line string) {
	w.lines.mu.Lock()
	defer w.lines.mu.Unlock()
	_, _ = fmt.Fprintf(w.lines.to, "%s | %s\n", w.dyno, line)
}
