package enrich

import "github.com/stagelog/stagelog/internal/encoding/jsonscan"

// Bad says why a record belongs in the error output instead of the bucket. Reason is one of a
// few fixed texts: it never holds any of the record's content, so it may be logged and counted.
type Bad = jsonscan.Bad

// The reasons, beside those of jsonscan.
var (
	badEmpty  = &Bad{Reason: "the record is empty"}
	badSize   = &Bad{Reason: "the record is larger than the limit"}
	badObject = &Bad{Reason: "the record is not a JSON object"}
)
