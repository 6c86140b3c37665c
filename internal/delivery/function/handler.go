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

// Enricher turns one record into its enriched form. It must be safe for parallel use.
type Enricher interface {
	// Append appends the enriched record to dst. An error means that the record belongs in the error output; dst then
	// comes back as it was. The error's text holds nothing of the record.
	Append(dst, rec []byte) (out []byte, err error)
}

// Handler answers Firehose transformation events. It is safe for parallel use.
//
// Each record of an event is answered: Ok with the enriched bytes, or ProcessingFailed. A failed record's answer carries its
// data as it came, while that fits: Firehose's page lists data as required for every result, and accepts an answer
// without. Firehose writes the original record to the error output either way, so nothing is lost by failing it.
//
// An answer never exceeds MaxPayloadBytes, which would fail the whole batch: a record that does not fit any more is failed, and counted.
type Handler struct {
	enricher Enricher
	maxBytes int // of an answer; MaxPayloadBytes but in tests
	scratch  sync.Pool
	stats    stats
}

type stats struct {
	events, slow, records, failed, notBase64, tooLarge atomic.Uint64
}

// Stats counts what a Handler did since it was made.
type Stats struct {
	Events    uint64 // answered
	Slow      uint64 // of those, the ones that were not laid out as Firehose does it and were read by encoding/json
	Records   uint64 // answered, whatever the result
	Failed    uint64 // ProcessingFailed, whatever the reason
	NotBase64 uint64 // of those, the ones whose data was absent or not base64
	TooLarge  uint64 // of those, the ones that did not fit into the answer
}

// scratch is what one call needs and the next may use again.
type scratch struct {
	records []eventRecord
	raw     []byte // a record, decoded
	out     []byte // the same, enriched
}

// errEscapes says that a string of an event needs a real JSON decoder.
var errEscapes = errors.New("string with escapes")

// maxScratchBytes bounds what a pooled scratch keeps, so that one huge record is not paid for ever.
const maxScratchBytes = 4 << 20

// NewHandler makes a Handler.
func NewHandler(e Enricher) *Handler {
	return &Handler{enricher: e, maxBytes: MaxPayloadBytes, scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// Stats says what the handler did so far.
func (h *Handler) Stats() Stats {
	return Stats{
		Events: h.stats.events.Load(), Slow: h.stats.slow.Load(), Records: h.stats.records.Load(),
		Failed: h.stats.failed.Load(), NotBase64: h.stats.notBase64.Load(), TooLarge: h.stats.tooLarge.Load(),
	}
}

// Invoke answers one event. It has the signature of aws-lambda-go's Handler. An error means that the event itself was not
// a transformation event.
func (h *Handler) Invoke(_ context.Context, event []byte) ([]byte, error) {
	return h.Append(make([]byte, 0, len(event)+len(event)/3), event)
}

// Append appends the answer for event to dst. The limit counts the answer alone, not what dst held before.
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

// count adds what one event came to.
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
		clear(s.records) // they alias the event
		h.scratch.Put(s)
	}
}

// answer answers the records. errEscapes means that the event has to be read by decodeEvent first.
func (h *Handler) answer(dst []byte, s *scratch, records []eventRecord) ([]byte, Stats, error) {
	n := Stats{Records: uint64(len(records))}
	a := answer{dst: dst, base: len(dst), maxBytes: h.maxBytes}
	if !a.start(records) {
		return dst, n, fmt.Errorf("an answer for %d records exceeds %d bytes even without data", len(records), h.maxBytes)
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

// answer is a response in the making: `{"records":[…]}`.
type answer struct {
	dst      []byte
	base     int // where the response begins in dst
	reserve  int // bytes that the records not answered yet need at least, and the end
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

// leastBytes is what the shortest answer for r takes, with a comma.
func leastBytes(r *eventRecord) int {
	return len(recordStart) + len(r.id) + len(resultFailed) + len(recordEnd) + 1
}

// start starts the response. It is false if not even the shortest answers fit.
func (a *answer) start(records []eventRecord) bool {
	a.reserve = len(answerEnd)
	for i := range records {
		a.reserve += leastBytes(&records[i])
	}
	a.dst = append(a.dst, answerStart...)
	return len(a.dst)-a.base+a.reserve <= a.maxBytes
}

// fits says whether n bytes can be written for r and the rest still be answered, and gives up r's reserve if so.
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

// fail answers ProcessingFailed, with data (base64, as it came) if that is safe in a JSON string and fits.
func (a *answer) fail(r *eventRecord, data []byte) {
	withData := leastBytes(r) + len(dataStart) + len(data)
	if r.hasData && data != nil && plainString(data) && a.fits(r, withData) {
		a.id(r)
		a.dst = append(a.dst, resultFailed...)
		a.dst = append(a.dst, dataStart...)
		a.dst = append(a.dst, data...)
	} else {
		a.fits(r, leastBytes(r)) // always true: it takes what was reserved
		a.id(r)
		a.dst = append(a.dst, resultFailed...)
	}
	a.dst = append(a.dst, recordEnd...)
}

func (a *answer) end() []byte { return append(a.dst, answerEnd...) }
