package usageplan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// The stored format: magic, version, lease, time, plans, keys, CRC-32C. Numbers are unsigned varints,
// strings are preceded by their length. Key values are not included.
const (
	magic   = "SLUP"
	version = 1
)

var (
	errSnapshot = errors.New("not a snapshot of usage plans")
	errVersion  = errors.New("unsupported version of usage plan snapshot")
)

// Encode returns the snapshot in the stored format.
func (s *Snapshot) Encode() []byte { return encode(s, lease{}) }

// Decode parses the stored format.
func Decode(data []byte) (*Snapshot, error) {
	s, _, err := decode(data)
	return s, err
}

func encode(s *Snapshot, l lease) []byte {
	b := make([]byte, 0, 1024+48*len(s.keys))
	b = append(b, magic...)
	b = append(b, version)
	b = appendString(b, l.holder)
	b = binary.AppendUvarint(b, milliseconds(l.until))
	b = binary.AppendUvarint(b, milliseconds(s.at))
	whole := byte(0)
	if s.whole {
		whole = 1
	}
	b = append(b, whole)
	b = binary.AppendUvarint(b, uint64(len(s.plans)))
	for _, p := range s.plans {
		b = appendString(appendString(b, p.ID), p.Name)
		b = binary.AppendUvarint(b, uint64(len(p.Stages)))
		for _, st := range p.Stages {
			b = appendString(appendString(b, st.API), st.Stage)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.keys)))
	for id, e := range s.keys {
		b = appendString(appendString(b, id), e.name)
		b = binary.AppendUvarint(b, uint64(e.gone))
		b = binary.AppendUvarint(b, uint64(len(e.plans)))
		for _, i := range e.plans {
			b = binary.AppendUvarint(b, uint64(i))
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func decode(data []byte) (*Snapshot, lease, error) {
	if len(data) < len(magic)+1+4 || string(data[:len(magic)]) != magic {
		return nil, lease{}, errSnapshot
	}
	if v := data[len(magic)]; v != version {
		return nil, lease{}, fmt.Errorf("%w: %d", errVersion, v)
	}
	body := data[:len(data)-4]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(data[len(body):]) {
		return nil, lease{}, fmt.Errorf("%w: checksum differs", errSnapshot)
	}
	// All names are substrings of one copy of the text.
	r := reader{b: body, text: string(body), at: len(magic) + 1}
	l := lease{holder: r.string(), until: fromMilliseconds(r.number())}
	s := &Snapshot{at: fromMilliseconds(r.number()), whole: r.byte() == 1}
	s.plans = make([]Plan, r.count(3))
	for i := range s.plans {
		p := Plan{ID: r.string(), Name: r.string(), Stages: make([]record.StageRef, r.count(2))}
		for k := range p.Stages {
			p.Stages[k] = record.StageRef{API: r.string(), Stage: r.string()}
		}
		s.plans[i] = p
	}
	r.keys(s)
	if r.failed || r.at != len(body) {
		return nil, lease{}, errSnapshot
	}
	return s, l, nil
}

// reader reads the stored format. After a failure it returns only zero values.
type reader struct {
	b      []byte
	text   string
	at     int
	failed bool
}

func (r *reader) keys(s *Snapshot) {
	n := r.count(4)
	s.keys = make(map[string]entry, n)
	// One backing array for the plans of all keys, most of which have one plan.
	lists := make([]uint32, 0, n+n/8)
	for range n {
		id, e := r.string(), entry{name: r.string(), gone: int64(r.number())}
		from := len(lists)
		for range r.count(1) {
			i := r.number()
			if i >= uint64(len(s.plans)) {
				r.failed = true
				return
			}
			lists = append(lists, uint32(i))
		}
		e.plans = lists[from:len(lists):len(lists)]
		if e.gone != 0 {
			s.gone++
		}
		s.keys[id] = e
	}
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || r.failed {
		r.failed = true
		return 0
	}
	r.at += n
	return v
}

// count reads a number of items that have at least size bytes each.
func (r *reader) count(size int) int {
	n := r.number()
	if n > uint64((len(r.b)-r.at)/size) {
		r.failed = true
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.count(1)
	if r.failed {
		return ""
	}
	r.at += n
	return r.text[r.at-n : r.at]
}

func (r *reader) byte() byte {
	if r.failed || r.at >= len(r.b) {
		r.failed = true
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// milliseconds returns Unix milliseconds, 0 for the zero time.
func milliseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}

func fromMilliseconds(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
