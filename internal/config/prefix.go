package config

import (
	"strings"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
)

// maxPrefix is Firehose's limit for a prefix before its expressions are evaluated (API model).
const maxPrefix = 1024

// Hints with valid prefixes.
const (
	likePrefix      = "write it like logs/!{timestamp:yyyy/MM/dd/HH}/"
	likeErrorPrefix = "write it like " + DefaultErrorPrefix
)

// checkPrefixes checks the prefixes against Firehose's rules, with Firehose's messages, and against access of readers to error objects.
func checkPrefixes(p *Pipeline, v yamlfile.Value, m map[string]yamlfile.Value) {
	if !v.Exists() {
		return // the defaults are valid
	}
	prefix, errorPrefix := m["prefix"].Or(v), m["error_prefix"].Or(v)
	good, failed := p.Deliver.Prefix, p.Deliver.ErrorPrefix
	parsed, err := objectkey.ParsePrefix(good)
	sound := checkPrefix(prefix, good, err, likePrefix)
	if failed != "" {
		_, err := objectkey.ParseErrorPrefix(failed)
		sound = checkPrefix(errorPrefix, failed, err, likeErrorPrefix) && sound
	} else if err := objectkey.Validate(good, failed, len(parsed.PartitionKeys()) > 0); sound && err != nil {
		errorPrefix.Problemf(likeErrorPrefix, "%v", err)
		return
	}
	if len(parsed.PartitionKeys()) > 0 {
		prefix.Problemf("remove them", "partition keys need dynamic partitioning, which the pipeline's stream does not have")
		return
	}
	if sound {
		p.checkReaders(prefix, errorPrefix)
	}
}

// checkPrefix records the problems and warnings of one prefix, for which Firehose returns err. It reports whether the
// prefix is valid.
func checkPrefix(v yamlfile.Value, prefix string, err error, hint string) bool {
	switch {
	case len(prefix) > maxPrefix:
		v.Problemf("", "expected a prefix of at most %d characters, found %d", maxPrefix, len(prefix))
		return false
	case err != nil:
		v.Problemf(hint, "%v", err)
		return false
	}
	if strings.HasPrefix(prefix, "/") {
		v.Warnf("remove the first /", "the prefix begins with /: objects would be in a folder without a name")
	}
	for _, w := range objectkey.Warnings(prefix) {
		v.Warnf("", "%s", w)
	}
	return true
}

// checkReaders reports prefixes with which readers could get error objects, which hold original records. Readers may get
// every object whose key begins with the prefix up to its first expression.
func (p *Pipeline) checkReaders(prefix, errorPrefix yamlfile.Value) {
	if len(p.Readers) == 0 {
		return
	}
	readable, _, _ := strings.Cut(p.Deliver.Prefix, "!{")
	if strings.ContainsAny(readable, "*?") || strings.Contains(readable, "${") {
		prefix.Problemf("", "*, ? and ${ are wildcards in a bucket policy: readers could read objects outside the prefix")
	}
	failed := p.Deliver.ErrorPrefix
	if failed == "" {
		failed = p.Deliver.Prefix // Firehose's default
	}
	if strings.HasPrefix(failed, readable) {
		errorPrefix.Problemf("use prefixes that begin differently, like logs/ and errors/",
			"readers can read every object below %q, which would include error objects with unmodified records", readable)
	}
}
