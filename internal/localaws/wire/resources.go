package wire

import (
	"slices"
	"unicode/utf8"
)

// AWS's limits for the tags of one resource.
const (
	MaxTags     = 50
	MaxTagKey   = 128 // characters
	MaxTagValue = 256 // characters
)

// ValidTag reports whether the lengths of a tag's key and value are within AWS's limits.
func ValidTag(key, value string) bool {
	return key != "" && utf8.RuneCountInString(key) <= MaxTagKey && utf8.RuneCountInString(value) <= MaxTagValue
}

// Page returns at most limit of the sorted names that follow after, the last name of the previous page.
// next is the last name of this page if more names follow, else "".
func Page(names []string, after string, limit int) (page []string, next string) {
	from, found := slices.BinarySearch(names, after)
	if found {
		from++
	}
	page = names[from:]
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1]
	}
	return page, next
}
