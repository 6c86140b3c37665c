package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// SetTag is the key of the tag that lists the keys of the tags from stagelog.yaml, each as its TagPrint, so that a later deploy removes those
// that stagelog.yaml no longer has, and no others. It is set only if there are such tags.
const SetTag = "stagelog-tags"

// StagesTag is the key of a tag of the delivery stream. It is set if the stages' owners set their access logs, so that later runs of
// deploy, doctor and destroy know it.
const StagesTag = "stagelog-stages"

// StreamTags returns the tags of the delivery stream.
func (s *Spec) StreamTags() map[string]string {
	tags := s.Tags()
	if s.StagesElsewhere {
		tags[StagesTag] = "elsewhere"
	}
	return tags
}

// Tags returns the tags of every resource: OwnerTag, those of stagelog.yaml, and SetTag.
func (s *Spec) Tags() map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, s.Pipeline.AWS.Tags)
	if len(tags) > 0 {
		var set strings.Builder
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			set.WriteString(TagPrint(key))
		}
		tags[SetTag] = set.String()
	}
	tags[OwnerTag] = s.Owner()
	return tags
}

// TagPrint returns 8 characters that stand for a key: the value of one tag, at most 256 characters, could not hold the keys themselves.
func TagPrint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:4])
}

// WasSet reports whether an earlier deploy set the tag with this key, by the value of SetTag.
func WasSet(key, set string) bool {
	for ; len(set) >= 8; set = set[8:] {
		if set[:8] == TagPrint(key) {
			return true
		}
	}
	return false
}
