// Package config reads stagelog.yaml, the one file that describes a pipeline, for AWS and for one machine.
//
// Parse reports every problem at once, each with its line, the path of the value, what was expected and the nearest
// right name, and returns either a valid Pipeline with its defaults filled in, or Problems. What is valid but unwise is
// in Pipeline.Warnings.
//
// A text may be "env:NAME": the value of an environment variable. No message contains such a value, or an API key.
package config
