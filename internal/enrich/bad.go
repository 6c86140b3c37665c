package enrich

// Bad says why a record belongs in the error output instead of the bucket. Reason is one of a
// few fixed texts: it never holds any of the record's content, so it may be logged and counted.
type Bad struct{ Reason string }

// Error is the reason.
func (b *Bad) Error() string { return b.Reason }

// The reasons. They are values, not constructors, so that a bad record costs no allocation.
var (
	badEmpty     = &Bad{"the record is empty"}
	badSize      = &Bad{"the record is larger than the limit"}
	badJSON      = &Bad{"the record is not valid JSON"}
	badTruncated = &Bad{"the record is not valid JSON: it ends too early"}
	badUTF8      = &Bad{"the record is not valid UTF-8"}
	badDepth     = &Bad{"the record is nested too deeply"}
	badObject    = &Bad{"the record is not a JSON object"}
)
