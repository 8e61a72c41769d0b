package redisserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
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
		if err == nil && s.listens() {
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

// listens says whether the server has logged, since it was started last, that it listens. What answers
// at its port may be another server that took it first, in the moment before this one finds out.
func (s *Server) listens() bool {
	log := s.Log()[s.logged:]
	return strings.Contains(log, "Ready to accept connections") || strings.Contains(log, "Sentinel ID is")
}

// ping succeeds when the server answers PING, be it that it asks for a password.
func (s *Server) ping(ctx context.Context) error {
	_, err := s.do(ctx, "PING")
	if err != nil && strings.HasPrefix(err.Error(), "-NOAUTH") {
		return nil
	}
	return err
}

// do runs a command whose reply is a line or a text.
func (s *Server) do(ctx context.Context, words ...string) (string, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err = conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err = conn.Write([]byte(strings.Join(words, " ") + "\r\n")); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(conn))
}

func readReply(from *bufio.Reader) (string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	length, isText := strings.CutPrefix(line, "$")
	switch {
	case strings.HasPrefix(line, "-"):
		return "", errors.New(line)
	case !isText:
		return line, nil
	}
	size, err := strconv.Atoi(length)
	if err != nil || size < 0 {
		return "", err
	}
	text := make([]byte, size)
	_, err = io.ReadFull(from, text)
	return string(text), err
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
