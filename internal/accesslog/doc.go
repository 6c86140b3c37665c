// Package accesslog parses, checks, repairs and renders the access log formats of API Gateway.
//
// A format is one line of text with $context variables. API Gateway replaces each variable
// by its value, or by "-" when there is none, and copies all other text unchanged, including
// quotes, commas and the newline at the end. Parse reads a format, Fields maps variables to
// JSON fields, AppendValues renders a log line, Lint reports problems and Fix repairs those
// with only one possible repair. Preset returns the built-in formats, Catalogue describes
// every variable.
//
// Variables are named as they are written, including "$context.". The package does no I/O
// and keeps no mutable state; a Format is safe for concurrent use.
package accesslog
