package lambda

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// codeInput holds the members of FunctionCode, which UpdateFunctionCode has as well.
type codeInput struct {
	ZipFile         []byte
	S3Bucket        string
	S3Key           string
	S3ObjectVersion string
	ImageURI        string `json:"ImageUri"`
	SourceKMSKeyARN string `json:"SourceKMSKeyArn"`
}

// settings holds the members that CreateFunction and UpdateFunctionConfiguration share. nil: not given.
type settings struct {
	Role             *string
	Handler          *string
	Description      *string
	Runtime          *string
	Timeout          *int
	MemorySize       *int
	Environment      *environment
	EphemeralStorage *struct{ Size int }
	LoggingConfig    *struct{ LogFormat, LogGroup, ApplicationLogLevel, SystemLogLevel string }
	TracingConfig    *struct{ Mode string }
	RevisionID       string `json:"RevisionId"`
}

// unsupported refuses unsupported members that would change the function's behaviour. A member is harmless if it is empty or
// has the default that some tools send.
func unsupported(body []byte) *wire.Error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return badContent("Could not parse request body into json.")
	}
	harmless := map[string][]string{
		"VpcConfig":              {`{"SubnetIds":[],"SecurityGroupIds":[]}`, `{"SecurityGroupIds":[],"SubnetIds":[]}`},
		"SnapStart":              {`{"ApplyOn":"None"}`},
		"PackageType":            {`"Zip"`},
		"Publish":                {`false`},
		"DeadLetterConfig":       {`{"TargetArn":""}`},
		"KMSKeyArn":              nil,
		"Layers":                 nil,
		"FileSystemConfigs":      nil,
		"ImageConfig":            nil,
		"CodeSigningConfigArn":   nil,
		"CapacityProviderConfig": nil,
		"PublishTo":              nil,
		"DurableConfig":          nil,
		"TenancyConfig":          nil,
	}
	for _, name := range slices.Sorted(maps.Keys(harmless)) {
		value, given := members[name]
		if !given {
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return badContent("Could not parse request body into json.")
		}
		v := compact.String()
		if !slices.Contains([]string{"null", `""`, "[]", "{}"}, v) && !slices.Contains(harmless[name], v) {
			return invalid("%s is not supported here.", name)
		}
	}
	return nil
}

const rolePattern = `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`

var (
	roleExpression     = regexp.MustCompile(`^` + rolePattern + `$`)
	variableExpression = regexp.MustCompile(`^[a-zA-Z]([a-zA-Z0-9_])+$`)
)

// apply checks the given settings and sets them in doc.
func (in *settings) apply(doc *document) *wire.Error {
	if in.Runtime != nil {
		if apiErr := checkRuntime(*in.Runtime); apiErr != nil {
			return apiErr
		}
		doc.Runtime = *in.Runtime
	}
	if in.Role != nil {
		if !roleExpression.MatchString(*in.Role) {
			return validation(*in.Role, "role", "Member must satisfy regular expression pattern: "+rolePattern)
		}
		doc.Role = *in.Role
	}
	if in.Handler != nil {
		if len(*in.Handler) > 128 || strings.ContainsAny(*in.Handler, " \t\r\n") {
			return validation(*in.Handler, "handler", `Member must satisfy regular expression pattern: [^\s]+`)
		}
		doc.Handler = *in.Handler
	}
	if in.Description != nil {
		if len(*in.Description) > 256 {
			return validation("…", "description", "Member must have length less than or equal to 256")
		}
		doc.Description = *in.Description
	}
	if apiErr := in.applySizes(doc); apiErr != nil {
		return apiErr
	}
	return in.applyRest(doc)
}

func checkRuntime(runtime string) *wire.Error {
	if runtime != "provided.al2023" && runtime != "provided.al2" {
		return invalid("The runtime parameter of %s is not supported here. Use provided.al2023 (or provided.al2) with a zip that has an "+
			"executable named bootstrap at its root.", runtime)
	}
	return nil
}

func (in *settings) applySizes(doc *document) *wire.Error {
	for _, size := range []struct {
		given    *int
		member   string
		min, max int
		to       *int
	}{
		{in.Timeout, "timeout", 1, maxTimeoutS, &doc.TimeoutS},
		{in.MemorySize, "memorySize", record.MinFunctionMemoryMiB, record.MaxFunctionMemoryMiB, &doc.MemoryMB},
		{in.storage(), "ephemeralStorage.size", defaultStorageMB, maxStorageMB, &doc.StorageMB},
	} {
		switch {
		case size.given == nil:
		case *size.given < size.min:
			return validationNumber(*size.given, size.member, "greater", size.min)
		case *size.given > size.max:
			return validationNumber(*size.given, size.member, "less", size.max)
		default:
			*size.to = *size.given
		}
	}
	return nil
}

func (in *settings) storage() *int {
	if in.EphemeralStorage == nil {
		return nil
	}
	return &in.EphemeralStorage.Size
}

func (in *settings) applyRest(doc *document) *wire.Error {
	if in.Environment != nil {
		if apiErr := checkEnvironment(in.Environment.Variables); apiErr != nil {
			return apiErr
		}
		doc.Environment = in.Environment.Variables
	}
	if in.TracingConfig != nil && in.TracingConfig.Mode != "PassThrough" && in.TracingConfig.Mode != "" {
		return invalid("TracingConfig.Mode %s is not supported here: X-Ray is not available.", in.TracingConfig.Mode)
	}
	if in.LoggingConfig != nil {
		if f := in.LoggingConfig.LogFormat; f != "" {
			doc.LogFormat = f
		}
		if g := in.LoggingConfig.LogGroup; g != "" {
			doc.LogGroup = g
		}
	}
	return nil
}

// maxEnvironmentBytes is Lambda's limit for all variables together (AWS: 4 KB).
const maxEnvironmentBytes = 4096

// checkEnvironment checks variables as Lambda does. Its messages never contain a value.
func checkEnvironment(variables map[string]string) *wire.Error {
	total := 0
	var reserved []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if !variableExpression.MatchString(name) {
			return validation(name, "environment.variables", "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]")
		}
		if strings.ContainsRune(variables[name], 0) {
			return invalid("The environment variable %s contains a character that is not allowed.", name)
		}
		if isReserved(name) {
			reserved = append(reserved, name)
		}
		total += len(name) + len(variables[name])
	}
	if len(reserved) > 0 {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided "+
			"contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(reserved, ", "))
	}
	if total > maxEnvironmentBytes {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided " +
			"exceeded the 4KB limit.")
	}
	return nil
}

// isReserved reports whether Lambda sets the variable itself.
func isReserved(name string) bool {
	switch name {
	case "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR":
		return true
	}
	return strings.HasPrefix(name, "AWS_LAMBDA_")
}
