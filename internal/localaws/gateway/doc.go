// Package gateway serves the stages of REST APIs as API Gateway does: it finds the resource, checks the API
// key and the usage plan, forwards the request to the upstream, and writes one access log line.
//
// A Gateway is an http.Handler over the runtime view of the control API. A stage is served at
// /{api}/{stage}/..., and at /{stage}/... for the Host {api}.execute-api.*. Bodies are streamed in both
// directions; upgrades are supported.
//
// Each request to a known stage produces exactly one line, even if it is refused, too large (API Gateway
// does not log a 413), fails upstream or is canceled by the client. The line goes to a Sink. Logger is the
// Sink that sends lines to a delivery stream in batches and never delays a request.
package gateway
