package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// MaxBytes is the largest file that is read.
const MaxBytes = 1 << 20

// Load reads the file at path. getenv answers for values that are "env:NAME". The error is Mistakes where the content is
// wrong, and wraps the file system's where there is none to read.
func Load(path string, getenv func(string) string) (*Pipeline, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read pipeline %s: %w", path, err)
	}
	return Parse(path, data, getenv)
}

// Parse reads the content of a file called name. The error is always Mistakes: all of them, in the order of the lines.
func Parse(name string, data []byte, getenv func(string) string) (*Pipeline, error) {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	f := &file{name: name, getenv: getenv}
	p := f.read(data)
	f.mistakes.sort()
	f.warnings.sort()
	if len(f.mistakes) > 0 {
		return nil, f.mistakes
	}
	p.warnings = f.warnings
	return p, nil
}

func (f *file) read(data []byte) *Pipeline {
	whole := value{file: f}
	if len(data) > MaxBytes {
		whole.wrong("", "the file is larger than %d bytes", MaxBytes)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		whole.wrong("`stagelog init` writes one to begin with", "the file is empty")
		return nil
	case err != nil:
		f.syntax(err, data)
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		value{file: f, at: &more}.wrong("", "a second document begins here; expected one")
	case !errors.Is(err, io.EOF):
		f.syntax(err, data)
	}
	if len(doc.Content) != 1 || isNull(doc.Content[0]) {
		whole.wrong("`stagelog init` writes one to begin with", "the file is empty")
		return nil
	}
	return f.pipeline(whole.child(doc.Content[0], ""))
}

var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax records what the YAML parser said.
func (f *file) syntax(err error, data []byte) {
	m := Mistake{File: f.name, Message: "not YAML: " + syntaxLine.ReplaceAllString(err.Error(), "")}
	if found := syntaxLine.FindStringSubmatch(err.Error()); found != nil && found[1] != "" {
		m.Line, _ = strconv.Atoi(found[1])
		m.Column = 1
	}
	for i, line := range strings.Split(string(data), "\n") {
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
			m.Line, m.Column = i+1, strings.IndexByte(line, '\t')+1
			m.Message, m.Hint = "not YAML: a tab stands where the line is indented", "indent with spaces"
			break
		}
	}
	f.mistakes = append(f.mistakes, m)
}

func (f *file) pipeline(top value) *Pipeline {
	p := defaults()
	m := top.mapping("name", "bucket", "readers", "preset", "region", "account", "stages", "format", "api_key", "names", "deliver", "aws", "local")
	if v := m["preset"]; v.exists() {
		p.usePreset(v.oneOf("none", "apiable"))
	}
	p.Name = top.required(m, "name").checked(checkName)
	p.Bucket = top.required(m, "bucket").checked(checkBucket)
	if v := m["region"]; v.exists() {
		p.Region = v.matching(regionPattern, "an AWS Region like eu-west-1")
		p.RegionGiven = true
	}
	if v := m["account"]; v.exists() {
		p.Account = v.matching(accountPattern, "an AWS account: 12 digits")
		p.AccountGiven = true
	}
	p.Readers = readAccounts(m["readers"], p.Account)
	for _, v := range m["stages"].list() {
		if ref, ok := readStage(v); ok {
			p.Stages = appendOnce(p.Stages, ref, v)
		}
	}
	if v := m["format"]; v.exists() {
		readFormat(p, v)
	}
	if v := m["api_key"]; v.exists() {
		p.APIKey = v.oneOf("mask", "hash", "drop", "keep")
	}
	readNames(p, m["names"].orNone())
	readDeliver(p, m["deliver"].orNone())
	readAWS(p, m["aws"].orNone())
	if v := m["local"]; v.exists() {
		p.Local = readLocal(v)
	}
	return p
}

// orNone is v, or the value that is not there where v has nothing in it: all its keys may be commented out.
func (v value) orNone() value {
	if !v.exists() {
		return value{}
	}
	return v
}

// required is the value of a key that must be there, and have a value. What it records a mistake about it returns as missing.
func (v value) required(m map[string]value, key string) value {
	c, given := m[key]
	switch {
	case v.node == nil || v.node.Kind != yaml.MappingNode:
		return value{} // said already
	case !given:
		missing := v
		missing.path = join(v.path, key)
		missing.wrong("", "missing")
		return value{}
	case c.node != nil && c.node.Kind == yaml.ScalarNode && c.node.Value == "" || !c.exists():
		c.wrong("", "no value given")
		return value{}
	}
	return c
}

// oneOf is a word out of a few.
func (v value) oneOf(words ...string) string {
	text, ok := v.literal()
	if ok && !slices.Contains(words, text) {
		v.wrong(didYouMean(text, words), "%s is not known", v.shown())
		return ""
	}
	return text
}

// matching is a text of a form.
func (v value) matching(pattern *regexp.Regexp, expected string) string {
	text, ok := v.text()
	if ok && !pattern.MatchString(text) {
		v.wrong("", "expected %s, found %s", expected, v.shown())
		return ""
	}
	return text
}

// word is a text of a form that the file itself has: other places of the file, and messages, name things by it.
func (v value) word(pattern *regexp.Regexp, expected string) string {
	text, ok := v.literal()
	if ok && !pattern.MatchString(text) {
		v.wrong("", "expected %s, found %s", expected, v.shown())
		return ""
	}
	return text
}

// hidden begins what a check says when the text must not stand in front of it.
const hidden = "\x00"

// checked is a text that check finds nothing against. What check says must not quote the text.
func (v value) checked(check func(string) string) string {
	text, ok := v.text()
	if !ok {
		return ""
	}
	problem := check(text)
	if said, ok := strings.CutPrefix(problem, hidden); ok {
		v.wrong("", "%s", said)
		return ""
	}
	if problem != "" {
		v.wrong("", "%s: %s", v.shown(), problem)
		return ""
	}
	return text
}

// whole is a whole number between two bounds.
func (v value) whole(least, most int) int {
	text, ok := v.literal()
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		v.wrong("", "expected a whole number from %d to %d, found %s", least, most, v.shown())
		return 0
	}
	return n
}

// maxReaders is how many accounts fit a bucket policy (S3: 20 KB) that names each of them for three actions.
const maxReaders = 120

// readAccounts reads the readers. The owner is not one: its credentials may do everything.
func readAccounts(list value, owner string) []string {
	var accounts []string
	for i, v := range list.list() {
		if i == maxReaders {
			v.wrong("", "a bucket's policy, which has at most 20 KB, holds no more than %d readers", maxReaders)
			break
		}
		// The text as it stands, not the number that YAML makes of it: an account may begin with 0.
		account := v.matching(accountPattern, "an AWS account: 12 digits")
		switch account {
		case "":
		case owner:
			v.wrong("", "%s is the pipeline's own account, which may read everything already", owner)
		default:
			accounts = appendOnce(accounts, account, v)
		}
	}
	return accounts
}

// appendOnce appends an item, or records that it is there already.
func appendOnce[T comparable](all []T, item T, v value) []T {
	if slices.Contains(all, item) {
		v.wrong("", "in the list already")
		return all
	}
	return append(all, item)
}

// readStage reads "api/stage" or {api: …, stage: …}.
func readStage(v value) (StageRef, bool) {
	if v.node != nil && v.node.Kind == yaml.MappingNode {
		m := v.mapping("api", "stage")
		ref := StageRef{
			API:   v.required(m, "api").word(apiPattern, expectedAPI),
			Stage: v.required(m, "stage").word(stagePattern, expectedStage),
		}
		return ref, ref.API != "" && ref.Stage != ""
	}
	text, ok := v.literal()
	if !ok {
		return StageRef{}, false
	}
	api, stage, _ := strings.Cut(text, "/")
	if !apiPattern.MatchString(api) || !stagePattern.MatchString(stage) {
		v.wrong("write it like shop/prod", "expected a stage as api/stage, found %s", v.shown())
		return StageRef{}, false
	}
	return StageRef{api, stage}, true
}

// readFormat reads the name of a preset, or a format.
func readFormat(p *Pipeline, v value) {
	text, ok := v.literal()
	if !ok {
		return
	}
	if preset, known := accesslog.Preset(text); known {
		p.Format, p.FormatName = preset, text
	} else if !strings.ContainsAny(text, "{$") {
		v.wrong(didYouMean(text, accesslog.Presets()), "%s is neither a format of ours nor one of your own", v.shown())
		return
	} else {
		p.Format, p.FormatName = text, "custom"
	}
	for _, finding := range accesslog.Lint(p.Format) {
		switch finding.Severity {
		case accesslog.Error:
			v.wrong(finding.Fix, "byte %d: %s [%s]", finding.Offset, finding.Message, finding.Code)
		case accesslog.Warning:
			v.unwise(finding.Fix, "%s [%s]", finding.Message, finding.Code)
		}
	}
}
