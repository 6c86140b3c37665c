package lake

import (
	"bytes"

	"github.com/stagelog/stagelog/internal/encoding/cwlogs"
	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// maxWraps limits how many wrappers are in each other: an envelope of CloudWatch Logs, in it the object of a log shipper, in it
// the line.
const maxWraps = 3

// wrapperNames are the names of the fields in which log shippers put a line, in plainName's form.
var wrapperNames = map[string]bool{
	"logevents": true, "events": true, // CloudWatch Logs: subscriptions, and the command line
	"@message": true, // CloudWatch Logs Insights
	"message":  true, // Vector, Logstash, Filebeat, Datadog, SNS
	"log":      true, // Docker, Fluent Bit
	"msg":      true, "body": true, "raw": true,
	"line":  true,                   // Loki
	"event": true, "original": true, // Splunk, Elastic
	"source": true, // Elasticsearch
}

// wrapper is the memory of one level of wrappers.
type wrapper struct {
	decoder cwlogs.Decoder
	text    []byte
}

// stamp is the time that a wrapper has. It is that of a line without one.
type stamp struct {
	known    bool
	micro    int64
	zoneless int64 // 1 if it has no zone
}

// offer notes a value that may wrap a line: of several, a string that looks like an object, else a list, else an object.
func (r *lineReader) offer(value []byte) {
	if r.depth == 0 && promise(value) > promise(r.wrapped) {
		r.wrapped = value
	}
}

func promise(value []byte) int {
	switch {
	case len(value) < 3: // {}, [] or ""
		return 0
	case value[0] == '[':
		return 2
	case value[0] == '{':
		return 1
	case value[0] != '"':
		return 0
	}
	switch c := bytes.TrimLeft(bytes.TrimPrefix(value[1:], []byte(byteOrderMark)), ` \nrt`); {
	case c[0] == '{' || c[0] == '[':
		return 3
	case c[0]-'0' <= 9 && bytes.IndexByte(c, '{') > 0: // a time, and then an object
		return 3
	}
	return 0
}

// unwrap reads the lines that the current object wraps, and reports whether it wraps any. An access log line stays one: if it has
// only one field that only access logs have, such as a path, it may be a wrapper. If the format is known, a line that has not all
// of its fields may be one too, because the fields in the wrapper were counted by their names and not by their variables.
func (r *lineReader) unwrap(object []byte) bool {
	if r.wraps == maxWraps || r.isWhole() || r.own == 0 && r.seen.count.telling() > 1 {
		return false
	}
	before, isLog, outer := r.mark(), r.isLog(), r.outer
	if r.row[colTime] != nil {
		r.outer = stamp{true, r.micro, r.seen.zoneless}
	}
	r.wraps++
	r.contents(object)
	r.wraps--
	r.outer = outer
	if isLog && r.count.rows+r.count.doctor == before.count.rows+before.count.doctor {
		r.back(before)
		r.begin()
		_, _ = r.objectOf(object, 0)
		return false
	}
	return true
}

// contents reads what the current object wraps.
func (r *lineReader) contents(object []byte) {
	w := &r.wrappers[r.wraps-1]
	text := r.wrapped
	switch text[0] {
	case '[':
		if envelope, ok, _, _ := cwlogs.Parse(object, 0); ok {
			if envelope.Control {
				r.count.control++
			}
			w.decoder.Events(envelope, func(e cwlogs.Event) {
				if e.Timestamp > 0 {
					r.outer = stamp{known: true, micro: e.Timestamp * 1000}
				}
				r.message(e.Message)
			})
			return
		}
	case '"':
		w.text = jsonscan.Unescape(w.text[:0], text[1:len(text)-1])
		text = w.text
	}
	r.message(text)
}

// message reads a text that may be a line.
func (r *lineReader) message(text []byte) {
	text = bytes.Trim(bytes.TrimPrefix(text, []byte(byteOrderMark)), " \t\r\n")
	switch {
	case len(text) > 0 && (text[0] == '{' || text[0] == '['):
		r.line(text)
	case !r.stamped(text):
		r.n++
		r.count.other++
	}
}

// maxStampBytes limits what precedes an object on its line.
const maxStampBytes = 256

// stamped reads an object that follows a time and other words on its line, as export tasks of CloudWatch Logs, container
// runtimes and syslog write it. It reports false if there is none, or if the words have no time and the object is no access log line.
func (r *lineReader) stamped(line []byte) bool {
	at := bytes.IndexByte(line[:min(len(line), maxStampBytes)], '{')
	if at <= 0 {
		return false
	}
	before, outer := r.mark(), r.outer
	s := stampOf(bytes.Fields(line[:at]))
	if s.known {
		r.outer = s
	}
	r.line(line[at:])
	r.outer = outer
	if s.known || r.count.rows+r.count.doctor > before.count.rows+before.count.doctor && r.count.bad == before.count.bad {
		return true
	}
	r.back(before)
	return false
}

// stampOf returns the time that the first one or two words are.
func stampOf(words [][]byte) (s stamp) {
	for n := 1; n <= min(2, len(words)) && !s.known; n++ {
		var zoneless bool
		if s.micro, zoneless, s.known = parseTime(bytes.Join(words[:n], []byte(" "))); zoneless {
			s.zoneless = 1
		}
	}
	return s
}
