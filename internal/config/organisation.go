package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
)

// Organisation holds the settings that the administrators of an AWS organisation may require. `stagelog up` does not use them.
type Organisation struct {
	Tags map[string]string // on every resource that can have tags, besides the pipeline's own
}

// Limits of tags. The characters are those that every service of the pipeline accepts; IAM's are the fewest.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
const (
	maxTagKey   = 128
	maxTagValue = 256
	// MaxTags is the number of tags whose keys deploy can remember in the value of one tag.
	MaxTags = 32
)

var tagPattern = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

const tagCharacters = "letters, digits, spaces and _ . : / = + - @ only"

func readTags(a *AWS, v yamlfile.Value) {
	names, values := v.Entries()
	folded := map[string]string{}
	for _, name := range names {
		c := values[name]
		if problem := checkTagKey(name); problem != "" {
			c.Problemf("", "%s", problem)
			continue
		}
		if other, twice := folded[strings.ToLower(name)]; twice {
			c.Problemf("remove one of them", "the key differs from %s only by case, which IAM does not accept", other)
			continue
		}
		folded[strings.ToLower(name)] = name
		text := ""
		if c.Exists() {
			text = c.Checked(checkTagValue)
		}
		if a.Tags == nil {
			a.Tags = map[string]string{}
		}
		a.Tags[name] = text
	}
	if len(names) > MaxTags {
		v.Problemf("", "too many tags: %d, at most %d are allowed", len(names), MaxTags)
	}
}

// checkTagKey returns why a text cannot be the key of a tag, or "".
func checkTagKey(key string) string {
	lower := strings.ToLower(key)
	switch {
	case key == "" || strings.TrimSpace(key) != key:
		return "the key of a tag must not be empty, and must not begin or end with a space"
	case utf8.RuneCountInString(key) > maxTagKey:
		return fmt.Sprintf("the key of a tag has at most %d characters", maxTagKey)
	case strings.HasPrefix(lower, "aws:"):
		return "AWS reserves keys that begin with aws:"
	case lower == "stagelog" || strings.HasPrefix(lower, "stagelog-"):
		return "stagelog marks its resources with this key; choose another"
	case !tagPattern.MatchString(key):
		return "the key of a tag may contain " + tagCharacters
	}
	return ""
}

// checkTagValue returns why a text cannot be the value of a tag, or "".
func checkTagValue(value string) string {
	switch {
	case utf8.RuneCountInString(value) > maxTagValue:
		return fmt.Sprintf("the value of a tag has at most %d characters", maxTagValue)
	case !tagPattern.MatchString(value):
		return "the value of a tag may contain " + tagCharacters
	}
	return ""
}
