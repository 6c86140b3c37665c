package apigateway

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

const (
	pathAccessLog   = "/accessLogSettings"
	pathDestination = "/accessLogSettings/destinationArn"
	pathFormat      = "/accessLogSettings/format"

	maxFormat = 3 << 10 // AWS documents no limit for REST stages; the guide of its samples says 3 KB

	defaultBurst = 5000  // of a method setting that only has a rate
	defaultRate  = 10000 // requests a second, of a method setting that only has a burst
)

// stagePaths is the list in AWS's message, with the same commas missing.
const stagePaths = "/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, " +
	"/accessLogSettings, /accessLogSettings/destinationArn, /accessLogSettings/format, " +
	"/{resourcePath}/{httpMethod}/metrics/enabled, /{resourcePath}/{httpMethod}/logging/dataTrace, " +
	"/{resourcePath}/{httpMethod}/logging/loglevel, /{resourcePath}/{httpMethod}/throttling/burstLimit" +
	"/{resourcePath}/{httpMethod}/throttling/rateLimit/{resourcePath}/{httpMethod}/caching/ttlInSeconds, " +
	"/{resourcePath}/{httpMethod}/caching/enabled, /{resourcePath}/{httpMethod}/caching/dataEncrypted, " +
	"/{resourcePath}/{httpMethod}/caching/requireAuthorizationForCacheControl, " +
	"/{resourcePath}/{httpMethod}/caching/unauthorizedCacheControlHeaderStrategy, " +
	"/*/*/metrics/enabled, /*/*/logging/dataTrace, /*/*/logging/loglevel, /*/*/throttling/burstLimit " +
	"/*/*/throttling/rateLimit /*/*/caching/ttlInSeconds, /*/*/caching/enabled, /*/*/caching/dataEncrypted, " +
	"/*/*/caching/requireAuthorizationForCacheControl, /*/*/caching/unauthorizedCacheControlHeaderStrategy, " +
	"/variables/{variable_name}, /tracingEnabled"

var (
	firehoseARN = regexp.MustCompile(`^arn:aws[a-z-]*:firehose:[a-z0-9-]+:\d{12}:deliverystream/([a-zA-Z0-9_.-]{1,64})$`)
	logGroupARN = regexp.MustCompile(`^arn:aws[a-z-]*:logs:[a-z0-9-]+:\d{12}:log-group:[a-zA-Z0-9_./#-]{1,512}$`)
)

// patch applies one operation to the stage, which is a copy.
func (st *stage) patch(op patchOp) error {
	if op.Path == pathAccessLog || strings.HasPrefix(op.Path, pathAccessLog+"/") {
		return st.patchAccessLog(op)
	}
	if name, ok := strings.CutPrefix(op.Path, "/variables/"); ok {
		return st.patchVariable(op, unescapePointer(name))
	}
	v := op.value()
	switch op.Path {
	case "/deploymentId":
		if op.Op == "remove" {
			break
		}
		st.DeploymentID = v
		return nil
	case "/description":
		if len(v) > maxDescription {
			return badRequest("Description can be at most %d characters", maxDescription)
		}
		st.Description = v
		return nil
	case "/tracingEnabled", "/cacheClusterEnabled":
		if v != "true" {
			return nil
		}
		return unsupported(strings.TrimPrefix(op.Path, "/") + " on a stage")
	case "/cacheClusterSize", "/clientCertificateId":
		return unsupported(strings.TrimPrefix(op.Path, "/") + " on a stage")
	}
	return st.patchSetting(op)
}

// patchAccessLog changes the access log as recorded from AWS: the two settings are set one by one, and
// only removed together. An attempt to remove one is treated as a method setting of that name.
func (st *stage) patchAccessLog(op patchOp) error {
	if op.Op == "remove" {
		if op.Path != pathAccessLog {
			return noSetting(strings.TrimPrefix(op.Path, "/"))
		}
		st.AccessLog = nil
		return nil
	}
	if op.Path != pathDestination && op.Path != pathFormat {
		return badRequest("Invalid accessLogSettings path. Must be one of : [%s, %s]", pathDestination, pathFormat)
	}
	v := op.value()
	if v == "" {
		return badRequest("%s", accesslog.ErrEmpty)
	}
	if st.AccessLog == nil {
		st.AccessLog = &AccessLog{}
	}
	if op.Path == pathDestination {
		st.AccessLog.DestinationARN = v
		return checkDestination(v)
	}
	if len(v) > maxFormat {
		return badRequest("Access Log format can be at most %d bytes", maxFormat)
	}
	if err := accesslog.ValidateAccessLogFormat(v); err != nil {
		return badRequest("%s", err)
	}
	st.AccessLog.Format = v
	return nil
}

// checkDestination checks only the ARN: AWS accepts a destination that does not exist.
func checkDestination(arn string) error {
	if m := firehoseARN.FindStringSubmatch(arn); m != nil {
		if !strings.HasPrefix(m[1], "amazon-apigateway-") {
			return badRequest("Kinesis Firehose delivery stream name must begin with the characters 'amazon-apigateway-'")
		}
		return nil
	}
	if !logGroupARN.MatchString(arn) {
		return badRequest("The ARN must be a valid CloudWatch Logs log group or Kinesis Data Firehose delivery stream")
	}
	return nil
}

func (st *stage) patchVariable(op patchOp, name string) error {
	if op.Op == "remove" {
		delete(st.Variables, name)
		return nil
	}
	put(&st.Variables, name, op.value())
	return nil
}

// noSetting returns AWS's error, trailing space included.
func noSetting(name string) *wire.Error {
	return badRequest("Cannot remove method setting %s because there is no method setting for this method ", clip(name))
}

// settingName returns the name of a method setting in a stage: the path without its first slash.
func settingName(path, httpMethod string) string {
	return strings.TrimPrefix(path, "/") + "/" + httpMethod
}

// patchSetting changes a method setting: /{resourcePath}/{httpMethod}/throttling/rateLimit,
// where ~1 is a slash of the path, and * means all.
func (st *stage) patchSetting(op patchOp) error {
	parts := op.segments()
	if len(parts) == 2 && op.Op == "remove" {
		name := settingName(parts[0], parts[1])
		if _, ok := st.MethodSettings[name]; !ok {
			return noSetting(name)
		}
		delete(st.MethodSettings, name)
		return nil
	}
	if len(parts) != 4 || op.Op == "remove" {
		return badRequest("Invalid method setting path: %s. Must be one of: [%s]", clip(op.Path), stagePaths)
	}
	name, v := settingName(parts[0], parts[1]), op.value()
	m, ok := st.MethodSettings[name]
	if !ok {
		m = Throttle{Burst: defaultBurst, Rate: defaultRate}
	}
	switch what := parts[2] + "/" + parts[3]; what {
	case "throttling/rateLimit":
		rate, err := strconv.ParseFloat(v, 64)
		if err != nil || !validRate(rate) && rate != -1 {
			return badRequest("Invalid throttling rate limit specified")
		}
		m.Rate = rate
	case "throttling/burstLimit":
		burst, err := strconv.Atoi(v)
		if err != nil || burst < -1 {
			return badRequest("Invalid throttling burst limit specified")
		}
		m.Burst = burst
	case "metrics/enabled", "logging/dataTrace", "caching/enabled", "caching/dataEncrypted":
		if v != "false" {
			return unsupported("the method setting " + what)
		}
	case "logging/loglevel":
		if v != "OFF" {
			return unsupported("the method setting " + what + " other than OFF")
		}
	case "caching/ttlInSeconds", "caching/requireAuthorizationForCacheControl", "caching/unauthorizedCacheControlHeaderStrategy":
		return unsupported("the method setting " + what)
	default:
		return badRequest("Invalid method setting path: %s. Must be one of: [%s]", clip(op.Path), stagePaths)
	}
	put(&st.MethodSettings, name, m)
	if len(st.MethodSettings) > maxSettings {
		return badRequest("Too many method settings")
	}
	return nil
}

// maxSettings is the maximum number of method settings of a stage: one per method of the largest API.
const maxSettings = 8 * maxResources
