package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

const (
	// dataVersion is the version of the data directory's layout. It increases with each change
	// that earlier programs cannot read.
	dataVersion = 1
	versionFile = "VERSION"
	lockFile    = "LOCK"
	natsFolder  = "jetstream" // created by the NATS server

	// minFreeBytes is reserved on the disk for the stores: delivery needs them to free space
	// when the logs are full.
	minFreeBytes = 64 << 20
)

// dir is the data directory, locked by this process.
type dir struct {
	path string // absolute
	lock *os.File
	free func() (int64, error) // bytes that this user can still write
}

// openDir creates the directory when missing, locks it, and checks its version.
func openDir(path string, logger *slog.Logger) (_ *dir, err error) {
	d := &dir{}
	if d.path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("resolve data directory %s: %w", path, err)
	}
	d.free = func() (int64, error) { return freeBytes(d.path) }
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, atomicfile.Unusable("data directory", d.path, err)
	}
	if d.lock, err = os.OpenFile(filepath.Join(d.path, lockFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, atomicfile.Unusable("data directory", d.path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another process; stop it or choose another directory", d.path)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", d.path, err)
	}
	return d, d.checkVersion(logger)
}

// checkVersion rejects directories of newer or other programs, and writes the version file of a
// new one.
func (d *dir) checkVersion(logger *slog.Logger) error {
	data, err := os.ReadFile(filepath.Join(d.path, versionFile))
	if errors.Is(err, fs.ErrNotExist) {
		if d.has(natsFolder) && !d.has(ackedFolder) {
			return fmt.Errorf("data directory %s contains NATS data but no %s file, so stagelog did not create it; choose another directory", d.path, versionFile)
		}
		return d.writeVersion()
	}
	if err != nil {
		return atomicfile.Unusable("data directory", d.path, err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || version < 1 {
		if d.has(natsFolder) || d.has(ackedFolder) {
			logger.Warn("the data directory's version file is damaged; writing it again", "file", filepath.Join(d.path, versionFile))
			return d.writeVersion()
		}
		return fmt.Errorf("data directory %s: the %s file contains no valid version; restore it from a backup or choose another directory", d.path, versionFile)
	}
	if version > dataVersion {
		return fmt.Errorf("data directory %s has version %d, newer than the supported %d; upgrade stagelog or choose another directory"+
			" (if it was never used by a newer one, its %s file is damaged: write %d into it)", d.path, version, dataVersion, versionFile, dataVersion)
	}
	return nil
}

func (d *dir) writeVersion() error {
	if err := atomicfile.WriteFile(filepath.Join(d.path, versionFile), fmt.Appendf(nil, "%d\n", dataVersion), 0o600); err != nil {
		return atomicfile.Unusable("data directory", d.path, err)
	}
	return nil
}

// has reports whether the directory has an entry of that name.
func (d *dir) has(name string) bool {
	_, err := os.Stat(filepath.Join(d.path, name))
	return err == nil
}

// close unlocks the directory. The lock file stays: if it were removed, two processes could
// lock two different files of that name.
func (d *dir) close() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Close()
}

func freeBytes(path string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
