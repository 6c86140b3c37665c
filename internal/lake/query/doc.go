// Package query counts the requests of a lake. Reports and the console build their SQL with it.
//
// A Query consists of dimensions, a period and conditions; Run counts each request of the view `requests` once and returns a
// Result. Where returns the same conditions for other statements, and Filter.Match applies them to a request that is not in
// the lake.
//
// Counts, bytes, times and latency percentiles are exact: a percentile is the smallest measured latency that at least this
// share of the requests did not exceed (nearest rank). DuckDB's approximate quantile would be slower here, with an error of
// one percent.
//
// Logs contain text that clients chose: values reach SQL as parameters only.
package query
