package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Operator is a running replica of the operator's binary.
type Operator struct {
	MetricsURL string

	command *exec.Cmd
	exited  chan struct{}
	err     error
}

// OperatorOptions say how to run a replica.
type OperatorOptions struct {
	Binary     string
	Kubeconfig string
	HerokuURL  string
	Args       []string
	Env        []string // beside this process's own
	Output     io.Writer
}

// StartOperator starts a replica and waits until it serves its probe and its metrics. It tries again if
// the replica ends before that: somebody else may have taken a port that was free a moment ago.
func StartOperator(ctx context.Context, o OperatorOptions) (operator *Operator, err error) {
	for range 3 {
		operator, err = startOperator(ctx, o)
		if !errors.Is(err, errEnded) {
			break
		}
	}
	return operator, err
}

var errEnded = errors.New("the operator ended")

func startOperator(ctx context.Context, o OperatorOptions) (*Operator, error) {
	metrics, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	probes, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"--heroku-url=" + o.HerokuURL,
		"--metrics-bind-address=" + metrics,
		"--health-probe-bind-address=" + probes,
		"--leader-election-namespace=default",
	}, o.Args...)
	operator := &Operator{
		MetricsURL: "http://" + metrics + "/metrics",
		command:    exec.Command(o.Binary, args...),
		exited:     make(chan struct{}),
	}
	operator.command.Env = append(append(os.Environ(), "KUBECONFIG="+o.Kubeconfig), o.Env...)
	operator.command.Stdout, operator.command.Stderr = o.Output, o.Output
	// A group of its own: Ctrl-C is for whoever started it, who then stops it in order.
	operator.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := operator.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the operator: %w", err)
	}
	go operator.wait()
	if err := operator.awaitProbe(ctx, "http://"+probes+"/healthz"); err != nil {
		return operator, err
	}
	return operator, operator.awaitProbe(ctx, operator.MetricsURL)
}

func (o *Operator) wait() {
	o.err = o.command.Wait()
	close(o.exited)
}

// awaitProbe asks until the probe answers.
func (o *Operator) awaitProbe(ctx context.Context, url string) error {
	for {
		if response, err := http.Get(url); err == nil { //nolint:gosec,noctx // our own probe on loopback
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-o.exited:
			return fmt.Errorf("%w: %w", errEnded, o.err)
		case <-ctx.Done():
			return errors.Join(errors.New("the operator does not answer its probe"), o.Stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Exited is closed when the process has ended.
func (o *Operator) Exited() <-chan struct{} { return o.exited }

// Kill ends the process at once, as a lost node would.
func (o *Operator) Kill() {
	_ = o.command.Process.Kill()
	<-o.exited
}

// Stop asks the process to end and waits until it has.
func (o *Operator) Stop() error {
	_ = o.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-o.exited:
		return o.err
	case <-time.After(30 * time.Second):
		o.Kill()
		return errors.New("the operator did not stop within 30 s and was killed")
	}
}

// FreeAddress is an address on loopback whose port is free now.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
