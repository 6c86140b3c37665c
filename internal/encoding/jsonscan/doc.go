// Package jsonscan scans JSON in place, without allocation, strictly as RFC 8259 defines it.
// Its functions take the bytes and an index, and return the index after what they read.
// FixQuotes repairs the curly quotes of a log format that was copied from a web page.
package jsonscan

// Bad is the reason why bytes are not valid JSON. Reason is one of a few fixed texts without
// any of the content, so it can be logged and counted.
type Bad struct{ Reason string }

// Error returns the reason.
func (b *Bad) Error() string { return b.Reason }

// The reasons. They are values, so that a bad record costs no allocation.
var (
	BadJSON      = &Bad{"the record is not valid JSON"}
	BadTruncated = &Bad{"the record is not valid JSON: it ends too early"}
	BadUTF8      = &Bad{"the record is not valid UTF-8"}
	BadDepth     = &Bad{"the record is nested too deeply"}
)
