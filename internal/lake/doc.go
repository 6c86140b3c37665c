// Package lake makes answers of delivered objects: it imports them, each exactly once, into the
// tables of a DuckDB database, where reports, SQL and the console read the view `requests`.
// schema.sql is what they can rely on.
//
// An object is recorded, by its key and ETag, in the transaction that adds its rows, so an
// import that was killed goes on where it was. Objects of any chain are understood: any
// compression, one line each or run together, fields by the names of our formats and of AWS's
// own examples. What cannot be read is counted and shown, and stops nothing.
//
// Rows go in as CSV files, which DuckDB reads several times faster than values one by one.
package lake
