package provision

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// SaltVariable holds the secret of api_key: hash. Deploy draws it when it makes the function,
// and keeps it from then on: with another one the same key would have another hash.
const SaltVariable = "STAGELOG_HASH_SALT"

// FunctionEnvironment is what the enrichment function is told, without the secret in
// SaltVariable. Names of fields say what a format of one's own would: all variables of a
// function together may have 4 KB, and a format alone more than that.
func (s *Spec) FunctionEnvironment() map[string]string {
	p := s.Pipeline
	orDash := func(name string) string {
		if name == "" {
			return "-"
		}
		return name
	}
	env := map[string]string{
		"STAGELOG_FORMAT":        p.FormatName,
		"STAGELOG_USAGE_PLAN":    orDash(p.Names.UsagePlan),
		"STAGELOG_CUSTOMER":      orDash(p.Names.Customer),
		"STAGELOG_USAGE_PLAN_ID": orDash(p.Names.UsagePlanID),
		"STAGELOG_API_KEY":       p.APIKey,
		"STAGELOG_SNAPSHOT":      "s3://" + s.Bucket() + "/" + s.SnapshotKey(),
	}
	if _, known := accesslog.Preset(p.FormatName); !known {
		env["STAGELOG_FORMAT"] = formatWithoutKey
		if f, err := accesslog.Parse(p.Format); err == nil { // stagelog.yaml's loader has checked it
			fields := f.Fields()
			env["STAGELOG_FIELD_KEY_ID"], env["STAGELOG_FIELD_API_ID"], env["STAGELOG_FIELD_STAGE"] = fields.KeyID, fields.APIID, fields.Stage
			if fields.APIKey != "" {
				env["STAGELOG_FIELD_API_KEY"] = fields.APIKey
			}
		}
	}
	return env
}

// formatWithoutKey is a preset that has no field for a key's value, so that none is masked
// that is something else.
const formatWithoutKey = "usage"

// hashes says whether the function needs the secret.
func (s *Spec) hashes() bool { return s.Pipeline.APIKey == "hash" }

// environmentText is variables as lines to compare and to show. Values of other names than
// stagelog's are somebody's own, and secrets for all we know: like the salt, they are not shown.
func environmentText(env map[string]string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		if name == SaltVariable || !strings.HasPrefix(name, "STAGELOG_") {
			value = "(set, not shown)"
		}
		lines = append(lines, fmt.Sprintf("%s=%s", name, value))
	}
	return strings.Join(lines, "\n")
}
