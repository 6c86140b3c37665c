package config

import (
	"strings"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
)

// maxPrefix is Firehose's limit for a prefix before its expressions are evaluated (API model).
const maxPrefix = 1024

// Right prefixes, for hints.
const (
	likePrefix      = "write it like logs/!{timestamp:yyyy/MM/dd/HH}/"
	likeErrorPrefix = "write it like " + DefaultErrorPrefix
)

// checkPrefixes checks where objects go, against Firehose's rules, in Firehose's words, and against what readers must not see.
func checkPrefixes(p *Pipeline, v value, m map[string]value) {
	if v.file == nil {
		return // the defaults are right
	}
	prefix, errorPrefix := m["prefix"].orTop(v), m["error_prefix"].orTop(v)
	good, failed := p.Deliver.Prefix, p.Deliver.ErrorPrefix
	parsed, err := objectkey.ParsePrefix(good)
	sound := prefix.soundPrefix(good, err, likePrefix)
	if failed != "" {
		_, err := objectkey.ParseErrorPrefix(failed)
		sound = errorPrefix.soundPrefix(failed, err, likeErrorPrefix) && sound
	} else if err := objectkey.Validate(good, failed, len(parsed.PartitionKeys()) > 0); sound && err != nil {
		errorPrefix.wrong(likeErrorPrefix, "%v", err)
		return
	}
	if len(parsed.PartitionKeys()) > 0 {
		prefix.wrong("leave them out", "partition keys are for streams with dynamic partitioning, which a pipeline's has not")
		return
	}
	if sound {
		p.checkReaders(prefix, errorPrefix)
	}
}

// soundPrefix records what is wrong or unwise about one prefix, of which err is what Firehose says.
func (v value) soundPrefix(prefix string, err error, hint string) bool {
	switch {
	case len(prefix) > maxPrefix:
		v.wrong("", "a prefix has at most %d characters, this one %d", maxPrefix, len(prefix))
		return false
	case err != nil:
		v.wrong(hint, "%v", err)
		return false
	}
	if strings.HasPrefix(prefix, "/") {
		v.unwise("leave out the first /", "the prefix begins with /: objects are in a folder without a name")
	}
	for _, w := range objectkey.Warnings(prefix) {
		v.unwise("", "%s", w)
	}
	return true
}

// checkReaders holds that readers cannot get error objects, which hold records as they came: they may get all that begins
// with the prefix up to its first expression.
func (p *Pipeline) checkReaders(prefix, errorPrefix value) {
	if len(p.Readers) == 0 {
		return
	}
	readable, _, _ := strings.Cut(p.Deliver.Prefix, "!{")
	if strings.ContainsAny(readable, "*?") || strings.Contains(readable, "${") {
		prefix.wrong("", "a bucket policy takes *, ? and ${ for placeholders: readers would get more than is meant")
	}
	failed := p.Deliver.ErrorPrefix
	if failed == "" {
		failed = p.Deliver.Prefix // Firehose's default
	}
	if strings.HasPrefix(failed, readable) {
		errorPrefix.wrong("let the two begin differently, as logs/ and errors/ do",
			"readers may get all that begins with %q, and error objects, which hold records as they came, would too", readable)
	}
}
