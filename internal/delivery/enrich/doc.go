// Package enrich adds the usage plan and the customer to access log records. It does no I/O and
// does not allocate per record.
//
// A record is one JSON object, or several with or without white space between them. It is parsed
// once, strictly; numbers, order, escapes, white space and unknown members keep their bytes. The key
// id, the API id, the stage and the API key's value are where the log format has them, at any depth;
// the value is hidden in each of its places. If a key id, API id or stage is repeated, the last one is
// used, as in most JSON parsers.
//
// The fields are appended before the closing brace, and each object ends with one newline. If the record
// already has a member with an output's name, a value other than `-` is kept, and `-` is replaced in
// place. If such a member is repeated with different values, all are kept unchanged.
//
// Lines may be wrapped: in CloudWatch Logs' envelopes, in a member of a log router's object, after a time, and
// compressed. They are unwrapped, so that the output has bare lines only. This may allocate, but only records that
// are not bare lines are examined for it.
//
// Any other record is rejected with a *Bad, and goes to the error output. One mistake is repaired:
// curly quotes around names and values, which come from log formats copied from web pages.
package enrich
