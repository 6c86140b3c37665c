package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config/yamlfile"
	"github.com/stagelog/stagelog/internal/record"
)

// MaxBytes is the size of the largest file that Load and Parse accept.
const MaxBytes = 1 << 20

// Problem and Problems describe what is wrong, or unwise, in a file.
type (
	Problem  = yamlfile.Problem
	Problems = yamlfile.Problems
)

// Load reads the file at path. getenv resolves values of the form "env:NAME". The error is Problems if the content is
// invalid, and wraps the file system's error if the file cannot be read.
func Load(path string, getenv func(string) string) (*Pipeline, error) {
	data, err := yamlfile.Load(path, MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	return Parse(path, data, getenv)
}

// Parse reads the content of a file called name. The error is always Problems: all of them, in the order of the lines.
func Parse(name string, data []byte, getenv func(string) string) (*Pipeline, error) {
	var p *Pipeline
	opts := yamlfile.Options{MaxBytes: MaxBytes, Getenv: getenv, EmptyHint: "`stagelog init` writes an example"}
	warnings, err := yamlfile.Read(name, data, opts, func(top yamlfile.Value) { p = readPipeline(top) })
	if err != nil {
		return nil, err
	}
	p.warnings = warnings
	return p, nil
}

func readPipeline(top yamlfile.Value) *Pipeline {
	p := defaults()
	m := top.Mapping("name", "bucket", "readers", "preset", "region", "account", "stages", "format", "api_key", "names", "deliver", "aws", "local")
	p.usePreset(m["preset"].OneOf("none", "apiable"))
	p.Name = top.Required(m, "name").Checked(checkName)
	p.Bucket = top.Required(m, "bucket").Checked(checkBucket)
	p.RegionGiven, p.AccountGiven = m["region"].Exists(), m["account"].Exists()
	p.Region = cmp.Or(m["region"].Matching(regionPattern, "an AWS Region like eu-west-1"), p.Region)
	p.Account = cmp.Or(m["account"].Matching(accountPattern, expectedAccount), p.Account)
	p.Readers = readAccounts(m["readers"], p.Account)
	for _, v := range m["stages"].List() {
		if ref, ok := readStage(v); ok {
			p.Stages = appendOnce(p.Stages, ref, v)
		}
	}
	readFormat(p, m["format"])
	p.APIKey = cmp.Or(m["api_key"].OneOf("mask", "hash", "drop", "keep"), p.APIKey)
	if p.APIKey != "keep" && !accesslog.Parse(p.Format).HidesAPIKey() {
		m["format"].Or(top).Problemf("give the key a field of its own, remove it, or set api_key: keep", "the API key's value is in a field's name, or shares a field with other variables: it cannot be hidden there")
	}
	readNames(p, m["names"], m["format"].Or(top))
	readDeliver(p, m["deliver"])
	readAWS(p, m["aws"])
	if v := m["local"]; v.Exists() {
		p.Local = readLocal(v)
	}
	return p
}

// maxReaders bounds the accounts so that a bucket policy (S3: at most 20 KB) can name each of them for three actions.
const maxReaders = 120

// readAccounts reads the readers. The owner cannot be one: its credentials may do everything.
func readAccounts(list yamlfile.Value, owner string) []string {
	var accounts []string
	for i, v := range list.List() {
		if i == maxReaders {
			v.Problemf("", "too many readers: a bucket policy (at most 20 KB) can hold %d", maxReaders)
			break
		}
		// The text of the file, not the number that YAML reads: an account may begin with 0.
		account := v.Matching(accountPattern, expectedAccount)
		switch account {
		case "":
		case owner:
			v.Problemf("", "%s is the pipeline's own account, which can already read everything", owner)
		default:
			accounts = appendOnce(accounts, account, v)
		}
	}
	return accounts
}

// appendOnce appends an item, or records a problem if the list has it.
func appendOnce[T comparable](all []T, item T, v yamlfile.Value) []T {
	if slices.Contains(all, item) {
		v.Problemf("", "duplicate item")
		return all
	}
	return append(all, item)
}

// readStage reads "api/stage" or {api: …, stage: …}.
func readStage(v yamlfile.Value) (record.StageRef, bool) {
	if v.IsMapping() {
		m := v.Mapping("api", "stage")
		ref := record.StageRef{
			API:   v.Required(m, "api").Word(apiPattern, expectedAPI),
			Stage: v.Required(m, "stage").Word(stagePattern, expectedStage),
		}
		return ref, ref.API != "" && ref.Stage != ""
	}
	text, ok := v.Literal()
	if !ok {
		return record.StageRef{}, false
	}
	api, stage, _ := strings.Cut(text, "/")
	if !apiPattern.MatchString(api) || !stagePattern.MatchString(stage) {
		v.Problemf("write it like shop/prod", "expected a stage as api/stage, found %s", v.Shown())
		return record.StageRef{}, false
	}
	return record.StageRef{API: api, Stage: stage}, true
}

// readFormat reads the name of a preset or a format.
func readFormat(p *Pipeline, v yamlfile.Value) {
	text, ok := v.Literal()
	if !ok {
		return
	}
	if preset, known := accesslog.Preset(text); known {
		p.Format, p.FormatName = preset, text
	} else if !strings.ContainsAny(text, "{$") {
		v.Problemf(yamlfile.DidYouMean(text, accesslog.Presets()), "%s is neither the name of a format nor a format", v.Shown())
		return
	} else {
		p.Format, p.FormatName = text, "custom"
	}
	for _, finding := range accesslog.Lint(p.Format) {
		switch finding.Severity {
		case accesslog.Error:
			v.Problemf(finding.Fix, "byte %d: %s [%s]", finding.Offset, finding.Message, finding.Code)
		case accesslog.Warning:
			v.Warnf(finding.Fix, "%s [%s]", finding.Message, finding.Code)
		}
	}
}
