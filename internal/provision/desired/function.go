package desired

import (
	"maps"
	"runtime"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// Function is the settings of the enrichment function.
type Function struct {
	Name         string
	Description  string
	Role         string // ARN
	Runtime      types.Runtime
	Handler      string
	Architecture string
	Memory       int32 // MiB
	// Timeout is in seconds: the most that Firehose waits for with its default of 60 s of buffering. A batch takes milliseconds.
	Timeout     int32
	Environment map[string]string // without the secret in SaltVariable

	Zip     []byte // its code; nil when it is not known
	Builtin bool   // it is part of the process behind the endpoint; nothing creates it
	Salted  bool   // it needs a secret in SaltVariable
}

func (s *Spec) function() Function {
	return Function{
		Name: s.Function(), Description: "Adds the usage plan and the customer to API Gateway's access logs",
		Role: s.RoleARN(s.FunctionRole()), Runtime: types.RuntimeProvidedal2023, Handler: "bootstrap",
		Architecture: s.Architecture, Memory: int32(s.Pipeline.AWS.Memory), Timeout: 60, Environment: s.environment(),
		Zip: s.Zip, Builtin: s.Builtin, Salted: s.Pipeline.APIKey == "hash" && !s.Builtin,
	}
}

// HostArchitecture returns the architecture of this machine in Lambda's words.
func HostArchitecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// SaltVariable holds the secret of api_key: hash. Deploy draws it when it makes the function,
// and keeps it from then on: with another one the same key would have another hash.
const SaltVariable = "STAGELOG_HASH_SALT"

// environment returns the variables of the enrichment function. Names of fields stand for a format of the user's own: all
// variables of a function together may have 4 KB, and a format alone more than that.
func (s *Spec) environment() map[string]string {
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
		"STAGELOG_SNAPSHOT":      "s3://" + s.Bucket() + "/" + SnapshotKey,
	}
	if _, known := accesslog.Preset(p.FormatName); !known {
		env["STAGELOG_FORMAT"] = formatWithoutKey
		maps.Copy(env, fieldVariables(p.Format))
	}
	return env
}

// fieldVariables names the fields of a format of the user's own.
func fieldVariables(format string) map[string]string {
	f, err := accesslog.Parse(format)
	if err != nil {
		return nil // stagelog.yaml's loader has checked it
	}
	fields := f.Fields()
	env := map[string]string{"STAGELOG_FIELD_KEY_ID": fields.KeyID, "STAGELOG_FIELD_API_ID": fields.APIID, "STAGELOG_FIELD_STAGE": fields.Stage}
	if fields.APIKey != "" {
		env["STAGELOG_FIELD_API_KEY"] = fields.APIKey
	}
	return env
}

// formatWithoutKey is a preset that has no field for a key's value, so that no other field is masked.
const formatWithoutKey = "usage"
