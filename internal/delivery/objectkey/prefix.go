package objectkey

import (
	"slices"
	"time"
	"unicode/utf8"
)

// MaxEvaluated is the most characters of an evaluated prefix (Firehose's limit).
const MaxEvaluated = 512

// defaultPattern is what Firehose appends to a prefix without a timestamp expression.
const defaultPattern = "yyyy/MM/dd/HH/"

// Prefix is a parsed Prefix or ErrorOutputPrefix. The zero value evaluates to nothing.
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

// Vars is what the expressions of a prefix evaluate to, apart from the time.
type Vars struct {
	// ErrorOutputType is the value of !{firehose:error-output-type}.
	ErrorOutputType string
	// Partition holds the partition keys. A missing one evaluates to nothing; callers
	// look at PartitionKeys before.
	Partition map[string]string
	// Random gives the 11 characters of the next !{firehose:random-string}. A
	// deterministic one makes the name deterministic: see Origin.Random. Without one the
	// expression evaluates to zeros.
	Random func() string
}

// Append appends the evaluated prefix to dst. The timestamps are those of at in its
// location, so the caller converts it to the stream's time zone. It may run in parallel.
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

// PartitionKeys is the partition keys that the prefix names, each once, in their order.
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

// longest is at least how many characters the prefix evaluates to, whatever the time;
// partition keys count as one character each.
func (p Prefix) longest() int {
	// The longest names: a Wednesday in September, with two digits everywhere.
	at := time.Date(2026, time.September, 30, 22, 59, 59, 999_999_999, time.UTC)
	v := Vars{ErrorOutputType: PartitioningFailed, Partition: map[string]string{}}
	for _, key := range p.PartitionKeys() {
		v.Partition[key] = "k"
	}
	return utf8.RuneCount(p.Append(nil, at, v))
}
