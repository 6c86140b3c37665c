package accesslog

import "strings"

// The formats that we offer. Each is one line of JSON that ends in a newline. Fields that several presets share have the
// same name in all of them. All but Classic leave the API key's value out: a stream's source backup and error output hold
// lines as they came, so masking later would be too late there.
const (
	// Classic has the 13 fields, in the order, that partners of long standing expect. It holds the API key's value, and
	// identifies a request by a number that clients can set.
	Classic = `{"api_id":"$context.apiId","api_key":"$context.identity.apiKey","key_id":"$context.identity.apiKeyId",` +
		`"ip":"$context.identity.sourceIp","method":"$context.httpMethod","uri":"$context.path",` +
		`"response_size":"$context.responseLength","response_status":"$context.status","resource_id":"$context.resourceId",` +
		`"request_id":"$context.requestId","request_latency":"$context.responseLatency",` +
		`"request_time":"$context.requestTime","stage":"$context.stage"}` + "\n"

	// Usage says who called what, on which plan, and how it went.
	Usage = `{"api_id":"$context.apiId","stage":"$context.stage","key_id":"$context.identity.apiKeyId",` +
		`"ip":"$context.identity.sourceIp","method":"$context.httpMethod","uri":"$context.path",` +
		`"resource_path":"$context.resourcePath","resource_id":"$context.resourceId",` +
		`"response_size":"$context.responseLength","response_status":"$context.status",` +
		`"request_latency":"$context.responseLatency","request_time":"$context.requestTime",` +
		`"request_time_epoch":"$context.requestTimeEpoch","request_id":"$context.requestId",` +
		`"extended_request_id":"$context.extendedRequestId"}` + "\n"

	// Full is Usage, and what finds the cause of an error: the client, the upstream, the authorizer, the firewall.
	Full = `{"api_id":"$context.apiId","stage":"$context.stage","key_id":"$context.identity.apiKeyId",` +
		`"ip":"$context.identity.sourceIp","method":"$context.httpMethod","uri":"$context.path",` +
		`"resource_path":"$context.resourcePath","resource_id":"$context.resourceId",` +
		`"response_size":"$context.responseLength","response_status":"$context.status",` +
		`"request_latency":"$context.responseLatency","request_time":"$context.requestTime",` +
		`"request_time_epoch":"$context.requestTimeEpoch","request_id":"$context.requestId",` +
		`"extended_request_id":"$context.extendedRequestId",` +
		`"account_id":"$context.accountId","protocol":"$context.protocol","domain_name":"$context.domainName",` +
		`"tls_version":"$context.tlsVersion","user_agent":"$context.identity.userAgent","user_arn":"$context.identity.userArn",` +
		`"principal_id":"$context.authorizer.principalId","authorizer_status":"$context.authorizer.status",` +
		`"authorizer_latency":"$context.authorizer.latency","integration_status":"$context.integration.status",` +
		`"integration_latency":"$context.integration.latency","integration_error":"$context.integration.error",` +
		`"error_message":"$context.error.message","error_type":"$context.error.responseType",` +
		`"validation_error":"$context.error.validationErrorString","waf_response_code":"$context.wafResponseCode",` +
		`"xray_trace_id":"$context.xrayTraceId"}` + "\n"

	// Apiable has the fields of Apiable's usage import: the time in milliseconds, and the plan and the subscription from an
	// authorizer where there is one ("-" is filled in later).
	Apiable = `{"api_id":"$context.apiId","key_id":"$context.identity.apiKeyId","ip":"$context.identity.sourceIp",` +
		`"method":"$context.httpMethod","uri":"$context.path","response_size":"$context.responseLength",` +
		`"response_status":"$context.status","resource_id":"$context.resourceId","request_id":"$context.requestId",` +
		`"extended_request_id":"$context.extendedRequestId","request_latency":"$context.responseLatency",` +
		`"request_time":"$context.requestTimeEpoch","stage":"$context.stage",` +
		`"plan_id":"$context.authorizer.apiable_plan_id",` +
		`"subscription_id":"$context.authorizer.apiable_subscription_id"}` + "\n"
)

// Presets are the names that Preset knows, the most used first.
func Presets() []string { return []string{"classic", "usage", "full", "apiable"} }

// Preset is the format of that name.
func Preset(name string) (string, bool) {
	switch name {
	case "classic":
		return Classic, true
	case "usage":
		return Usage, true
	case "full":
		return Full, true
	case "apiable":
		return Apiable, true
	}
	return "", false
}

// Seed is the format as the web page that this project replaces shows it, curly quotes, uneven spaces and missing newline
// included. API Gateway takes it, and every line that it then writes is invalid JSON. Fix makes Classic's fields of it.
func Seed() string {
	return strings.NewReplacer("<", "\u201c", ">", "\u201d").Replace(
		`{<api_id>: <$context.apiId>,<api_key>: <$context.identity.apiKey>,<key_id>: <$context.identity.apiKeyId>,` +
			`<ip>: <$context.identity.sourceIp>,<method>: <$context.httpMethod>,<uri>: <$context.path>,` +
			`<response_size>:<$context.responseLength>,<response_status>: <$context.status>,` +
			`<resource_id>: <$context.resourceId>,<request_id>: <$context.requestId>,` +
			`<request_latency>: <$context.responseLatency>,<request_time>:<$context.requestTime>,<stage>: <$context.stage>}`)
}
