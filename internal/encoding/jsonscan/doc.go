// Package jsonscan reads JSON where it stands, byte by byte and without allocation: strictly what
// RFC 8259 allows. The functions take the bytes and an index, and give the index behind what
// they read. It also mends the curly quotes that a log format copied from a web page has.
package jsonscan

// Bad says why bytes are no JSON. Reason is one of a few fixed texts: it never holds any of
// the content, so it may be logged and counted.
type Bad struct{ Reason string }

// Error is the reason.
func (b *Bad) Error() string { return b.Reason }

// The reasons. They are values, not constructors, so that a bad record costs no allocation.
var (
	BadJSON      = &Bad{"the record is not valid JSON"}
	BadTruncated = &Bad{"the record is not valid JSON: it ends too early"}
	BadUTF8      = &Bad{"the record is not valid UTF-8"}
	BadDepth     = &Bad{"the record is nested too deeply"}
)
