// Package query counts the requests of a lake: one builder of SQL for reports and the console.
//
// A Query names dimensions, a period and conditions; Run counts each request of the view `requests` once and returns a
// Result. Where returns the same conditions for statements that read requests themselves, and Filter.Match applies them
// to one request that is not in the lake.
//
// Counts, bytes and times are exact, and so are the latency percentiles: each is a latency that was measured, the
// smallest that at least this share of the requests with a latency did not exceed (nearest rank). DuckDB's approximate
// quantile would be slower here and off by a percent.
//
// Logs contain what clients sent: values reach SQL as parameters only.
package query
