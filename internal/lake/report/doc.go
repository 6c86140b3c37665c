// Package report writes the result of a query as a table, CSV, JSON or an HTML page.
//
// Logs contain text that clients chose: control and bidirectional characters are escaped, and a CSV cell cannot be a
// spreadsheet formula.
package report
