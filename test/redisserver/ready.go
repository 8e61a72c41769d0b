package redisserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// errExited says that the process ended before it answered: its port may be taken.
var errExited = errors.New("redisserver: the server exited")

// awaitReady pings the server until it answers.
func (s *Server) awaitReady(ctx context.Context) error {
	const first, longest, patience = 2 * time.Millisecond, 100 * time.Millisecond, 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := first; ; wait = min(2*wait, longest) {
		err := s.ping(ctx)
		select {
		case <-s.process.exited:
			return fmt.Errorf("%w: %s", errExited, s.Log())
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-s.process.exited:
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("redisserver: the server does not answer: %w", err)
		}
	}
}

// ping succeeds when the server answers PING, be it that it asks for a password.
func (s *Server) ping(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err = conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err = conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(reply, "+PONG") && !strings.HasPrefix(reply, "-NOAUTH") {
		return errors.New(strings.TrimSpace(reply))
	}
	return nil
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	if s.options.TLS {
		own, err := tls.LoadX509KeyPair(s.file(certFile), s.file(keyFile)) // it may ask clients for one
		if err != nil {
			return nil, err
		}
		// It only asks whether the server is up.
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}}} //nolint:gosec
		return dialer.DialContext(ctx, "tcp", s.Addr())
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", s.Addr())
}
