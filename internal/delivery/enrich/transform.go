package enrich

import (
	"slices"

	"github.com/stagelog/stagelog/internal/record"
)

// addedBytes estimates the bytes that enrichment adds to a record, to reserve memory once.
const addedBytes = 160

// Transform enriches a batch without the JSON and base64 of a Lambda event. It appends one result
// for each record to out[:0]; their data is in scratch.
func (e *Enricher) Transform(b record.Batch, scratch *[]byte, out []record.Result) []record.Result {
	size := 0
	for _, rec := range b.Records {
		size += len(rec) + addedBytes
	}
	buf := slices.Grow((*scratch)[:0], size)
	out = out[:0]
	for _, rec := range b.Records {
		begin := len(buf)
		enriched, err := e.Append(buf, rec)
		if err != nil {
			out = append(out, record.Result{Status: record.Failed})
			continue
		}
		// If buf was reallocated, earlier results still reference the old array, which stays valid.
		buf = enriched
		out = append(out, record.Result{Status: record.OK, Data: buf[begin:len(buf):len(buf)]})
	}
	*scratch = buf
	return out
}
