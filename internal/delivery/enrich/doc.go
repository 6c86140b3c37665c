// Package enrich adds the usage plan and the customer to access log records: one record's bytes in,
// enriched bytes out. It does no I/O and allocates nothing per record.
//
// A record is one JSON object, or several with or without white space between them. It is read once,
// strictly; numbers, order, escapes, white space and unknown members keep their bytes. The fields are
// appended before the last brace, and each object ends with one newline. Where the record already
// has a member of an output's name, a value other than `-` is kept, and `-` is replaced where it
// stands. If such a name is repeated and the values differ, all stay as they came. Of a repeated key
// id, API id or stage the last one counts, as it does for most JSON parsers.
//
// A record that is none of this is refused with a *Bad, and goes to the error output. One mistake is
// repaired: curly quotes around names and values, which a log format copied from a web page produces.
package enrich
