// Package redisserver runs a real Redis server as a child process, for tests and the demo. It keeps
// nothing on disk but its log.
package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// ErrNoServer says that there is no server to run.
var ErrNoServer = errors.New("redisserver: no redis-server or valkey-server in PATH: install one, run `make prerequisites`, or name one in " + binaryVariable)

// binaryVariable is the environment variable that names the server to run, where it is not the usual one.
const binaryVariable = "REDIS_SERVER"

// Options say how the server is to be run.
type Options struct {
	// Args go after the server's other arguments: {"--maxclients", "5"}.
	Args []string
	// Dir is for its log and certificates; empty for a directory of its own, removed by Stop.
	Dir string

	// Password is what clients must give; empty for none.
	Password string
	// User is who has the password, instead of the default user.
	User string
	// Rights are the user's, as in ACL SETUSER; empty for all.
	Rights []string

	// TLS makes the server speak TLS only, with a certificate of an authority of its own.
	TLS bool
	// Hosts are the names and addresses in its certificate; empty for localhost and 127.0.0.1.
	Hosts []string

	// Sentinel makes it a sentinel, which watches over servers that it is told of.
	Sentinel bool
}

// Server is a running server. Its methods are not for concurrent use.
type Server struct {
	options Options
	binary  string
	dir     string
	ownDir  bool
	port    int
	// authority is nil without TLS.
	authority *authority

	process *process
	logged  int // bytes that it had logged when it was started last
}

// process is one run of the server.
type process struct {
	*os.Process
	exited chan struct{}
}

// Start runs a server on a free port of the loopback interface, and returns when it answers. It runs
// until Stop, or until the context is done.
func Start(ctx context.Context, options Options) (*Server, error) {
	binary, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, binary: binary, dir: options.Dir}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "redisserver-"); err != nil {
			return nil, err
		}
		s.ownDir = true
	}
	if err = s.startSomewhere(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func find() (string, error) {
	names := []string{"redis-server", "valkey-server"}
	if name := os.Getenv(binaryVariable); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoServer
}

// startSomewhere starts the server on a free port. Somebody else may take the port first, so that it
// tries a few.
func (s *Server) startSomewhere(ctx context.Context) error {
	const attempts = 3
	if err := s.writeFiles(); err != nil {
		return err
	}
	var err error
	for range attempts {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.run(ctx); !errors.Is(err, errExited) {
			return err
		}
	}
	return err
}

// sentinelFile is where a sentinel keeps what it learns.
const sentinelFile = "sentinel.conf"

// writeFiles makes what the server reads when it starts.
func (s *Server) writeFiles() error {
	if s.options.Sentinel {
		if err := os.WriteFile(s.file(sentinelFile), nil, 0o600); err != nil {
			return err
		}
	}
	if s.options.TLS {
		return s.makeCertificates()
	}
	return nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Port is the port it listens on.
func (s *Server) Port() int { return s.port }

// Addr is its host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// CA is the PEM certificate of the authority that signed its certificate; empty without TLS.
func (s *Server) CA() string {
	if s.authority == nil {
		return ""
	}
	return s.authority.text
}

// Log is what it has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(s.logFile())
	return string(text)
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "redis.log") }

// URL is what a client connects to, credentials included.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr()}
	if s.options.TLS {
		u.Scheme = "rediss"
	}
	if s.options.Password != "" {
		u.User = url.UserPassword(s.options.User, s.options.Password)
	}
	return u.String()
}

func (s *Server) arguments() []string {
	port := strconv.Itoa(s.port)
	args := []string{"--bind", "127.0.0.1", "--daemonize", "no", "--dir", s.dir, "--logfile", s.logFile()}
	if s.options.Sentinel {
		args = slices.Concat([]string{s.file(sentinelFile), "--sentinel"}, args)
	} else {
		args = append(args, "--save", "", "--appendonly", "no")
	}
	if s.options.TLS {
		args = append(args, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
			"--tls-cert-file", s.file(certFile), "--tls-key-file", s.file(keyFile), "--tls-ca-cert-file", s.file(caFile))
	} else {
		args = append(args, "--port", port)
	}
	switch {
	case s.options.User != "":
		rights := s.options.Rights
		if len(rights) == 0 {
			rights = []string{"~*", "&*", "+@all"}
		}
		args = append(args, "--user", "default", "off", "--user", s.options.User, "on", ">"+s.options.Password)
		args = append(args, rights...)
	case s.options.Password != "":
		args = append(args, "--requirepass", s.options.Password)
	}
	return append(args, s.options.Args...)
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// run starts the process and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	command := exec.CommandContext(ctx, s.binary, s.arguments()...)
	// A group of its own: Ctrl-C is for whoever started it, who then stops it in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.logged = len(s.Log())
	if err := command.Start(); err != nil {
		return fmt.Errorf("redisserver: %w", err)
	}
	s.process = &process{Process: command.Process, exited: make(chan struct{})}
	go func(p *process) {
		defer close(p.exited)
		_ = command.Wait()
	}(s.process)
	return s.awaitReady(ctx)
}

// Pause stops the process in its tracks: connections stay, nothing is answered.
func (s *Server) Pause() error { return s.process.Signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (s *Server) Resume() error { return s.process.Signal(syscall.SIGCONT) }

// Kill ends the process at once and waits until it is gone. Restart starts it again.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Restart stops the server and starts it again, empty, on the same port.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.end(syscall.SIGTERM); err != nil {
		return err
	}
	return s.run(ctx)
}

// Stop ends the server and removes what it left behind. It may be called more than once.
func (s *Server) Stop() error {
	err := s.end(syscall.SIGTERM)
	if s.ownDir {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// end signals the process and waits until it is gone; one that does not go is killed.
func (s *Server) end(signal os.Signal) error {
	const patience = 5 * time.Second
	if s.process == nil {
		return nil
	}
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = s.Resume()
	select {
	case <-s.process.exited:
	case <-time.After(patience):
		_ = s.process.Kill()
		<-s.process.exited
	}
	return nil
}
