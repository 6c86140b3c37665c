package record

import "time"

// Object is one entry of a bucket's listing.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time
	ETag     string // without quotes
}

// Meta describes the content of an object.
type Meta struct {
	Size            int64
	ContentType     string
	ContentEncoding string            // "" means none
	User            map[string]string // user-defined metadata; keys are in lower case
}
