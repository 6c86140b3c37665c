package function

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/stagelog/stagelog/internal/encoding/base64"
	"github.com/stagelog/stagelog/internal/record"
)

// Enricher enriches one record. It must be safe for parallel use.
type Enricher interface {
	// Append appends the enriched record to dst. On an error it returns dst unchanged. record.ErrDropped means that the record is not
	// delivered, any other error that it belongs in the error output. The error's text contains nothing of the record.
	Append(dst, rec []byte) (out []byte, err error)
}

// Handler answers Firehose transformation events. It is safe for parallel use.
//
// It replies to each record of an event: Ok with the enriched bytes, Dropped, or ProcessingFailed. A failed record's reply includes its
// original data if that fits: Firehose's documentation requires data for every result, but Firehose accepts a reply
// without it. Firehose writes the original record to the error output in any case, so no record is lost by failing it.
//
// A reply never exceeds MaxPayloadBytes, which would fail the whole batch: a record that does not fit is failed. The first are those
// that grow most, as compressed records do.
type Handler struct {
	enricher Enricher
	maxBytes int // of a reply; MaxPayloadBytes except in tests
	scratch  sync.Pool

	mu     sync.Mutex
	failed map[string]int // guarded by mu
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
		if out, err := h.answer(dst, s, records); !errors.Is(err, errEscapes) {
			return out, err
		}
	}
	records, err := decodeEvent(event)
	if err != nil {
		return dst, err
	}
	return h.answer(dst, s, records)
}

// Failures returns the number of records that failed since it was last called, by reason.
func (h *Handler) Failures() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	failed := h.failed
	h.failed = nil
	return failed
}

func (h *Handler) count(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed == nil {
		h.failed = map[string]int{}
	}
	h.failed[reason]++
}

func (h *Handler) release(s *scratch) {
	if cap(s.raw)+cap(s.out)+cap(s.records)*int(unsafe.Sizeof(eventRecord{})) <= maxScratchBytes {
		clear(s.records) // the records alias the event
		h.scratch.Put(s)
	}
}

// answer appends the reply to the records. It returns errEscapes if the event must be parsed by decodeEvent first.
func (h *Handler) answer(dst []byte, s *scratch, records []eventRecord) ([]byte, error) {
	a := answer{dst: dst, base: len(dst), maxBytes: h.maxBytes}
	if !a.start(records) {
		return dst, fmt.Errorf("reply to %d records exceeds the limit of %d bytes even without data", len(records), h.maxBytes)
	}
	for i := range records {
		r := &records[i]
		a.usual -= usualBytes(r)
		raw, ok := base64.AppendDecoded(s.raw[:0], r.data)
		if !ok || !r.hasData {
			if !r.checked && !plainString(r.data) {
				return dst, errEscapes
			}
			h.count("the data of the record is not base64")
			a.fail(r, r.data)
			continue
		}
		s.raw = raw
		out, err := h.enricher.Append(s.out[:0], raw)
		if err != nil {
			if errors.Is(err, record.ErrDropped) {
				a.without(r, resultDropped)
			} else {
				h.count(err.Error())
				a.fail(r, r.data)
			}
			continue
		}
		s.out = out
		if !a.ok(r, out) {
			h.count("the enriched record does not fit in the reply")
			a.fail(r, nil)
		}
	}
	return append(a.dst, answerEnd...), nil
}

// answer is a reply under construction: `{"records":[…]}`.
type answer struct {
	dst      []byte
	base     int // index of the reply in dst
	reserve  int // minimum bytes for the remaining records and the end
	usual    int // bytes for the remaining records if they grow as a bare line does
	maxBytes int
	any      bool
}

// maxGrowth is how much more than a bare line a record may need of the space of other records.
const maxGrowth = 2

const (
	answerStart   = `{"records":[`
	answerEnd     = `]}`
	recordStart   = `{"recordId":"`
	resultOk      = `","result":"Ok","data":"`
	resultDropped = `","result":"Dropped`
	resultFailed  = `","result":"ProcessingFailed`
	dataStart     = `","data":"`
	recordEnd     = `"}`
)

// leastBytes returns the size of the shortest reply to r, including a comma.
func leastBytes(r *eventRecord) int {
	return len(recordStart) + len(r.id) + len(resultFailed) + len(recordEnd) + 1
}

// usualBytes returns the bytes that a bare line usually needs in addition to leastBytes.
func usualBytes(r *eventRecord) int { return len(r.data) + addedBytes }

// addedBytes is the usual number of bytes that enrichment adds to a line, as base64.
const addedBytes = 250

// start begins the reply. It returns false if even the shortest reply does not fit.
func (a *answer) start(records []eventRecord) bool {
	a.reserve = len(answerEnd)
	for i := range records {
		a.reserve += leastBytes(&records[i])
		a.usual += usualBytes(&records[i])
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
	if n > maxGrowth*usualBytes(r) && len(a.dst)-a.base+n+a.reserve+a.usual > a.maxBytes {
		return false // bare lines need the space
	}
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
		a.dst = append(a.dst, recordEnd...)
		return
	}
	a.without(r, resultFailed)
}

// without appends a result without data, for which the space is reserved.
func (a *answer) without(r *eventRecord, result string) {
	a.fits(r, leastBytes(r)) // always true
	a.id(r)
	a.dst = append(a.dst, result...)
	a.dst = append(a.dst, recordEnd...)
}
