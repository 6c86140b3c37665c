// Package config reads stagelog.yaml, the one file that describes a pipeline: to AWS and
// to a machine of one's own.
//
// The file is read strictly. Parse finds every mistake at once, each with its line and
// column, the path of the value, what was expected and the nearest right name, and gives
// either a Pipeline that is right in every detail, defaults filled in, or Mistakes. What is
// right but unwise is in Warnings.
//
// A text value may be "env:NAME": the value of an environment variable. Such a value, and
// the value of an API key, stands in no message.
package config
