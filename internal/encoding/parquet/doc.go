// Package parquet converts JSON records to Parquet files and Parquet files to JSON lines. It
// follows Firehose's record format conversion with the OpenX JSON SerDe as input format and the
// Parquet SerDe as output format. It does no I/O of its own.
package parquet
