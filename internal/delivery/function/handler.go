package function

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/stagelog/stagelog/internal/encoding/base64"
)

// Enricher enriches one record. It must be safe for parallel use.
type Enricher interface {
	// Append appends the enriched record to dst. An error means that the record belongs in the error output; dst is then
	// returned unchanged. The error's text contains nothing of the record.
	Append(dst, rec []byte) (out []byte, err error)
}

// Handler answers Firehose transformation events. It is safe for parallel use.
//
// It replies to each record of an event: Ok with the enriched bytes, or ProcessingFailed. A failed record's reply includes its
// original data if that fits: Firehose's documentation requires data for every result, but Firehose accepts a reply
// without it. Firehose writes the original record to the error output in any case, so no record is lost by failing it.
//
// A reply never exceeds MaxPayloadBytes, which would fail the whole batch: a record that does not fit is failed and counted.
type Handler struct {
	enricher Enricher
	maxBytes int // of a reply; MaxPayloadBytes except in tests
	scratch  sync.Pool
	stats    stats
}

type stats struct {
	events, slow, records, failed, notBase64, tooLarge atomic.Uint64
}

// Stats counts what a Handler has done since it was created.
type Stats struct {
	Events    uint64 // answered
	Slow      uint64 // events not in Firehose's layout, parsed by encoding/json
	Records   uint64 // with any result
	Failed    uint64 // ProcessingFailed for any reason
	NotBase64 uint64 // failed: data absent or not base64
	TooLarge  uint64 // failed: did not fit into the reply
}

// scratch holds the reusable memory of one call.
type scratch struct {
	records []eventRecord
	raw     []byte // the decoded record
	out     []byte // the enriched record
}

// errEscapes means that a string of an event must be decoded by encoding/json.
var errEscapes = errors.New("string with escapes")

// maxScratchBytes limits the memory of a pooled scratch, so that one huge record does not keep its memory allocated.
const maxScratchBytes = 4 << 20

// NewHandler returns a Handler.
func NewHandler(e Enricher) *Handler {
	return &Handler{enricher: e, maxBytes: MaxPayloadBytes, scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// Stats returns the handler's counters.
func (h *Handler) Stats() Stats {
	return Stats{
		Events: h.stats.events.Load(), Slow: h.stats.slow.Load(), Records: h.stats.records.Load(),
		Failed: h.stats.failed.Load(), NotBase64: h.stats.notBase64.Load(), TooLarge: h.stats.tooLarge.Load(),
	}
}

// Invoke returns the reply to one event. It has the signature of aws-lambda-go's Handler. It returns an error if event is not
// a transformation event.
func (h *Handler) Invoke(_ context.Context, event []byte) ([]byte, error) {
	return h.Append(make([]byte, 0, len(event)+len(event)/3), event)
}

// Append appends the reply to event to dst. The size limit excludes the previous content of dst.
func (h *Handler) Append(dst, event []byte) ([]byte, error) {
	s := h.scratch.Get().(*scratch)
	defer h.release(s)

	records, laidOut := scanEvent(s.records[:0], event)
	s.records = records
	if laidOut {
		out, n, err := h.answer(dst, s, records)
		if !errors.Is(err, errEscapes) {
			return h.count(out, n, err)
		}
	}
	records, err := decodeEvent(event)
	if err != nil {
		return dst, err
	}
	out, n, err := h.answer(dst, s, records)
	n.Slow = 1
	return h.count(out, n, err)
}

// count adds the results of one event to the counters.
func (h *Handler) count(out []byte, n Stats, err error) ([]byte, error) {
	if err != nil {
		return out, err
	}
	h.stats.events.Add(1)
	h.stats.slow.Add(n.Slow)
	h.stats.records.Add(n.Records)
	h.stats.failed.Add(n.Failed)
	h.stats.notBase64.Add(n.NotBase64)
	h.stats.tooLarge.Add(n.TooLarge)
	return out, nil
}

func (h *Handler) release(s *scratch) {
	if cap(s.raw)+cap(s.out)+cap(s.records)*int(unsafe.Sizeof(eventRecord{})) <= maxScratchBytes {
		clear(s.records) // the records alias the event
		h.scratch.Put(s)
	}
}

// answer appends the reply to the records. It returns errEscapes if the event must be parsed by decodeEvent first.
func (h *Handler) answer(dst []byte, s *scratch, records []eventRecord) ([]byte, Stats, error) {
	n := Stats{Records: uint64(len(records))}
	a := answer{dst: dst, base: len(dst), maxBytes: h.maxBytes}
	if !a.start(records) {
		return dst, n, fmt.Errorf("reply to %d records exceeds the limit of %d bytes even without data", len(records), h.maxBytes)
	}
	for i := range records {
		r := &records[i]
		raw, ok := base64.AppendDecoded(s.raw[:0], r.data)
		if !ok || !r.hasData {
			if !r.checked && !plainString(r.data) {
				return dst, n, errEscapes
			}
			n.Failed++
			n.NotBase64++
			a.fail(r, r.data)
			continue
		}
		s.raw = raw
		out, err := h.enricher.Append(s.out[:0], raw)
		if err != nil {
			n.Failed++
			a.fail(r, r.data)
			continue
		}
		s.out = out
		if !a.ok(r, out) {
			n.Failed++
			n.TooLarge++
			a.fail(r, nil)
		}
	}
	return a.end(), n, nil
}

// answer is a reply under construction: `{"records":[…]}`.
type answer struct {
	dst      []byte
	base     int // index of the reply in dst
	reserve  int // minimum bytes for the remaining records and the end
	maxBytes int
	any      bool
}

const (
	answerStart  = `{"records":[`
	answerEnd    = `]}`
	recordStart  = `{"recordId":"`
	resultOk     = `","result":"Ok","data":"`
	resultFailed = `","result":"ProcessingFailed`
	dataStart    = `","data":"`
	recordEnd    = `"}`
)

// leastBytes returns the size of the shortest reply to r, including a comma.
func leastBytes(r *eventRecord) int {
	return len(recordStart) + len(r.id) + len(resultFailed) + len(recordEnd) + 1
}

// start begins the reply. It returns false if even the shortest reply does not fit.
func (a *answer) start(records []eventRecord) bool {
	a.reserve = len(answerEnd)
	for i := range records {
		a.reserve += leastBytes(&records[i])
	}
	a.dst = append(a.dst, answerStart...)
	return len(a.dst)-a.base+a.reserve <= a.maxBytes
}

// fits reports whether n bytes for r fit beside the reserve of the remaining records, and if so releases r's reserve.
func (a *answer) fits(r *eventRecord, n int) bool {
	least := leastBytes(r)
	if len(a.dst)-a.base+a.reserve-least+n > a.maxBytes {
		return false
	}
	a.reserve -= least
	return true
}

func (a *answer) id(r *eventRecord) {
	if a.any {
		a.dst = append(a.dst, ',')
	}
	a.any = true
	a.dst = append(a.dst, recordStart...)
	a.dst = append(a.dst, r.id...)
}

func (a *answer) ok(r *eventRecord, data []byte) bool {
	n := (len(data) + 2) / 3 * 4
	if !a.fits(r, 1+len(recordStart)+len(r.id)+len(resultOk)+n+len(recordEnd)) {
		return false
	}
	a.id(r)
	a.dst = append(a.dst, resultOk...)
	a.dst = base64.Append(a.dst, data)
	a.dst = append(a.dst, recordEnd...)
	return true
}

// fail appends ProcessingFailed, with data (the original base64) if that is safe in a JSON string and fits.
func (a *answer) fail(r *eventRecord, data []byte) {
	withData := leastBytes(r) + len(dataStart) + len(data)
	if r.hasData && data != nil && plainString(data) && a.fits(r, withData) {
		a.id(r)
		a.dst = append(a.dst, resultFailed...)
		a.dst = append(a.dst, dataStart...)
		a.dst = append(a.dst, data...)
	} else {
		a.fits(r, leastBytes(r)) // always true: the space is reserved
		a.id(r)
		a.dst = append(a.dst, resultFailed...)
	}
	a.dst = append(a.dst, recordEnd...)
}

func (a *answer) end() []byte { return append(a.dst, answerEnd...) }
