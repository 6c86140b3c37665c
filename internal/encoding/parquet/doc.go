// Package parquet makes Parquet files of JSON records, and JSON lines of Parquet files: Firehose's record format
// conversion with the OpenX JSON SerDe in and the Parquet SerDe out. Pure: it reads and writes what it is given.
package parquet
