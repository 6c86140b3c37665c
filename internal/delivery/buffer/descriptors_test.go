package buffer

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// noDescriptors makes opening files fail with EMFILE until the function that it returns is called.
func noDescriptors(t *testing.T) (end func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull) // the lowest free descriptor
	if err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: uint64(f.Fd()), Max: limit.Max}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
}

// A frame that is stored when the process has no free file descriptor is not reported as refused.
func TestAppendNeedsNoDescriptor(t *testing.T) {
	_, l := openOne(t)
	if _, err := l.Append(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	// A new block changes the folder's time too.
	if err := os.Chtimes(l.folder.path, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	restore := noDescriptors(t)
	defer restore()
	if _, err := os.Open(os.DevNull); err == nil {
		t.Fatal("a file can be opened, want EMFILE")
	}
	if seq, err := l.Append(t.Context(), []byte("two")); seq != 2 || err != nil {
		t.Errorf("Append without a free descriptor = %d, %v, want 2", seq, err)
	}
}

// A folder that was replaced is opened again.
func TestFolderSyncsReplacedFolder(t *testing.T) {
	f := &folder{path: filepath.Join(t.TempDir(), "msgs")}
	for range 2 {
		if err := os.Mkdir(f.path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := f.sync(); err != nil {
			t.Errorf("sync: %v", err)
		}
		now, err := os.Stat(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := f.open.Stat(); err != nil || !os.SameFile(now, opened) {
			t.Errorf("sync of a replaced folder kept the old one open (%v)", err)
		}
		if err := os.Rename(f.path, f.path+time.Now().String()); err != nil {
			t.Fatal(err)
		}
		f.synced = time.Time{}
	}
}
