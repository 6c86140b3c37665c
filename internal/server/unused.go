package server

import (
	"net"
	"net/http"
	"sync"
)

// unused is a server's connections that never carried a request: browsers and connection
// pools open some ahead. http.Server.Shutdown waits five seconds for each to be used;
// closing them first ends a run at once.
type unused struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

// note is the server's ConnState.
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

// close closes the connections; their clients open others, elsewhere.
func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.conns {
		_ = conn.Close() // nothing was sent on it
	}
}
