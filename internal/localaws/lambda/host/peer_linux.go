package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"
	"os"
	"strconv"
)

// ownListener accepts only connections from processes of this user. The Runtime API has no credentials and returns records,
// which other users of the machine must not get.
type ownListener struct{ net.Listener }

// Accept waits for the next connection from this user.
func (l ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || ownPeer(conn) {
			return conn, err
		}
		_ = conn.Close()
	}
}

// ownPeer reports whether the other end of a loopback connection belongs to this user. It returns true if that cannot be
// determined.
func ownPeer(conn net.Conn) bool {
	local, ok1 := conn.RemoteAddr().(*net.TCPAddr) // as the peer sees it
	remote, ok2 := conn.LocalAddr().(*net.TCPAddr)
	table, err := os.Open("/proc/net/tcp")
	if err != nil || !ok1 || !ok2 {
		return true
	}
	defer table.Close() // only read
	want := []byte(procAddr(local) + " " + procAddr(remote) + " ")
	for lines := bufio.NewScanner(table); lines.Scan(); {
		if !bytes.Contains(lines.Bytes(), want) {
			continue
		}
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid …
		fields := bytes.Fields(lines.Bytes())
		return len(fields) > 7 && string(fields[7]) == strconv.Itoa(os.Getuid())
	}
	return false
}

// procAddr formats an address as in /proc/net/tcp: the IPv4 address as a number in the machine's byte order, in hex.
func procAddr(a *net.TCPAddr) string {
	var ip [4]byte
	binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(a.IP.To4()))
	var port [2]byte
	binary.BigEndian.PutUint16(port[:], uint16(a.Port))
	return string(bytes.ToUpper([]byte(hex.EncodeToString(ip[:]) + ":" + hex.EncodeToString(port[:]))))
}
