package deliver

import (
	"sort"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// call passes through a worker's goroutines. It holds the records for one call of the function,
// or signals the collector that all earlier records have been sent.
type call struct {
	kind     callKind
	requests []*flushRequest // if kind is callFlush

	functionARN string
	streamARN   string
	retries     int
	shard       int

	buf     []byte   // the records' bytes, copied from the frames
	records [][]byte // slices of buf, or of its array before it grew
	spans   []span
	oldest  time.Time

	results  []record.Result
	scratch  []byte
	attempts int
	ended    time.Time     // when the last attempt ended
	done     chan struct{} // receives one value when results are complete
}

type callKind uint8

const (
	callRecords callKind = iota
	callCorrupt          // records[0] is an unreadable frame
	callTick             // compare the age with the interval
	callFlush            // close the open flush
	callEnd              // close the open flush and stop
)

// span describes consecutive records of one frame and their position.
type span struct {
	seq     uint64
	arrived time.Time
	first   int    // index of the first one in the call's records
	n       int    // number of records
	index   int    // index of the first one in its frame
	ends    bool   // includes the frame's last record
	sum     uint32 // record.FrameSum of the frame, if ends
	lost    bool   // storage has lost the frame
}

func (c *call) reset() {
	*c = call{
		shard: c.shard, done: c.done,
		buf: c.buf[:0], records: c.records[:0], spans: c.spans[:0],
		results: c.results[:0], scratch: c.scratch[:0],
	}
}

// add appends a copy of a record of the frame seq.
func (c *call) add(seq uint64, arrived time.Time, index int, rec []byte) {
	at := len(c.buf)
	c.buf = append(c.buf, rec...)
	if n := len(c.spans); n == 0 || c.spans[n-1].seq != seq {
		c.spans = append(c.spans, span{seq: seq, arrived: arrived, first: len(c.records), index: index})
	}
	c.spans[len(c.spans)-1].n++
	c.records = append(c.records, c.buf[at:len(c.buf):len(c.buf)])
	if c.oldest.IsZero() || arrived.Before(c.oldest) {
		c.oldest = arrived
	}
}

// frameEnds marks the frame seq as complete. A frame may have no records.
func (c *call) frameEnds(seq uint64, arrived time.Time, sum uint32, lost bool) {
	if n := len(c.spans); n == 0 || c.spans[n-1].seq != seq {
		c.spans = append(c.spans, span{seq: seq, arrived: arrived, first: len(c.records)})
	}
	s := &c.spans[len(c.spans)-1]
	s.ends, s.sum, s.lost = true, sum, lost
}

// at returns the span of record i and the record's index in its frame.
func (c *call) at(i int) (s span, index int) {
	s = c.spans[sort.Search(len(c.spans), func(k int) bool { return c.spans[k].first > i })-1]
	return s, s.index + i - s.first
}

func (c *call) id(i int) string {
	s, index := c.at(i)
	return record.ID(c.shard, s.seq, index)
}

func (c *call) arrived(i int) time.Time {
	s, _ := c.at(i)
	return s.arrived
}

func (c *call) batch() record.Batch { return record.Batch{Arrived: c.oldest, Records: c.records} }
