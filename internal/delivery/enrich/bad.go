package enrich

import "github.com/stagelog/stagelog/internal/encoding/jsonscan"

// Bad is the reason why a record belongs in the error output. Reason is one of a few fixed texts
// without any of the record's content, so it can be logged and counted.
type Bad = jsonscan.Bad

// Reasons, in addition to those of jsonscan.
var (
	badEmpty  = &Bad{Reason: "the record is empty"}
	badSize   = &Bad{Reason: "the record is larger than the limit"}
	badObject = &Bad{Reason: "the record is not a JSON object"}
)
