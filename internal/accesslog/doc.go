// Package accesslog is the word room for API Gateway's access log formats.
//
// A format is a line of text with $context variables in it. API Gateway replaces each
// variable by its value, or by "-" when it has none, and changes nothing else: quotes,
// commas and the newline at the end are the format's own. Parse reads a format, Fields
// says which JSON field holds which variable, AppendValues renders a line, Lint says what
// is wrong with a format and Fix mends what can be mended. Presets are the formats that we
// offer, the Catalogue says what each variable holds.
//
// Variables are named as they are written, with "$context." in front. The package is pure:
// no I/O, no state, and every Format may be used by several goroutines at once.
package accesslog
