package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// Layout of an entry of a store's copy, all numbers little-endian. The checksum is a CRC-32C of everything before it,
// seeded with the name of the JetStream stream.
//
//	magic    "SLV1"
//	seq      uint64, the revision
//	deleted  uint8, 1 if the key was deleted
//	key      uint16, its length
//	value    uint32, its length
//	the key's token, the value
//	checksum uint32
const (
	copyMagic   = "SLV1"
	copyHeader  = len(copyMagic) + 8 + 1 + 2 + 4
	copyMinimum = 1 << 20 // a smaller file is not rewritten
)

// storeCopy is a second copy of a store's newest values, in a file outside the stream's folder. Stores hold the progress
// of delivery and definitions, which no damage to one file may remove. A nil copy, as on a cluster, keeps nothing.
type storeCopy struct {
	path  string
	seed  uint32
	dirty dirty

	mu         sync.Mutex // guards the fields below
	file       *os.File
	keys       map[string]copied // by token
	size, live int64             // of the file, and of the newest entries in it
}

// copied locates the newest entry of a key.
type copied struct {
	seq     uint64
	deleted bool
	at, n   int64 // of the value
}

// openCopy opens the copy of a store. intact is false if the file has damaged places. The error wraps fs.ErrNotExist if
// there is none.
func openCopy(path, stream string) (c *storeCopy, intact bool, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, false, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, false, err
	}
	c = &storeCopy{path: path, seed: castagnoli(0, []byte(stream)), file: f, keys: map[string]copied{}}
	intact = true
	for at := 0; at < len(data); {
		token, k, end, ok := c.parse(data, at)
		if !ok {
			intact = false
			i := bytes.Index(data[at+1:], []byte(copyMagic))
			if i < 0 {
				break
			}
			at += 1 + i
			continue
		}
		c.set(token, k)
		at = end
	}
	c.size = int64(len(data))
	return c, intact, nil
}

// createCopy writes an empty copy at path.
func createCopy(path, stream string) (*storeCopy, error) {
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
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &storeCopy{path: path, seed: castagnoli(0, []byte(stream)), file: f, keys: map[string]copied{}}, nil
}

// parse parses the entry at an offset.
func (c *storeCopy) parse(data []byte, at int) (token string, k copied, end int, ok bool) {
	p := data[at:]
	if len(p) < copyHeader+4 || string(p[:len(copyMagic)]) != copyMagic {
		return "", k, 0, false
	}
	key, value := int(binary.LittleEndian.Uint16(p[13:])), int64(binary.LittleEndian.Uint32(p[15:]))
	n := int64(copyHeader+key) + value
	if n+4 > int64(len(p)) || castagnoli(c.seed, p[:n]) != binary.LittleEndian.Uint32(p[n:]) {
		return "", k, 0, false
	}
	k = copied{seq: binary.LittleEndian.Uint64(p[4:]), deleted: p[12] == 1, at: int64(at + copyHeader + key), n: value}
	return string(p[copyHeader:][:key]), k, at + int(n) + 4, true
}

func entryBytes(token string, n int64) int64 { return int64(copyHeader+len(token)) + n + 4 }

// set makes the entry the newest one of its key, unless a newer one is known.
func (c *storeCopy) set(token string, k copied) {
	before, ok := c.keys[token]
	if ok && before.seq > k.seq {
		return
	}
	if ok {
		c.live -= entryBytes(token, before.n)
	}
	c.keys[token] = k
	c.live += entryBytes(token, k.n)
}

// add adds a value, or the deletion of a key, with its revision. It is on disk after the next sync.
func (c *storeCopy) add(token string, seq uint64, deleted bool, value []byte) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := make([]byte, 0, entryBytes(token, int64(len(value))))
	e = append(e, copyMagic...)
	e = binary.LittleEndian.AppendUint64(e, seq)
	if deleted {
		e = append(e, 1)
	} else {
		e = append(e, 0)
	}
	e = binary.LittleEndian.AppendUint16(e, uint16(len(token)))
	e = binary.LittleEndian.AppendUint32(e, uint32(len(value)))
	e = append(e, token...)
	e = append(e, value...)
	e = binary.LittleEndian.AppendUint32(e, castagnoli(c.seed, e))
	if _, err := c.file.WriteAt(e, c.size); err != nil {
		return err
	}
	c.set(token, copied{seq: seq, deleted: deleted, at: c.size + int64(copyHeader+len(token)), n: int64(len(value))})
	c.size += int64(len(e))
	c.dirty.Store(true)
	if c.size > copyMinimum && c.size > 4*c.live {
		return c.rewriteLocked()
	}
	return nil
}

// value reads the value of an entry.
func (c *storeCopy) value(k copied) ([]byte, error) {
	value := make([]byte, k.n)
	_, err := c.file.ReadAt(value, k.at)
	return value, err
}

// rewriteLocked replaces the file with one that has only the newest entries.
func (c *storeCopy) rewriteLocked() error {
	path := c.path + ".tmp"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	fresh := &storeCopy{seed: c.seed, file: f, keys: map[string]copied{}}
	for token, k := range c.keys {
		value, err := c.value(k)
		if err == nil {
			err = fresh.add(token, k.seq, k.deleted, value)
		}
		if err != nil {
			return errors.Join(err, f.Close(), os.Remove(path))
		}
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	if err := os.Rename(path, c.path); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	old := c.file
	c.file, c.keys, c.size, c.live = f, fresh.keys, fresh.size, fresh.live
	return errors.Join(old.Close(), atomicfile.SyncDir(filepath.Dir(c.path)))
}

// sync writes what was added to disk.
func (c *storeCopy) sync() error {
	if c == nil {
		return nil
	}
	return c.dirty.sync(func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.file.Sync()
	})
}

func (c *storeCopy) close() error {
	if c == nil {
		return nil
	}
	return errors.Join(c.sync(), c.file.Close())
}

// copyOf returns the copy of a store, which it creates when missing.
func (b *Buffer) copyOf(stream string) (*storeCopy, error) {
	if b.server == nil {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.copies[stream]; c != nil {
		return c, nil
	}
	path := ackedPath(b.dir.path, stream)
	c, _, err := openCopy(path, stream)
	if errors.Is(err, fs.ErrNotExist) {
		c, err = createCopy(path, stream)
	}
	if err != nil {
		return nil, err
	}
	b.copies[stream] = c
	return c, nil
}

// deletedHeader marks a deleted key in JetStream.
const deletedHeader = "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"

// checkCopy takes the newest values that the store lacks from its copy.
func (c *check) checkCopy() error {
	for _, p := range c.newest {
		c.top = max(c.top, p.seq)
	}
	for seq := range c.copySeq {
		c.top = max(c.top, seq)
	}
	for token, k := range c.copy.keys {
		if c.newest[token].seq >= k.seq {
			continue
		}
		value, err := c.copy.value(k)
		if err != nil {
			return err
		}
		seq := k.seq
		if slices.ContainsFunc(c.whole, func(b wholeBlock) bool { return b.first <= seq && seq <= b.last }) {
			c.top++ // the place of the value belongs to a block that stays
			seq = c.top
		}
		p := piece{seq: seq, time: c.now.UnixNano(), subject: string(c.prefix) + token, value: value}
		if k.deleted {
			p.header = []byte(deletedHeader)
		}
		c.pieces = append(c.pieces, p)
		key, _ := tokenKey(token)
		c.fault("msgs", "the newest value of %q was missing", key)
	}
	c.sort()
	c.frames = int64(len(c.pieces))
	return nil
}

// completeCopy adds what only the store has to its copy, and rewrites a damaged copy.
func (c *check) completeCopy() error {
	for token, p := range c.newest {
		if c.copy.keys[token].seq >= p.seq {
			continue
		}
		buf, err := c.readBlock(p.index)
		if err != nil {
			return err
		}
		header := buf[p.headers.from:p.headers.to]
		if err := c.copy.add(token, p.seq, bytes.Contains(header, []byte("KV-Operation: ")), buf[p.data.from:p.data.to]); err != nil {
			return err
		}
	}
	if c.badCopy {
		return c.copy.rewriteLocked()
	}
	return nil
}
