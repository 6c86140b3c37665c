package buffer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// check compares the files of one JetStream stream with what was acknowledged, and collects what a replacement of its
// folder needs. JetStream itself discards everything that follows a damaged place of a block.
type check struct {
	name    string // of the JetStream stream
	path    string // its folder
	subject []byte // of a log
	prefix  []byte // of a store's subjects; nil for a log
	acked   *acked // nil if unknown
	last    uint64 // highest acknowledged frame; 0 if unknown
	journal *acked // acked, or a new journal if it is unknown; nil for a store

	faults  []string // what is damaged, by file
	badMeta bool
	torn    bool              // the last block ends with an incomplete write
	whole   []wholeBlock      // blocks that can stay, in order
	pieces  []piece           // of the other blocks
	copy    *storeCopy        // of a store
	badCopy bool              // it was missing or damaged
	copySeq map[uint64]string // tokens of its newest values
	newest  map[string]piece  // found in the blocks, by token
	top     uint64            // highest sequence of the store
	now     time.Time
	lost    []span          // acknowledged frames that are gone
	frames  int64           // whole frames of damaged blocks
	read    func(bytes int) // reports progress
}

// wholeBlock is a block without damage.
type wholeBlock struct {
	index       int
	first, last uint64 // of its messages; 0 if it has none
	firstIsLost bool   // its first frame is a LostFrame, which accounts for all missing frames before it
}

// piece is a whole entry of a damaged block, or a frame that takes the place of a lost one.
type piece struct {
	seq           uint64
	time          int64
	subject       string
	index         int // of the block
	headers, data span
	records, sum  uint32
	unsure        bool   // of the sequence
	lost          bool   // a LostFrame
	header, value []byte // of pieces that are not from a block
}

// span is a range of offsets, end excluded, or of sequences, end included.
type span struct{ from, to uint64 }

func (p piece) size() int {
	return entrySize + len(p.subject) + int(p.headers.to-p.headers.from) + int(p.data.to-p.data.from) + len(p.header) + len(p.value) + 4
}

func (c *check) fault(file, format string, args ...any) {
	c.faults = append(c.faults, file+": "+fmt.Sprintf(format, args...))
}

// damaged reports whether an error of a file means that the file is damaged. Others, like a lack of permission or of file
// descriptors, can be remedied.
func damaged(err error) bool {
	for _, e := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.EISDIR, syscall.EIO, syscall.EUCLEAN, syscall.ELOOP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// run reads the folder. Without faults, JetStream can open it.
func (c *check) run() error {
	if err := c.checkMeta(); err != nil {
		return err
	}
	indexes, err := c.blocks()
	if err != nil {
		return err
	}
	var before uint64 // highest sequence of the blocks so far
	for i, index := range indexes {
		if before, err = c.checkBlock(index, indexes, i == len(indexes)-1, before); err != nil {
			return err
		}
	}
	c.sort()
	if c.prefix != nil {
		return c.checkCopy()
	}
	c.findLost()
	return nil
}

// checkMeta checks the stream's configuration.
func (c *check) checkMeta() error {
	meta, err := os.ReadFile(filepath.Join(c.path, "meta.inf"))
	var sum []byte
	if err == nil {
		sum, err = os.ReadFile(filepath.Join(c.path, "meta.sum"))
	}
	if err != nil {
		if !damaged(err) {
			return err
		}
		c.badMeta = true
		c.fault("meta.inf", "unreadable (%v)", errors.Unwrap(err))
		return nil
	}
	h := streamHash(c.name)
	h.Write(meta)
	var cfg struct{ Name string }
	if hex.EncodeToString(h.Sum(nil)) != string(sum) || json.Unmarshal(meta, &cfg) != nil || cfg.Name != c.name {
		c.badMeta = true
		c.fault("meta.inf", "wrong checksum")
	}
	return nil
}

const blockSuffix = ".blk"

func (c *check) blockPath(index int) string {
	return filepath.Join(c.path, "msgs", strconv.Itoa(index)+blockSuffix)
}

// blocks returns the numbers of the stream's blocks. Empty files are not blocks: JetStream creates a block before it
// writes to it.
func (c *check) blocks() (indexes []int, err error) {
	files, err := os.ReadDir(filepath.Join(c.path, "msgs"))
	if err != nil {
		if !damaged(err) {
			return nil, err
		}
		c.fault("msgs", "unreadable (%v)", errors.Unwrap(err))
	}
	for _, f := range files {
		digits, isBlock := strings.CutSuffix(f.Name(), blockSuffix)
		index, err := strconv.Atoi(digits)
		if !isBlock || err != nil || strconv.Itoa(index) != digits {
			continue
		}
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
			continue
		}
		indexes = append(indexes, index)
	}
	slices.Sort(indexes)
	return indexes, nil
}

// readBlock reads a block. Sectors that cannot be read are zeros.
func (c *check) readBlock(index int) ([]byte, error) {
	buf, err := os.ReadFile(c.blockPath(index))
	if err == nil || !damaged(err) {
		return buf, err
	}
	if !errors.Is(err, syscall.EIO) {
		return nil, nil // not a file
	}
	f, err := os.Open(c.blockPath(index))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	buf = make([]byte, info.Size())
	const sector = 4096
	for at := 0; at < len(buf); at += sector {
		part := buf[at:min(at+sector, len(buf))]
		if n, err := f.ReadAt(part, int64(at)); err != nil {
			clear(part[n:])
		}
	}
	return buf, nil
}

// reader returns a reader of the block's content.
func (c *check) reader(index int, buf []byte) *blockReader {
	return &blockReader{buf: buf, hash: blockHash(c.name, index), subject: c.subject, prefix: c.prefix}
}

// checkBlock checks one block. before is the highest sequence of the blocks before it; it returns the highest so far.
func (c *check) checkBlock(index int, all []int, isLast bool, before uint64) (uint64, error) {
	buf, err := c.readBlock(index)
	if err != nil {
		return before, err
	}
	c.read(len(buf))
	file := "msgs/" + strconv.Itoa(index) + blockSuffix
	pieces, intact, badAt := c.walk(index, slices.Max(all)+1, buf)
	tail := badAt == len(pieces) // nothing is whole after the damage
	if !intact && tail && isLast && c.complete(pieces, before) {
		intact, c.torn = true, true // a write that was never acknowledged, which JetStream removes
	}
	if !intact {
		c.fault(file, "damaged")
		pieces = c.identify(pieces, before)
	}
	if own := c.own(pieces); len(own) < len(pieces) {
		pieces = own
		if intact {
			intact = false
			c.fault(file, "damaged")
		}
	}
	b := wholeBlock{index: index}
	for _, p := range pieces {
		if err := c.acknowledged(p); err != nil {
			return before, err
		}
		if intact && p.seq <= before {
			c.fault(file, "sequence %d follows %d", p.seq, before)
			intact = false
		}
		if intact && c.prefix == nil && b.last != 0 && p.seq != b.last+1 && !p.lost {
			intact = false // the missing frames belong between these two
		}
		if b.first == 0 {
			b.first, b.firstIsLost = p.seq, p.lost
		}
		b.last = max(b.last, p.seq)
	}
	if intact {
		c.whole = append(c.whole, b)
	} else {
		c.pieces = append(c.pieces, pieces...)
	}
	return max(before, b.last), nil
}

// own removes the values of a store whose revisions belong to other keys, which a damaged length of a subject can cause.
func (c *check) own(pieces []piece) []piece {
	if c.prefix == nil {
		return pieces
	}
	return slices.DeleteFunc(slices.Clone(pieces), func(p piece) bool {
		token, ok := c.copySeq[p.seq]
		return ok && token != p.subject[len(c.prefix):]
	})
}

// complete reports whether the last block has everything that was acknowledged, as far as its end is concerned.
func (c *check) complete(pieces []piece, before uint64) bool {
	if c.prefix != nil {
		return !c.badCopy
	}
	if len(pieces) > 0 {
		before = pieces[len(pieces)-1].seq
	}
	return (c.acked != nil || c.last != 0) && before >= c.last
}

// lastOfIndex returns the last sequence that JetStream noted when it stopped, or 0.
func (c *check) lastOfIndex() uint64 {
	data, err := os.ReadFile(c.indexPath())
	n := len(data) - entryHash
	if err != nil || n < 2 {
		return 0
	}
	h := streamHash(c.name)
	h.Write(data[:n])
	if !bytes.Equal(h.Sum(nil), data[n:]) {
		return 0
	}
	// Two bytes of magic and version; numbers of messages and bytes, first sequence, its time, last sequence.
	last, at := uint64(0), 2
	for range 5 {
		var size int
		if last, size = binary.Uvarint(data[at:n]); size <= 0 {
			return 0
		}
		at += size
	}
	return last
}

func (c *check) indexPath() string { return filepath.Join(c.path, "msgs", "index.db") }

// walk returns the messages of a block's content. If it is not intact, badAt is the number of messages before the first
// damage. The content may be of another block up to the number indexes.
func (c *check) walk(index, indexes int, buf []byte) (pieces []piece, intact bool, badAt int) {
	r := c.reader(index, buf)
	intact = len(buf) > 0
	for at := 0; at < len(buf); {
		e, ok := r.at(at)
		if !ok && at == 0 && c.otherBlock(r, indexes) {
			intact = false
			e, ok = r.at(at)
		}
		if !ok {
			if intact {
				intact, badAt = false, len(pieces)
			}
			if e, ok = r.next(at); !ok {
				break
			}
		}
		at = e.end
		if e.seq == 0 || e.seq&noMessage != 0 && !e.unsure {
			continue
		}
		p := piece{seq: e.seq, time: e.time, index: index, unsure: e.unsure}
		if n := uint64(len(e.headers)); n > 0 {
			p.headers.to = uint64(e.end-entryHash) - uint64(len(e.data))
			p.headers.from = p.headers.to - n
		}
		p.data = span{uint64(e.end-entryHash) - uint64(len(e.data)), uint64(e.end - entryHash)}
		if c.prefix != nil {
			p.subject = string(e.subject)
		} else {
			p.records, p.sum, p.lost = record.FrameRecords(e.data), record.FrameSum(e.data), record.IsLostFrame(e.data)
			if e.unsure {
				if b, err := record.ParseFrame(e.data); err == nil {
					p.time = b.Arrived.UnixNano()
				}
			}
		}
		pieces = append(pieces, p)
	}
	return pieces, intact, badAt
}

// otherBlock finds the block that the content belongs to if the file has another block's name.
func (c *check) otherBlock(r *blockReader, indexes int) bool {
	own := r.hash
	for other := range indexes + 1 {
		r.hash = blockHash(c.name, other)
		if _, ok := r.at(0); ok {
			return true
		}
	}
	r.hash = own
	return false
}

// identify finds the sequences of frames whose entries do not state it reliably. It drops frames of which it is not known.
func (c *check) identify(pieces []piece, before uint64) (known []piece) {
	for i, p := range pieces {
		if p.unsure {
			after := uint64(0) // next reliable sequence
			for _, q := range pieces[i+1:] {
				if !q.unsure {
					after = q.seq
					break
				}
			}
			if p.seq = c.sequence(p, before, after); p.seq == 0 {
				continue
			}
		}
		before = p.seq
		known = append(known, p)
	}
	return known
}

// sequence returns the sequence of a frame between two others; after is 0 if there is none. It returns 0 if it is unknown.
func (c *check) sequence(p piece, before, after uint64) uint64 {
	if c.acked != nil {
		if _, sum, ok := c.acked.get(p.seq); ok && sum == p.sum && p.seq > before && (after == 0 || p.seq < after) {
			return p.seq
		}
		for seq := before + 1; seq <= c.last && (after == 0 || seq < after); seq++ {
			if _, sum, ok := c.acked.get(seq); ok && sum == p.sum {
				return seq
			}
		}
	}
	if before == 0 || after != before+2 && p.seq != before+1 {
		return 0
	}
	if c.acked != nil {
		if _, _, ok := c.acked.get(before + 1); ok {
			return 0 // another frame had this sequence
		}
	}
	return before + 1
}

// acknowledged completes what is known about acknowledgements by a message that was found.
func (c *check) acknowledged(p piece) error {
	if c.prefix != nil {
		if token := p.subject[len(c.prefix):]; c.newest[token].seq < p.seq {
			c.newest[token] = p
		}
		return nil
	}
	if p.lost {
		return nil
	}
	if c.acked != nil {
		if _, _, ok := c.acked.get(p.seq); ok || p.seq < c.acked.first {
			return nil
		}
	}
	return c.journal.add(p.seq, p.records, p.sum)
}

// sort brings the pieces in order, and removes those that a whole block has too.
func (c *check) sort() {
	slices.SortStableFunc(c.pieces, func(a, b piece) int {
		switch {
		case a.seq < b.seq:
			return -1
		case a.seq > b.seq:
			return 1
		default:
			return 0
		}
	})
	c.pieces = slices.CompactFunc(c.pieces, func(a, b piece) bool { return a.seq == b.seq })
	c.pieces = slices.DeleteFunc(c.pieces, func(p piece) bool {
		return c.acked != nil && p.seq < c.acked.first || slices.ContainsFunc(c.whole, func(b wholeBlock) bool { return b.first <= p.seq && p.seq <= b.last })
	})
}

// findLost finds the acknowledged frames that are gone, and adds the frames that take their places.
func (c *check) findLost() {
	c.frames = int64(len(c.pieces))
	next := uint64(0) // expected sequence; 0 if unknown
	if c.acked != nil {
		next = c.acked.first
	}
	var fillers []piece
	gap := func(first uint64, known bool) {
		if next != 0 && first > next && !known {
			c.lost = append(c.lost, span{next, first - 1})
			// A LostFrame accounts for all missing frames before it, so that a very long gap needs no more.
			for seq := max(next, first-min(first, ackedSlots)); seq < first; seq++ {
				fillers = append(fillers, piece{seq: seq, time: c.now.UnixNano(), lost: true, value: record.LostFrame()})
			}
		}
	}
	pieces := c.pieces
	upTo := func(end uint64) { // passes the pieces before end
		for len(pieces) > 0 && pieces[0].seq < end {
			gap(pieces[0].seq, pieces[0].lost)
			next = max(next, pieces[0].seq+1)
			pieces = pieces[1:]
		}
	}
	for _, b := range c.whole {
		if b.first == 0 {
			continue
		}
		upTo(b.first)
		gap(b.first, b.firstIsLost)
		next = max(next, b.last+1)
	}
	upTo(1 << 63)
	if c.last != 0 {
		gap(c.last+1, false)
	}
	for _, s := range c.lost {
		c.fault("msgs", "frames %d to %d are missing", s.from, s.to)
	}
	c.pieces = append(c.pieces, fillers...)
	slices.SortStableFunc(c.pieces, func(a, b piece) int { return int(int64(a.seq - b.seq)) })
}
