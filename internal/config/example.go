package config

import (
	"bytes"
	_ "embed" // for the example
	"encoding/json"
)

//go:embed example.yaml
var exampleYAML []byte

// Example returns the commented file that `stagelog init` writes. It is valid if name and bucket are; Parse checks them.
func Example(name, bucket string) []byte {
	y := bytes.Replace(exampleYAML, []byte("name: NAME "), []byte("name: "+plain(name)+" "), 1)
	return bytes.Replace(y, []byte("bucket: BUCKET"), []byte("bucket: "+plain(bucket)), 1)
}

// plain returns a text as a YAML value, in quotes unless it is safe without.
func plain(s string) string {
	if safe := namePattern.MatchString(s) || bucketPattern.MatchString(s); safe && s[0] >= 'A' && !reserved(s) {
		return s
	}
	quoted, err := json.Marshal(s) // JSON's strings are YAML's
	if err != nil {
		return `""`
	}
	return string(quoted)
}

// reserved reports whether YAML reads the word as something other than text.
func reserved(s string) bool {
	switch s {
	case "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE":
		return true
	}
	return false
}
