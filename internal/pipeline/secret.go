package pipeline

import "log/slog"

// Secret is a text that no message, log line or document shows. string(s) is the text itself.
type Secret string

const masked = "****"

// String is "****", whatever the secret is.
func (Secret) String() string { return masked }

// GoString is "****": %#v shows no more than %v.
func (Secret) GoString() string { return masked }

// LogValue is "****".
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText is "****", for JSON and other encodings.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalYAML is "****".
func (Secret) MarshalYAML() (any, error) { return masked, nil }
