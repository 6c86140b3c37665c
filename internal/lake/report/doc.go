// Package report writes what a query of the lake returned: as a table, CSV, JSON or a page of HTML.
//
// Logs contain what clients sent: control and bidirectional characters are escaped, and a cell of CSV cannot begin a
// spreadsheet formula.
package report
