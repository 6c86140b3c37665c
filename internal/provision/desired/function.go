package desired

import (
	"runtime"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
)

// Function holds the settings of the enrichment function.
type Function struct {
	Name         string
	Description  string
	Role         string // ARN
	Runtime      types.Runtime
	Handler      string
	Architecture string
	Memory       int32 // MiB
	// Timeout is in seconds: the longest that Firehose waits with its default buffering of 60 s. A batch takes milliseconds.
	Timeout     int32
	Environment map[string]string // without the secret in SaltVariable
	Key         string            // ARN of the KMS key of the environment; "" leaves it unchanged, config.None removes it

	Zip     []byte // its code; nil if unknown
	Builtin bool   // provided by the process behind the endpoint, so it is not created
	Salted  bool   // needs a secret in SaltVariable
}

func (s *Spec) function() Function {
	return Function{
		Name: s.Function(), Description: "Adds the usage plan and the customer to API Gateway's access logs",
		Role: s.FunctionRoleARN(), Runtime: types.RuntimeProvidedal2023, Handler: "bootstrap",
		Architecture: s.Architecture, Memory: int32(s.Pipeline.AWS.Memory), Timeout: 60, Environment: s.environment(), Key: s.Pipeline.AWS.LogKey,
		Zip: s.Zip, Builtin: s.Builtin, Salted: s.Pipeline.APIKey == "hash" && !s.Builtin,
	}
}

// HostArchitecture returns Lambda's name for the architecture of this machine.
func HostArchitecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// SaltVariable holds the secret of api_key: hash. Deploy generates it when it creates the function,
// and never changes it, because the hashes of keys depend on it.
const SaltVariable = "STAGELOG_HASH_SALT"

// environment returns the variables of the enrichment function. A custom format is reduced to the fields that enrichment
// needs, because all variables of a function are limited to 4 KB.
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
		"STAGELOG_SNAPSHOT":      "s3://" + s.Bucket() + "/" + SnapshotKey(s.Pipeline),
	}
	if _, known := accesslog.Preset(p.FormatName); !known {
		env["STAGELOG_FORMAT"] = enrich.Essential(accesslog.Parse(p.Format))
	}
	return env
}
