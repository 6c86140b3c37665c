package server

import (
	"net"
	"net/http"
	"sync"
)

// unused tracks a server's connections that never carried a request; browsers and connection pools
// open some in advance. http.Server.Shutdown waits five seconds for each of them, so closing
// them first makes shutdown immediate.
type unused struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

// note implements http.Server.ConnState.
func (u *unused) note(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state != http.StateNew {
		delete(u.conns, conn)
		return
	}
	if u.conns == nil {
		u.conns = map[net.Conn]struct{}{}
	}
	u.conns[conn] = struct{}{}
}

// close closes the unused connections.
func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.conns {
		_ = conn.Close() // nothing was sent
	}
}
