//go:build !linux

package host

import "net"

// ownListener accepts every connection: only on Linux can the peer's user be determined.
type ownListener struct{ net.Listener }
