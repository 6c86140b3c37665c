package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret holds a text that prints as "****" in messages, logs and documents. string(s) returns the text itself.
type Secret string

const masked = "****"

// String returns "****".
func (Secret) String() string { return masked }

// Format writes "****" for every verb: for an invalid verb fmt would print the text.
func (Secret) Format(w fmt.State, _ rune) { io.WriteString(w, masked) }

// LogValue returns "****".
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText returns "****", for JSON and other encodings.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalYAML returns "****".
func (Secret) MarshalYAML() (any, error) { return masked, nil }
