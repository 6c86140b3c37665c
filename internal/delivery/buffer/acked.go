package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// Layout of a journal of acknowledgements, all numbers little-endian. The checksums are CRC-32C, seeded with the
// stream's name, so that the journal of one stream is not taken for another's.
//
//	0     magic "SLA1", first uint64, checksum uint32
//	4096  slots x {seq uint64, records uint32, sum uint32, checksum uint32}; a frame's slot is its sequence modulo slots
const (
	ackedFolder = "acked"
	ackedMagic  = "SLA1"
	ackedHeader = 4096
	ackedSlots  = 1 << 18
	ackedSlot   = 20

	// syncAckedEvery limits how many acknowledgements a power failure can remove from a journal. The frames themselves
	// are synced before.
	syncAckedEvery = time.Second
)

// acked is the journal of the acknowledgements of one log. It is in a file outside the stream's folder, so that damage
// to the frames does not remove what is known about them: the highest acknowledged sequence, and the number of
// records of each frame. A nil journal, as on a cluster, knows nothing.
type acked struct {
	file  *os.File
	seed  uint32
	dirty dirty

	mu    sync.Mutex // guards first and the header
	first uint64     // older frames were trimmed
}

// errJournal marks a journal that is not valid.
var errJournal = errors.New("invalid journal of acknowledgements")

func ackedPath(dir, stream string) string { return filepath.Join(dir, ackedFolder, stream) }

// openAcked opens the journal of the JetStream stream at path. The error wraps fs.ErrNotExist if there is none, and errJournal
// if it is invalid.
func openAcked(path, stream string) (*acked, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	a := &acked{file: f, seed: castagnoli(0, []byte(stream))}
	header := make([]byte, len(ackedMagic)+8+4)
	if _, err := f.ReadAt(header, 0); err != nil && err != io.EOF { //nolint:errorlint // ReadAt returns io.EOF itself
		return nil, errors.Join(err, f.Close())
	}
	n := len(header) - 4
	if string(header[:len(ackedMagic)]) != ackedMagic || castagnoli(a.seed, header[:n]) != binary.LittleEndian.Uint32(header[n:]) {
		return nil, errors.Join(errJournal, f.Close())
	}
	a.first = binary.LittleEndian.Uint64(header[len(ackedMagic):])
	return a, nil
}

// createAcked writes at path an empty journal of the JetStream stream, which begins with frame first.
func createAcked(path, stream string, first uint64) (*acked, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	a := &acked{file: f, seed: castagnoli(0, []byte(stream))}
	if err := a.trim(first); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

// add records that the frame is acknowledged. It is on disk after the next sync.
func (a *acked) add(seq uint64, records, sum uint32) error {
	if a == nil {
		return nil
	}
	slot := make([]byte, 0, ackedSlot)
	slot = binary.LittleEndian.AppendUint64(slot, seq)
	slot = binary.LittleEndian.AppendUint32(slot, records)
	slot = binary.LittleEndian.AppendUint32(slot, sum)
	slot = binary.LittleEndian.AppendUint32(slot, castagnoli(a.seed, slot))
	a.dirty.Store(true)
	_, err := a.file.WriteAt(slot, ackedHeader+int64(seq%ackedSlots)*ackedSlot)
	return err
}

// get returns what was added for the frame.
func (a *acked) get(seq uint64) (records, sum uint32, ok bool) {
	slot := make([]byte, ackedSlot)
	if _, err := a.file.ReadAt(slot, ackedHeader+int64(seq%ackedSlots)*ackedSlot); err != nil {
		return 0, 0, false
	}
	got, records, sum, ok := a.parse(slot)
	return records, sum, ok && got == seq
}

func (a *acked) parse(slot []byte) (seq uint64, records, sum uint32, ok bool) {
	n := ackedSlot - 4
	seq = binary.LittleEndian.Uint64(slot)
	ok = seq != 0 && castagnoli(a.seed, slot[:n]) == binary.LittleEndian.Uint32(slot[n:])
	return seq, binary.LittleEndian.Uint32(slot[8:]), binary.LittleEndian.Uint32(slot[12:]), ok
}

// last returns the highest sequence that was added and not trimmed; 0 if there is none.
func (a *acked) last() (last uint64, err error) {
	slots, err := io.ReadAll(io.NewSectionReader(a.file, ackedHeader, ackedSlots*ackedSlot))
	if err != nil {
		return 0, err
	}
	for ; len(slots) >= ackedSlot; slots = slots[ackedSlot:] {
		if seq, _, _, ok := a.parse(slots); ok && seq >= a.first {
			last = max(last, seq)
		}
	}
	return last, nil
}

// trim records, before it happens, that the frames older than first are deleted. It syncs the journal.
func (a *acked) trim(first uint64) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if first <= a.first {
		return nil
	}
	header := append(make([]byte, 0, len(ackedMagic)+8+4), ackedMagic...)
	header = binary.LittleEndian.AppendUint64(header, first)
	header = binary.LittleEndian.AppendUint32(header, castagnoli(a.seed, header))
	if _, err := a.file.WriteAt(header, 0); err != nil {
		return err
	}
	if err := a.file.Sync(); err != nil {
		return err
	}
	a.first = first
	return nil
}

// sync writes what was added to disk.
func (a *acked) sync() error {
	if a == nil {
		return nil
	}
	return a.dirty.sync(a.file.Sync)
}

// dirty is set by each write to a file that is synced later.
type dirty struct{ atomic.Bool }

// sync calls file, which syncs the file, if it was written to since the last time.
func (d *dirty) sync(file func() error) error {
	if !d.Swap(false) {
		return nil
	}
	err := file()
	if err != nil {
		d.Store(true)
	}
	return err
}

func (a *acked) close() error {
	if a == nil {
		return nil
	}
	return errors.Join(a.sync(), a.file.Close())
}

// castagnoli continues the CRC-32C crc with p.
func castagnoli(crc uint32, p []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), p)
}

// Records returns the number of acknowledged records of the frames from and to, both included, and of those between. It
// is known while the frames are not trimmed: also after storage has lost them, but not on a cluster.
func (l *Log) Records(from, to uint64) (n int64, known bool) { return l.acked.count(from, to) }

func (a *acked) count(from, to uint64) (n int64, known bool) {
	if a == nil || from > to || to-from >= ackedSlots {
		return 0, false
	}
	for seq := from; seq <= to; seq++ {
		records, _, ok := a.get(seq)
		if !ok {
			return 0, false
		}
		n += int64(records)
	}
	return n, true
}

// journal notes the result of a write to a journal or a copy. What it describes is durable already, so that a failure only
// costs knowledge about it.
func (b *Buffer) journal(err error) {
	if err != nil {
		b.journals.Failed(err)
	} else {
		b.journals.Worked()
	}
}

// openAcked opens the journal of a log whose first frame is first, and creates it when missing.
func (b *Buffer) openAcked(stream string, first uint64) (*acked, error) {
	if b.server == nil {
		return nil, nil
	}
	path := ackedPath(b.dir.path, stream)
	a, err := openAcked(path, stream)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errJournal) {
		a, err = createAcked(path, stream, max(first, 1))
	}
	if err != nil {
		return nil, fmt.Errorf("open journal of acknowledgements: %w", err)
	}
	return a, nil
}

// removeAcked removes the journal of a log that is about to be deleted.
func (b *Buffer) removeAcked(stream string) error {
	if b.server == nil {
		return nil
	}
	if l := b.opened(stream); l != nil {
		if err := l.acked.close(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(ackedPath(b.dir.path, stream)); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Join(b.dir.path, ackedFolder))
}

// syncAcked syncs the journals and the copies of the stores until done is closed.
func (b *Buffer) syncAcked(done <-chan struct{}) {
	tick := time.NewTicker(syncAckedEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		for _, sync := range b.syncs() {
			if err := sync(); !errors.Is(err, os.ErrClosed) { // of a deleted log
				b.journal(err)
			}
		}
	}
}

// syncs returns the functions that sync the journals and the copies. They are called without b.mu, because a sync can
// take long.
func (b *Buffer) syncs() (all []func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.logs {
		all = append(all, l.acked.sync)
	}
	for _, c := range b.copies {
		all = append(all, c.sync)
	}
	return all
}
