// Package firehose serves Data Firehose's API for Direct PUT streams with an S3 destination: the
// definitions of delivery streams, and the wire protocol of their records. Package ingest stores the
// records: a 200 to PutRecord or PutRecordBatch means that they are synced.
//
// Requests are checked in two layers, as in the service: against the API model
// (ValidationException, all violations at once), then for their meaning
// (InvalidArgumentException). Options that this project does not implement are rejected, never
// ignored. Messages of the service are used verbatim; all others contain the next step.
package firehose
