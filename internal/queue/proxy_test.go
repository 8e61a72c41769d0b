package queue

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a Hub and a server, as a bad network does.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	server string
	links  []*link
	// deaf has new connections lose every push on the way to the client.
	deaf bool
}

// link is one connection through a proxy.
type link struct {
	ends    [2]net.Conn
	mu      sync.Mutex
	dropped bool
	deaf    bool
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server}
	go p.accept()
	t.Cleanup(func() {
		_ = listener.Close()
		p.each(func(l *link) { l.close() })
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		address := p.server
		p.mu.Unlock()
		server, err := net.Dial("tcp", address)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		l := &link{ends: [2]net.Conn{client, server}, deaf: p.deaf}
		p.links = append(p.links, l)
		p.mu.Unlock()
		go l.copy(server, client, false)
		go l.copy(client, server, true)
	}
}

func (p *proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		do(l)
	}
}

// blackHole has all packets of the present connections be lost, without a word. New ones work.
func (p *proxy) blackHole() {
	p.each(func(l *link) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.dropped = true
	})
}

// leadTo has new connections end somewhere else.
func (p *proxy) leadTo(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

func (p *proxy) setDeaf(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

func (l *link) close() {
	_ = l.ends[0].Close()
	_ = l.ends[1].Close()
}

func (l *link) copy(to, from net.Conn, back bool) {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		l.mu.Lock()
		dropped, deaf := l.dropped, l.deaf
		l.mu.Unlock()
		// A push comes in a packet of its own, as nothing else is going on.
		if dropped || (back && deaf && bytes.HasPrefix(buffer[:n], []byte(">2\r\n$10\r\ninvalidate"))) {
			continue
		}
		if _, err = io.Copy(to, bytes.NewReader(buffer[:n])); err != nil {
			return
		}
	}
}
