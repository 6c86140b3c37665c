package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that no message, log line or document shows. string(s) is the text itself.
type Secret string

const masked = "****"

// String is "****", whatever the secret is.
func (Secret) String() string { return masked }

// Format writes "****" for every verb: fmt would show the text for those that it takes for a mistake.
func (Secret) Format(w fmt.State, _ rune) { io.WriteString(w, masked) }

// LogValue is "****".
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText is "****", for JSON and other encodings.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalYAML is "****".
func (Secret) MarshalYAML() (any, error) { return masked, nil }
