package stack

import (
	"net"
	"sync"
)

// Wire is a connection between two parts that can be cut: nothing comes through, and nobody is told.
type Wire struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	up    *sync.Cond
	cut   bool
	conns map[net.Conn]bool
}

// NewWire leads from an address of its own on loopback to another one.
func NewWire(target string) (*Wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Wire{listener: listener, target: target, conns: map[net.Conn]bool{}}
	w.up = sync.NewCond(&w.mu)
	go w.accept()
	return w, nil
}

// Address is where the wire begins.
func (w *Wire) Address() string { return w.listener.Addr().String() }

// Cut holds up all that is on its way from now on.
func (w *Wire) Cut() { w.set(true) }

// Mend lets all of that through.
func (w *Wire) Mend() { w.set(false) }

// Close ends the wire and all connections.
func (w *Wire) Close() {
	_ = w.listener.Close()
	w.Mend()
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		_ = conn.Close()
	}
}

func (w *Wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.up.Broadcast()
}

// await returns when the wire is not cut.
func (w *Wire) await() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.cut {
		w.up.Wait()
	}
}

func (w *Wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		w.mu.Lock()
		w.conns[near], w.conns[far] = true, true
		w.mu.Unlock()
		go w.carry(near, far)
		go w.carry(far, near)
	}
}

func (w *Wire) carry(from, to net.Conn) {
	defer func() {
		_, _ = from.Close(), to.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.conns, from)
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		w.await()
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}
