// Package firehose is the front door: Data Firehose's API for Direct PUT streams with an S3
// destination. It keeps the definitions of delivery streams and takes their records.
//
// A 200 to PutRecord or PutRecordBatch means that the records are in the stream's Log, synced.
// Requests that arrive while an append is under way share the next one (group commit), so
// that many small requests cost few syncs and a lone one does not wait.
//
// Requests are checked in two layers, as the service does: what the API model says
// (ValidationException, all violations at once), then what makes sense
// (InvalidArgumentException). What this project does not do is refused, never ignored. Where a
// message is the service's own, it is quoted; every other one says what to do.
package firehose
