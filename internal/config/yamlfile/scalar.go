package yamlfile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
)

const envPrefix = "env:"

// Literal returns the text of a scalar exactly as the file has it: 0123 keeps its zero. It refuses "env:NAME".
func (v Value) Literal() (string, bool) {
	text, ok := v.scalar()
	if ok && v.file.getenv != nil && strings.HasPrefix(text, envPrefix) {
		v.Problemf("write the value itself", "env:NAME is only allowed for names, accounts, upstreams and keys")
		return "", false
	}
	return text, ok
}

// Text returns the text of a scalar exactly as the file has it, or the value of the environment variable that it names.
// Messages must use Shown instead.
func (v Value) Text() (string, bool) {
	text, ok := v.scalar()
	name, isEnv := strings.CutPrefix(text, envPrefix)
	if !ok || !isEnv || v.file.getenv == nil {
		return text, ok
	}
	if name == "" || strings.ContainsAny(name, "= \t\n\x00") {
		v.Problemf("write env:NAME", "expected the name of an environment variable after env:")
		return "", false
	}
	text = v.file.getenv(name)
	if text == "" {
		v.Problemf("set it, or write the value here", "environment variable %s is not set", printable(name))
	}
	return text, text != ""
}

// Shown returns what messages may quote of a scalar, which is never the value of an environment variable.
func (v Value) Shown() string {
	if v.node == nil {
		return "nothing"
	}
	if name, isEnv := strings.CutPrefix(v.node.Value, envPrefix); isEnv && v.file.getenv != nil {
		return "the value of environment variable " + printable(name)
	}
	return printable(v.node.Value)
}

func (v Value) scalar() (string, bool) {
	if !v.Exists() {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode {
		v.Problemf("", "expected a single value, found %s", kind(v.node))
		return "", false
	}
	if tag := v.node.ShortTag(); !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, tag) {
		v.Problemf("", "expected a plain value, found the tag %s", printable(tag))
		return "", false
	}
	return v.node.Value, true
}

// OneOf returns the literal text if it is one of words.
func (v Value) OneOf(words ...string) string {
	text, ok := v.Literal()
	if ok && !slices.Contains(words, text) {
		v.Problemf(DidYouMean(text, words), "unknown value %s", v.Shown())
		return ""
	}
	return text
}

// Matching returns the text if it matches the pattern.
func (v Value) Matching(pattern *regexp.Regexp, expected string) string {
	text, ok := v.Text()
	return v.match(text, ok, pattern, expected)
}

// Word returns the literal text if it matches the pattern. Use it for names that other parts of the file, or messages,
// refer to.
func (v Value) Word(pattern *regexp.Regexp, expected string) string {
	text, ok := v.Literal()
	return v.match(text, ok, pattern, expected)
}

func (v Value) match(text string, ok bool, pattern *regexp.Regexp, expected string) string {
	if ok && !pattern.MatchString(text) {
		v.Problemf("", "expected %s, found %s", expected, v.Shown())
		return ""
	}
	return text
}

// Checked returns the text if check, which returns what is wrong with it, returns "".
func (v Value) Checked(check func(string) string) string {
	text, ok := v.Text()
	if !ok {
		return ""
	}
	if problem := check(text); problem != "" {
		v.Problemf("", "%s: %s", v.Shown(), problem)
		return ""
	}
	return text
}

// Whole returns a whole number from least to most.
func (v Value) Whole(least, most int64) int64 {
	text, ok := v.Literal()
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		v.Problemf("", "expected a whole number from %d to %d, found %s", least, most, v.Shown())
		return 0
	}
	return n
}

// Duration returns a time span from least to most, which the file writes with its unit, like 60s or 2m.
func (v Value) Duration(least, most time.Duration) time.Duration {
	text, ok := v.Literal()
	if !ok {
		return 0
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		v.Problemf("write "+text+"s for seconds", "expected a duration with a unit, found %s", v.Shown())
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		v.Problemf("write it like 60s or 2m", "expected a duration, found %s", v.Shown())
		return 0
	}
	if d < least || d > most {
		v.Problemf("", "expected a duration from %s to %s, found %s", seconds(least), seconds(most), v.Shown())
		return 0
	}
	return d
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}

// DidYouMean returns the hint of an unknown name: the nearest of names, or all of them.
func DidYouMean(name string, names []string) string {
	if like, ok := nearest.Name(name, names); ok {
		return "did you mean " + like + "?"
	}
	return "expected one of: " + strings.Join(names, ", ")
}

// printable returns a text as messages show it: short, on one line, and quoted unless it is a plain word.
func printable(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	if q := strconv.Quote(s); q[1:len(q)-1] != s || s == "" || strings.ContainsAny(s, " :,") {
		return q
	}
	return s
}
