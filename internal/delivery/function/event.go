package function

import (
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/stagelog/stagelog/internal/encoding/base64"
)

// Record is one record to be sent to a function.
type Record struct {
	ID      string // unique in its event
	Arrived int64  // milliseconds since 1970
	Data    []byte
}

// CallInput is the input of a function call.
type CallInput struct {
	StreamARN string
	Region    string
	Records   []Record
}

// MaxBufferBytes is the maximum buffering hint of a Lambda processor (BufferSizeInMBs: 3), in bytes of records before base64.
const MaxBufferBytes = 3 << 20

// AppendEvent appends the transformation event for in, in Firehose's layout.
func AppendEvent(dst []byte, in CallInput) []byte {
	dst = appendEventStart(dst, in)
	for i, r := range in.Records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"recordId":"`...)
		dst = appendQuoted(dst, r.ID)
		dst = append(dst, `","approximateArrivalTimestamp":`...)
		dst = strconv.AppendInt(dst, r.Arrived, 10)
		dst = append(dst, `,"data":"`...)
		dst = base64.Append(dst, r.Data)
		dst = append(dst, `"}`...)
	}
	return append(dst, `]}`...)
}

func appendEventStart(dst []byte, in CallInput) []byte {
	dst = append(dst, `{"invocationId":"`...)
	dst = append(dst, NewID()...)
	dst = append(dst, `","deliveryStreamArn":"`...)
	dst = appendQuoted(dst, in.StreamARN)
	dst = append(dst, `","region":"`...)
	dst = appendQuoted(dst, in.Region)
	return append(dst, `","records":[`...)
}

// NewID returns a random UUID (version 4), the format of Lambda's request ids and revisions.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// eventBytes returns an upper bound of the bytes that r occupies in an event.
func eventBytes(r *Record) int {
	const frame = len(`{"recordId":"","approximateArrivalTimestamp":-9223372036854775808,"data":""},`)
	return frame + len(appendQuoted(nil, r.ID)) + (len(r.Data)+2)/3*4
}

// Split divides in into calls that each hold up to MaxBufferBytes of records and whose event fits into MaxPayloadBytes. It
// keeps the order.
func Split(in CallInput) []CallInput {
	start := len(appendEventStart(nil, in)) + len(`]}`)
	var calls []CallInput
	first, event, buffered := 0, start, 0
	for i := range in.Records {
		r := &in.Records[i]
		size := eventBytes(r)
		if i > first && (buffered+len(r.Data) > MaxBufferBytes || event+size > MaxPayloadBytes) {
			calls = append(calls, in.part(first, i))
			first, event, buffered = i, start, 0
		}
		event += size
		buffered += len(r.Data)
	}
	if first < len(in.Records) {
		calls = append(calls, in.part(first, len(in.Records)))
	}
	return calls
}

func (in CallInput) part(from, to int) CallInput {
	in.Records = in.Records[from:to:to]
	return in
}
