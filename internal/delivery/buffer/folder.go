package buffer

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// Two changes of a folder within one tick of the file system's clock get the same time.
const (
	clockTick       = 20 * time.Millisecond // a kernel's tick is up to 10 ms
	coarseClockTick = 3 * time.Second       // for file systems with whole seconds
)

// folder makes the file names in a JetStream stream's folder durable. The server syncs the
// block that it writes to, but not the name of a new block.
type folder struct {
	path string

	mu     sync.Mutex // guards the fields below
	synced time.Time  // modification time of the folder when it was last synced
	// open is the folder, which stays open so that a sync needs no file descriptor: without one, a
	// frame that is already stored would be refused. It is closed when it is garbage collected.
	open *os.File
}

// folder returns the folder of a stream's files on the embedded server, after syncing its parent
// folders. On a cluster it returns nil.
func (b *Buffer) folder(stream string) (*folder, error) {
	if b.server == nil {
		return nil, nil
	}
	path := b.dir.path
	// $G is the default account of the NATS server.
	for _, name := range []string{natsFolder, "$G", "streams", stream, "msgs"} {
		if err := atomicfile.SyncDir(path); err != nil {
			return nil, fmt.Errorf("sync data directory: %w", err)
		}
		path = filepath.Join(path, name)
	}
	f := &folder{path: path}
	return f, f.sync()
}

// sync returns once every name that was in the folder at the time of the call is on disk. If
// nothing has changed, it costs one stat.
func (f *folder) sync() error {
	if f == nil {
		return nil
	}
	asked := time.Now()
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	changed := info.ModTime()
	f.mu.Lock()
	defer f.mu.Unlock()
	if changed.Equal(f.synced) {
		return nil
	}
	if err := f.syncLocked(info); err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	tick := clockTick
	if changed.Nanosecond() == 0 {
		tick = coarseClockTick
	}
	if asked.Sub(changed) > tick {
		f.synced = changed
	}
	return nil
}

// syncLocked syncs the folder that the path names now; the server may have replaced it.
func (f *folder) syncLocked(now os.FileInfo) (err error) {
	if f.open != nil {
		opened, err := f.open.Stat()
		if err == nil && os.SameFile(opened, now) {
			return f.open.Sync()
		}
		_ = f.open.Close() // nothing was written to it
	}
	if f.open, err = os.Open(f.path); err != nil {
		return err
	}
	return f.open.Sync()
}
