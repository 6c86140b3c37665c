// Package report answers who used what, how much and how well, from the requests of a lake.
//
// A Query names dimensions, a time, and conditions; Run counts each request of the lake's view
// `requests` once and gives a Report, which writes itself as a table, CSV, JSON or a page of HTML.
//
// Counts, bytes and times are exact, and so are the latency percentiles: each is a latency that was
// measured, the smallest that at least this share of the requests with a latency did not exceed
// (nearest rank). DuckDB's approximate quantile would be slower here and a percent off.
//
// What logs contain was sent by strangers. Values reach SQL as parameters only; what is printed
// has control and bidirectional characters escaped; CSV cannot begin a spreadsheet formula.
package report
