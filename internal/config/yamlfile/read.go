// Package yamlfile reads YAML files strictly and reports every problem at once: each with its
// line and column, the path of the value, what was expected, and the nearest right name.
//
// A decoder walks the file's values from the top. A method that finds a problem records it and
// returns the zero value, so that the decoder can go on and find the next one.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Options describe what a file may contain.
type Options struct {
	MaxBytes int
	// Getenv resolves a text of the form "env:NAME". If it is nil, such a text has no special meaning.
	Getenv    func(string) string
	EmptyHint string // hint of the problem of an empty file
}

// file is a file while it is being read.
type file struct {
	name     string
	getenv   func(string) string
	problems Problems
	warnings Problems
	aliased  int  // nodes read through aliases
	tooMany  bool // maxAliased was exceeded and the problem recorded
}

// Load returns the content of the file at path. It stops reading soon after maxBytes, so that Read can report the size.
func Load(path string, maxBytes int) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if data, err = io.ReadAll(io.LimitReader(f, int64(maxBytes)+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// Read parses the content of the file called name and calls decode with its top value. The error is Problems, in the
// order of the lines. decode is not called if data is not one YAML document.
func Read(name string, data []byte, opts Options, decode func(Value)) (warnings Problems, err error) {
	f := &file{name: name, getenv: opts.Getenv}
	if top, ok := f.parse(data, opts); ok {
		decode(top)
	}
	f.problems.sort()
	f.warnings.sort()
	if len(f.problems) > 0 {
		return f.warnings, f.problems
	}
	return f.warnings, nil
}

// parse returns the top value of the file's only document.
func (f *file) parse(data []byte, opts Options) (top Value, ok bool) {
	whole := Value{file: f}
	if len(data) > opts.MaxBytes {
		whole.Problemf("", "the file is larger than %d bytes", opts.MaxBytes)
		return Value{}, false
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		whole.Problemf(opts.EmptyHint, "the file is empty")
		return Value{}, false
	case err != nil:
		f.syntax(err, data)
		return Value{}, false
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		Value{file: f, at: &more}.Problemf("", "expected one document, found a second")
	case !errors.Is(err, io.EOF):
		f.syntax(err, data)
	}
	if len(doc.Content) != 1 || isNull(doc.Content[0]) {
		whole.Problemf(opts.EmptyHint, "the file is empty")
		return Value{}, false
	}
	return whole.child(doc.Content[0], ""), true
}

var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax records an error of the YAML parser.
func (f *file) syntax(err error, data []byte) {
	p := Problem{File: f.name, Message: "not YAML: " + syntaxLine.ReplaceAllString(err.Error(), "")}
	if found := syntaxLine.FindStringSubmatch(err.Error()); found != nil && found[1] != "" {
		p.Line, _ = strconv.Atoi(found[1])
		p.Column = 1
	}
	for i, line := range strings.Split(string(data), "\n") {
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
			p.Line, p.Column = i+1, strings.IndexByte(line, '\t')+1
			p.Message, p.Hint = "not YAML: the line is indented with a tab", "indent with spaces"
			break
		}
	}
	f.problems = append(f.problems, p)
}
