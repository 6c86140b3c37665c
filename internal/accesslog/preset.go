package accesslog

import "strings"

// The built-in formats. Each is one line of JSON that ends with a newline. A field that several presets share has the same
// name in all of them. Only Classic contains the API key's value: a stream's source backup and error output store lines
// unchanged, so masking during enrichment would be too late there.
const (
	// Classic has the 13 fields that existing consumers expect, in their order. It contains the API key's value, and its
	// request id can be set by clients.
	Classic = `{"api_id":"$context.apiId","api_key":"$context.identity.apiKey","key_id":"$context.identity.apiKeyId",` +
		`"ip":"$context.identity.sourceIp","method":"$context.httpMethod","uri":"$context.path",` +
		`"response_size":"$context.responseLength","response_status":"$context.status","resource_id":"$context.resourceId",` +
		`"request_id":"$context.requestId","request_latency":"$context.responseLatency",` +
		`"request_time":"$context.requestTime","stage":"$context.stage"}` + "\n"

	// Usage has the fields for usage reports: caller, plan, route and outcome.
	Usage = "{" + usageFields + "}\n"

	// Full adds fields to Usage that help to find the cause of an error: client, integration, authorizer, firewall.
	Full = "{" + usageFields +
		`,"account_id":"$context.accountId","protocol":"$context.protocol","domain_name":"$context.domainName",` +
		`"tls_version":"$context.tlsVersion","user_agent":"$context.identity.userAgent","user_arn":"$context.identity.userArn",` +
		`"principal_id":"$context.authorizer.principalId","authorizer_status":"$context.authorizer.status",` +
		`"authorizer_latency":"$context.authorizer.latency","integration_status":"$context.integration.status",` +
		`"integration_latency":"$context.integration.latency","integration_error":"$context.integration.error",` +
		`"error_message":"$context.error.message","error_type":"$context.error.responseType",` +
		`"validation_error":"$context.error.validationErrorString","waf_response_code":"$context.wafResponseCode",` +
		`"xray_trace_id":"$context.xrayTraceId"}` + "\n"

	usageFields = `"api_id":"$context.apiId","stage":"$context.stage","key_id":"$context.identity.apiKeyId",` +
		`"ip":"$context.identity.sourceIp","method":"$context.httpMethod","uri":"$context.path",` +
		`"resource_path":"$context.resourcePath","resource_id":"$context.resourceId",` +
		`"response_size":"$context.responseLength","response_status":"$context.status",` +
		`"request_latency":"$context.responseLatency","request_time":"$context.requestTime",` +
		`"request_time_epoch":"$context.requestTimeEpoch","request_id":"$context.requestId",` +
		`"extended_request_id":"$context.extendedRequestId"`

	// Apiable has the fields of Apiable's usage import, with the time in milliseconds. Plan and subscription come from an
	// authorizer; where there is none, enrichment replaces the "-".
	Apiable = `{"api_id":"$context.apiId","key_id":"$context.identity.apiKeyId","ip":"$context.identity.sourceIp",` +
		`"method":"$context.httpMethod","uri":"$context.path","response_size":"$context.responseLength",` +
		`"response_status":"$context.status","resource_id":"$context.resourceId","request_id":"$context.requestId",` +
		`"extended_request_id":"$context.extendedRequestId","request_latency":"$context.responseLatency",` +
		`"request_time":"$context.requestTimeEpoch","stage":"$context.stage",` +
		`"plan_id":"$context.authorizer.apiable_plan_id",` +
		`"subscription_id":"$context.authorizer.apiable_subscription_id"}` + "\n"
)

// Presets returns the names of the presets, the most used first.
func Presets() []string { return []string{"classic", "usage", "full", "apiable"} }

// Preset returns the format with the given name.
func Preset(name string) (string, bool) {
	format, ok := map[string]string{"classic": Classic, "usage": Usage, "full": Full, "apiable": Apiable}[name]
	return format, ok
}

// Seed returns the format exactly as published on the web page that this project replaces, with curly quotes, uneven spaces
// and no newline. API Gateway accepts it and writes lines that are invalid JSON. Fix turns it into the fields of Classic.
func Seed() string {
	return strings.NewReplacer("<", "\u201c", ">", "\u201d").Replace(
		`{<api_id>: <$context.apiId>,<api_key>: <$context.identity.apiKey>,<key_id>: <$context.identity.apiKeyId>,` +
			`<ip>: <$context.identity.sourceIp>,<method>: <$context.httpMethod>,<uri>: <$context.path>,` +
			`<response_size>:<$context.responseLength>,<response_status>: <$context.status>,` +
			`<resource_id>: <$context.resourceId>,<request_id>: <$context.requestId>,` +
			`<request_latency>: <$context.responseLatency>,<request_time>:<$context.requestTime>,<stage>: <$context.stage>}`)
}
