package objectkey

import (
	"slices"
	"time"
	"unicode/utf8"
)

// MaxEvaluated is the largest number of characters of an evaluated prefix (Firehose's limit).
const MaxEvaluated = 512

// defaultPattern is appended by Firehose to a prefix without a timestamp expression.
const defaultPattern = "yyyy/MM/dd/HH/"

// Prefix is a parsed Prefix or ErrorOutputPrefix. The zero value evaluates to "".
type Prefix struct {
	parts []part
}

type part struct {
	kind    kind
	literal string  // of kindLiteral; the key of kindPartition
	pattern pattern // of kindTimestamp
}

type kind int

const (
	kindLiteral kind = iota
	kindTimestamp
	kindRandom
	kindErrorType
	kindPartition
)

// Vars holds the values of a prefix's expressions, except for the time.
type Vars struct {
	// ErrorOutputType is the value of !{firehose:error-output-type}.
	ErrorOutputType string
	// Partition holds the partition keys. A missing key evaluates to ""; callers check
	// PartitionKeys first.
	Partition map[string]string
	// Random returns the 11 characters of the next !{firehose:random-string}. A
	// deterministic function makes the name deterministic: see Origin.Random. If it is nil,
	// the expression evaluates to zeros.
	Random func() string
}

// Append appends the evaluated prefix to dst. The timestamps are those of at in its
// location, so the caller converts it to the stream's time zone. It is safe for concurrent use.
func (p Prefix) Append(dst []byte, at time.Time, v Vars) []byte {
	for _, part := range p.parts {
		switch part.kind {
		case kindLiteral:
			dst = append(dst, part.literal...)
		case kindTimestamp:
			dst = part.pattern.append(dst, at)
		case kindRandom:
			if v.Random == nil {
				dst = append(dst, "00000000-00"...)
			} else {
				dst = append(dst, v.Random()...)
			}
		case kindErrorType:
			dst = append(dst, v.ErrorOutputType...)
		case kindPartition:
			dst = append(dst, v.Partition[part.literal]...)
		}
	}
	return dst
}

// PartitionKeys returns the distinct partition keys of the prefix, in order.
func (p Prefix) PartitionKeys() []string {
	var keys []string
	for _, part := range p.parts {
		if part.kind == kindPartition && !slices.Contains(keys, part.literal) {
			keys = append(keys, part.literal)
		}
	}
	return keys
}

func (p Prefix) has(kinds ...kind) bool {
	return slices.ContainsFunc(p.parts, func(part part) bool { return slices.Contains(kinds, part.kind) })
}

// longest returns an upper bound for the length of the evaluated prefix, in characters, at
// any time. Partition keys count as one character each.
func (p Prefix) longest() int {
	// The longest names: a Wednesday in September, with two digits everywhere.
	at := time.Date(2026, time.September, 30, 22, 59, 59, 999_999_999, time.UTC)
	v := Vars{ErrorOutputType: PartitioningFailed, Partition: map[string]string{}}
	for _, key := range p.PartitionKeys() {
		v.Partition[key] = "k"
	}
	return utf8.RuneCount(p.Append(nil, at, v))
}
