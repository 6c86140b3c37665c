// Package lake imports delivered objects, each exactly once, into a DuckDB database. Reports, SQL
// and the console read its view `requests`; schema.sql is the contract.
//
// The transaction that adds an object's rows also records its key and ETag, so an import that was
// killed continues where it stopped. Any pipeline's objects can be imported: in any compression,
// with one JSON object per line or several run together, wrapped by CloudWatch Logs or a log
// shipper, with the field names of our formats or of AWS's examples. Lines that are not valid JSON
// are repaired if only one repair is possible. What cannot be read, and JSON that is no access log,
// is counted and listed, and does not stop the import. testdata/corpus has an example of each shape.
//
// Rows are loaded from CSV files of an exact dialect, which is several times faster than inserting values one by one.
package lake
