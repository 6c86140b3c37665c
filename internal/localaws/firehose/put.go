package firehose

import (
	"context"
	stdbase64 "encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"sync"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/encoding/base64"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	maxRecordBytes  = record.MaxBytes
	maxBatchRecords = record.MaxBatchRecords
	maxBatchBytes   = record.MaxBatchBytes
)

// putRequest is a parsed PutRecord or PutRecordBatch. It is reused.
type putRequest struct {
	name    []byte   // aliases the body
	encoded [][]byte // the records in base64, aliasing the body
	decoded []byte   // backing array of records
	records [][]byte
	pieces  []ingest.Piece
	answer  []byte
}

// space holds putRequests for reuse.
type space struct{ pool sync.Pool }

func (s *space) get() *putRequest {
	if p, ok := s.pool.Get().(*putRequest); ok {
		return p
	}
	return new(putRequest)
}

func (s *space) put(p *putRequest) {
	p.name = nil
	clear(p.encoded)
	clear(p.pieces)
	p.encoded, p.records, p.pieces, p.answer = p.encoded[:0], p.records[:0], p.pieces[:0], p.answer[:0]
	s.pool.Put(p)
}

func (s *Service) servePutRecordBatch(w http.ResponseWriter, r *http.Request, body []byte) *wire.Error {
	p := s.puts.get()
	defer s.puts.put(p)
	if err := p.read("PutRecordBatch", body); err != nil {
		return err
	}
	if err := s.storeAll(r.Context(), p); err != nil {
		return err
	}
	failed := 0
	var first error
	for _, piece := range p.pieces {
		if err := piece.Err(); err != nil {
			failed += piece.N
			first = err
		}
	}
	if failed == len(p.records) && errors.Is(first, record.ErrFull) && p.allFull() {
		// Nothing was stored. SDKs retry a failed request, but never single records.
		return unavailable()
	}
	p.answerBatch(failed)
	p.write(w)
	return nil
}

func (s *Service) servePutRecord(w http.ResponseWriter, r *http.Request, body []byte) *wire.Error {
	p := s.puts.get()
	defer s.puts.put(p)
	if err := p.read("PutRecord", body); err != nil {
		return err
	}
	if err := s.storeAll(r.Context(), p); err != nil {
		return err
	}
	piece := p.pieces[0]
	if piece.Err() != nil {
		return unavailable()
	}
	p.answer = append(p.answer, `{"Encrypted":false,"RecordId":"`...)
	p.answer = piece.AppendID(p.answer, 0)
	p.answer = append(p.answer, `"}`...)
	p.write(w)
	return nil
}

func (s *Service) storeAll(ctx context.Context, p *putRequest) *wire.Error {
	stream := s.ingest.Find(p.name)
	if stream == nil {
		return s.notFound(string(p.name))
	}
	var err error
	if p.pieces, err = stream.Put(ctx, p.records, p.pieces); err != nil {
		return s.notFound(string(p.name))
	}
	return nil
}

// read parses the body and decodes the records. Bodies as the SDKs write them are parsed fast; others are
// checked against the model, which also finds the errors.
func (p *putRequest) read(op string, body []byte) *wire.Error {
	if !p.scan(op == "PutRecordBatch", body) || !p.decode() {
		if err := p.readSlowly(op, body); err != nil {
			return err
		}
	}
	total := 0
	for _, r := range p.records {
		total += len(r)
	}
	if total > maxBatchBytes {
		return invalid("Records size exceeds 4 MB limit") // the service's text (osquery/osquery#3568)
	}
	return nil
}

// decode decodes p.encoded into p.records. It returns false if readSlowly must read the request.
func (p *putRequest) decode() bool {
	if len(p.encoded) == 0 || len(p.encoded) > maxBatchRecords {
		return false
	}
	size := 0
	for _, e := range p.encoded {
		size += len(e) / 4 * 3
	}
	if cap(p.decoded) < size {
		p.decoded = make([]byte, size)
	}
	out := p.decoded[:0]
	p.records = p.records[:0]
	for _, e := range p.encoded {
		begin, ok := len(out), false
		if out, ok = base64.AppendDecoded(out, e); !ok || len(out)-begin > maxRecordBytes {
			return false
		}
		p.records = append(p.records, out[begin:len(out):len(out)])
	}
	return true
}

func (p *putRequest) readSlowly(op string, body []byte) *wire.Error {
	value, err := parse(body)
	if err != nil {
		return err
	}
	if err := putRequests[op].check(value); err != nil {
		return err
	}
	name, _ := value["DeliveryStreamName"].(string)
	p.name = []byte(name)
	all := []any{value["Record"]}
	if op == "PutRecordBatch" {
		all, _ = value["Records"].([]any)
	}
	p.records = p.records[:0]
	for _, r := range all {
		data, _ := r.(map[string]any)["Data"].(string) // checked against the model
		raw, err := stdbase64.StdEncoding.Strict().DecodeString(data)
		if err != nil {
			return badBase64()
		}
		p.records = append(p.records, raw)
	}
	return nil
}

// allFull reports whether every piece failed because the buffer is full: nothing was stored.
func (p *putRequest) allFull() bool {
	for _, piece := range p.pieces {
		if !errors.Is(piece.Err(), record.ErrFull) {
			return false
		}
	}
	return true
}

func (p *putRequest) answerBatch(failed int) {
	b := append(p.answer, `{"Encrypted":false,"FailedPutCount":`...)
	b = strconv.AppendInt(b, int64(failed), 10)
	b = append(b, `,"RequestResponses":[`...)
	for _, piece := range p.pieces {
		for i := range piece.N {
			if piece.Err() != nil {
				b = append(b, `{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."},`...)
				continue
			}
			b = append(b, `{"RecordId":"`...)
			b = piece.AppendID(b, i)
			b = append(b, `"},`...)
		}
	}
	b[len(b)-1] = ']' // instead of the last comma: there is at least one record
	p.answer = append(b, '}')
}

func (p *putRequest) write(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(p.answer))}
	_, _ = w.Write(p.answer) // an error means that the client has disconnected
}
