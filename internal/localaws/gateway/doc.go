// Package gateway serves the stages of REST APIs as API Gateway does: it finds the resource,
// checks the API key and the usage plan, passes the request to the upstream, and writes one
// access log line.
//
// A Gateway is an http.Handler over the runtime view of the control API. A stage is reached at
// /{api}/{stage}/..., or by a Host of {api}.execute-api.* with a path that begins with /{stage}.
// Bodies stream both ways; upgrades pass.
//
// Each request that reaches a known stage gives exactly one line, whatever becomes of it: also a
// refusal, a 413 (which API Gateway does not log), an upstream that fails and a client that goes
// away. The line goes to a Sink. Logger is the Sink that gathers lines into batches and hands
// them to a delivery stream without ever making a request wait.
package gateway
