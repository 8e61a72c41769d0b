package queue

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// idleConn is a connection with TLS that tells whether it ended while it lay idle. go-redis looks at the socket before it
// uses an idle connection, and dials anew if there is an error; with TLS it looks at nothing, and learns from a
// command that fails that the server had closed the connection. Example: Heroku's servers do after 300 s.
type idleConn struct{ net.Conn }

// sensing is a dialer whose connections tell when they ended.
func sensing(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return idleConn{conn}, nil
	}
}

// SyscallConn is an error if the connection ended. The socket itself stays hidden: go-redis would take the end of
// TLS, an encrypted record, for a reply to read, and wait for the rest without a limit.
func (c idleConn) SyscallConn() (syscall.RawConn, error) {
	conn := c.Conn
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secured.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return noSocket{}, nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	return noSocket{}, silent(raw)
}

var errUnasked = errors.New("an idle connection has something to read")

// silent is an error if anything can be read of a socket. Nobody asked, so that it can only be the end.
func silent(raw syscall.RawConn) error {
	var state error
	err := raw.Read(func(fd uintptr) bool {
		var into [1]byte
		_, _, err := syscall.Recvfrom(int(fd), into[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR) {
			state = errUnasked
		}
		return true
	})
	return errors.Join(err, state)
}

// noSocket is the socket that go-redis gets to see, where there is nothing to read.
type noSocket struct{}

func (noSocket) Control(func(uintptr)) error    { return nil }
func (noSocket) Read(func(uintptr) bool) error  { return nil }
func (noSocket) Write(func(uintptr) bool) error { return nil }
