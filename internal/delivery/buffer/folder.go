package buffer

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// Two changes of a folder within the tick of its file system's clock carry the same time.
const (
	clockTick       = 20 * time.Millisecond // more than a kernel's, which is 10 ms at most
	coarseClockTick = 3 * time.Second       // where times have no fraction
)

// folder makes the names in a JetStream stream's folder durable. The server syncs the
// block that it writes to, but not the name of a block that it has just made.
type folder struct {
	path string

	mu     sync.Mutex // guards synced
	synced time.Time  // the folder's time of change that is on disk
}

// folder finds the files of a stream of the embedded server, and syncs the folders that
// lead there. It is nil on a cluster.
func (b *Buffer) folder(stream string) (*folder, error) {
	if b.server == nil {
		return nil, nil
	}
	path := b.dir.path
	// $G is the account of a server without accounts.
	for _, name := range []string{natsFolder, "$G", "streams", stream, "msgs"} {
		if err := atomicfile.SyncDir(path); err != nil {
			return nil, fmt.Errorf("sync data directory: %w", err)
		}
		path = filepath.Join(path, name)
	}
	f := &folder{path: path}
	return f, f.sync()
}

// sync returns once every name that was in the folder when it was called is on disk. When
// nothing changed it costs one stat.
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
	if err := atomicfile.SyncDir(f.path); err != nil {
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
