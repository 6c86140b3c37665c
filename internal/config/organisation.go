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

	// PermissionsBoundary is the ARN of the policy that bounds both roles; "" leaves a boundary unchanged, None removes it.
	PermissionsBoundary string
	RolePath            string // of both roles, with a / at both ends; "" is /
	// FunctionRole and FirehoseRole are ARNs of existing roles; "" if deploy creates the role.
	FunctionRole, FirehoseRole string
	// LogKey is the ARN of the key that encrypts the log groups and the function's environment; "" leaves them unchanged, None removes it.
	LogKey string
}

// None is the value that removes a permissions boundary or a key.
const None = "none"

// keep is the value that leaves a setting as it is.
const keep = "keep"

var (
	boundaryPattern = regexp.MustCompile(`^(none|arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[!-~]{1,640})$`)
	rolePathPattern = regexp.MustCompile(`^/([!-~]{1,510}/)?$`)
	rolePattern     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]+/)?[\w+=,.@-]{1,64}$`)
)

// readOrganisation reads the keys of Organisation from those of aws:.
func readOrganisation(p *Pipeline, m map[string]yamlfile.Value) {
	a := &p.AWS
	readTags(a, m["tags"])
	a.PermissionsBoundary = m["permissions_boundary"].Matching(boundaryPattern, "the ARN of a policy, like arn:aws:iam::123456789012:policy/NAME, or none")
	a.RolePath = m["role_path"].Matching(rolePathPattern, "a path that begins and ends with /, like /delivery/")
	a.FunctionRole, a.FirehoseRole = readRole(p, m["function_role"]), readRole(p, m["firehose_role"])
	a.LogKey = m["kms_key"].Checked(func(text string) string {
		if text == None || keyPattern.MatchString(text) {
			return ""
		}
		return "expected the ARN of a KMS key, like arn:aws:kms:eu-west-1:123456789012:key/ID, or none"
	})
	for _, key := range []string{"permissions_boundary", "role_path"} {
		if m[key].Exists() && a.FunctionRole != "" && a.FirehoseRole != "" {
			m[key].Warnf("remove it", "it has no effect: function_role and firehose_role name existing roles")
		}
	}
}

// readRole reads the ARN of a role. A service can only use a role of its own account.
func readRole(p *Pipeline, v yamlfile.Value) string {
	role := v.Matching(rolePattern, "the ARN of a role, like arn:aws:iam::123456789012:role/NAME")
	if account := strings.Split(role, ":"); role != "" && p.AccountGiven && account[4] != p.Account {
		v.Problemf("name a role of account "+p.Account, "the role is in account %s, but a service can only use a role of its own account", account[4])
	}
	return role
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
