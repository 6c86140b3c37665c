// Package function is the Lambda contract of a Firehose transformation, both sides of it.
//
// Handler is the function's side: an event's JSON bytes in, the answer's JSON bytes out, with one pass over the bytes and no
// allocation per record. cmd/enricher serves it inside Lambda, and a delivery stream may call it in this process.
//
// Call is the stream's side: it builds an event from records, invokes a function and checks the answer record by record, with
// the outcomes and the codes that Firehose documents.
//
// Both sides share the limit of a synchronous invocation, MaxPayloadBytes. Bundle packs a bootstrap as Lambda wants it.
// The sub-folders run a function here: host is the runtime, api is the control API.
package function
