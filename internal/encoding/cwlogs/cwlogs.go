// Package cwlogs reads what CloudWatch Logs sends to a subscription: envelopes of log events, each a JSON object that is
// compressed with gzip.
//
// The object has the type of the envelope, where the events come from, and the events with their messages:
//
//	{"messageType":"DATA_MESSAGE","owner":"…","logGroup":"…","logStream":"…","subscriptionFilters":["…"],
//	 "logEvents":[{"id":"…","timestamp":1795854600000,"message":"…"}]}
//
// CloudWatch Logs also sends envelopes of the type CONTROL_MESSAGE, to test the destination. Their message is not a log event.
package cwlogs

import (
	"bytes"
	"compress/gzip"
	"io"
	"strconv"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// Event is one log event. Its bytes are valid until the function that gets it returns.
type Event struct {
	// ID is unique in the log group: a redelivered event has the same one. It is nil if the event has none.
	ID []byte
	// Timestamp is in milliseconds since 1970, and 0 if the event has none.
	Timestamp int64
	// Message is the decoded text. It is nil if the event has none, which is a fault of the event.
	Message []byte
}

// Envelope describes an envelope, except for its events. The bytes are the contents of JSON strings, with their escapes, in
// the memory of the input.
type Envelope struct {
	Control             bool // CONTROL_MESSAGE: has no log events
	LogGroup, LogStream []byte

	events []byte // the list of events
}

// Decoder decompresses envelopes and decodes their events. It reuses its memory and must not be used concurrently. The zero value
// is ready to use.
type Decoder struct {
	zip         *gzip.Reader // nil until it is needed
	in          bytes.Reader
	message, id []byte
}

const (
	dataMessage    = "DATA_MESSAGE"
	controlMessage = "CONTROL_MESSAGE"
)

// Parse parses the object at i and returns the index after it. ok reports whether it is an envelope: it has a known type and a list of
// events, in any order. bad is not nil if the bytes are not a valid JSON object.
func Parse(b []byte, i int) (e Envelope, ok bool, next int, bad *jsonscan.Bad) {
	if i >= len(b) || b[i] != '{' {
		return e, false, i, jsonscan.BadJSON
	}
	known := false
	next, bad = jsonscan.Members(b, i, func(name []byte, escaped bool, value []byte) *jsonscan.Bad {
		if escaped {
			return nil
		}
		switch string(name) {
		case "messageType":
			text := content(value)
			e.Control = string(text) == controlMessage
			known = e.Control || string(text) == dataMessage
		case "logGroup":
			e.LogGroup = content(value)
		case "logStream":
			e.LogStream = content(value)
		case "logEvents":
			e.events = nil
			if value[0] == '[' {
				e.events = value
			}
		}
		return nil
	})
	return e, bad == nil && known && e.events != nil, next, bad
}

// content returns the content of a string, and nil for any other value.
func content(value []byte) []byte {
	if value[0] != '"' {
		return nil
	}
	return value[1 : len(value)-1]
}

// Events calls fn with each event of an envelope that Parse returned, in order. A control message has none.
func (d *Decoder) Events(e Envelope, fn func(Event)) {
	if e.Control {
		return
	}
	// Parse has checked the list, so nothing in it is bad.
	i := jsonscan.SpaceEnd(e.events, 1)
	for more := e.events[i] != ']'; more; {
		end, _ := jsonscan.ValueEnd(e.events, i, 2)
		fn(d.event(e.events[i:end]))
		i, more, _ = jsonscan.MoreOrEnd(e.events, end, ']')
	}
}

func (d *Decoder) event(value []byte) (e Event) {
	if value[0] != '{' {
		return e
	}
	_, _ = jsonscan.Members(value, 0, func(name []byte, escaped bool, value []byte) *jsonscan.Bad {
		if escaped {
			return nil
		}
		switch string(name) {
		case "id":
			e.ID, d.id = text(d.id, value)
		case "message":
			e.Message, d.message = text(d.message, value)
		case "timestamp":
			e.Timestamp, _ = strconv.ParseInt(string(value), 10, 64) // 0 if it is not a number of milliseconds
		}
		return nil
	})
	return e
}

// text returns the decoded content of a string, in storage if it has escapes, and nil for any other value.
func text(storage, value []byte) (decoded, grown []byte) {
	raw := content(value)
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, storage
	}
	grown = jsonscan.Unescape(storage[:0], raw)
	return grown, grown
}

// Compressed reports whether data begins like gzip.
func Compressed(data []byte) bool { return bytes.HasPrefix(data, []byte("\x1f\x8b\x08")) }

// The reasons why Expand returns no data.
var (
	BadGzip = &jsonscan.Bad{Reason: "the record is damaged gzip data"}
	BadSize = &jsonscan.Bad{Reason: "the record is too large when it is decompressed"}
)

// Expand appends the decompressed bytes of all gzip members of data to dst. It stops with BadSize when they are more than maxBytes,
// which limits the memory for data that a client made. On an error it returns dst unchanged.
func (d *Decoder) Expand(dst, data []byte, maxBytes int) ([]byte, *jsonscan.Bad) {
	d.in.Reset(data)
	var err error
	if d.zip == nil {
		d.zip, err = gzip.NewReader(&d.in)
	} else {
		err = d.zip.Reset(&d.in)
	}
	if err != nil {
		return dst, BadGzip
	}
	out := bytes.NewBuffer(dst)
	n, err := io.Copy(out, io.LimitReader(d.zip, int64(maxBytes)+1))
	switch {
	case err != nil:
		return dst, BadGzip
	case n > int64(maxBytes):
		return dst, BadSize
	}
	return out.Bytes(), nil
}
