package host

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// TestFunctionDiesWithItsHost kills the process that hosts a function, as a crash or kill -9 would.
func TestFunctionDiesWithItsHost(t *testing.T) {
	fifo := newFIFO(t)
	held, dead := watchFIFO(t, fifo)
	parent := exec.Command(os.Args[0], "play=parent")
	// The child that the function starts in "hang" would outlive it: only the function itself holds the FIFO here.
	parent.Env = append(os.Environ(), "CODE="+code(t, "hang at start"), "STATE="+t.TempDir(), "HOLD="+fifo)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	<-held
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	<-dead
}

// TestOtherUsersAreRefused connects as another user, which only root can.
func TestOtherUsersAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can act as another user")
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan string, 2)
	go func() {
		for {
			conn, err := (ownListener{listener}).Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn.RemoteAddr().String()
			conn.Close()
		}
	}()
	if err := connectAs(65534, listener.Addr().(*net.TCPAddr).Port); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("connect as another user: %v", err)
	}
	own, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if got := <-accepted; got != own.LocalAddr().String() {
		t.Errorf("accepted %s, want only our own %s", got, own.LocalAddr())
	}
	listener.Close()
	for got := range accepted {
		t.Errorf("accepted %s too", got)
	}
}

// connectAs connects as another user, waits for the other end to hang up, and gives the thread away.
func connectAs(uid, port int) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its user with it
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			result <- errno
			return
		}
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			result <- err
			return
		}
		defer syscall.Close(fd)
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			result <- err
			return
		}
		n, err := syscall.Read(fd, make([]byte, 1))
		if n == 0 && err == nil {
			err = io.EOF
		}
		result <- err
	}()
	return <-result
}
