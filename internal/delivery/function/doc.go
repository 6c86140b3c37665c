// Package function implements both sides of the Lambda contract of a Firehose transformation.
//
// Handler is the function's side: the JSON of an event in, the JSON of the reply out, with one pass over the bytes and no
// allocation per record. cmd/enricher serves it in Lambda, and a delivery stream can call it in this process.
//
// Call is the stream's side: it builds an event from records, invokes a function and checks the reply record by record, with
// the outcomes and the codes that Firehose documents.
//
// Both sides respect the limit of a synchronous invocation, MaxPayloadBytes. Bundle packs a bootstrap for Lambda.
package function
