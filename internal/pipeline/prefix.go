package pipeline

import (
	"fmt"
	"strings"
)

// maxPrefix is Firehose's limit for a prefix before its expressions are evaluated (API model).
const maxPrefix = 1024

// expression is one !{namespace:value} of a prefix.
type expression struct{ namespace, value string }

func (e expression) String() string { return "!{" + e.namespace + ":" + e.value + "}" }

var errorType = expression{"firehose", "error-output-type"}

// checkPrefixes checks where objects go, against Firehose's rules and against what readers must not see.
func checkPrefixes(p *Pipeline, v value, m map[string]value) {
	if v.file == nil {
		return
	}
	prefix, errorPrefix := m["prefix"].orTop(v), m["error_prefix"].orTop(v)
	good := prefix.expressions(p.Deliver.Prefix)
	bad := errorPrefix.expressions(p.Deliver.ErrorPrefix)
	for _, e := range good {
		if e == errorType {
			prefix.wrong("leave it to error_prefix", "%s is for the error prefix alone", e)
		}
	}
	hasType := false
	for _, e := range bad {
		hasType = hasType || e == errorType
	}
	switch {
	case len(bad) > 0 && !hasType:
		errorPrefix.wrong("add !{firehose:error-output-type}/", "an error prefix with expressions has to have %s", errorType)
	case p.Deliver.ErrorPrefix == "" && len(good) > 0:
		errorPrefix.wrong("write "+DefaultErrorPrefix, "a prefix with expressions needs an error prefix")
	}
	if text := p.Deliver.Prefix; text != "" && !hasTimestamp(good) && !strings.HasSuffix(text, "/") {
		prefix.unwise("end it with /", "Firehose puts the date right behind the prefix: %s2026/07/13/14/…", text)
	}
	// A reader may get all that begins with the prefix up to its first expression.
	readable, _, _ := strings.Cut(p.Deliver.Prefix, "!{")
	if len(p.Readers) > 0 && strings.HasPrefix(p.Deliver.ErrorPrefix, readable) {
		errorPrefix.wrong("let both begin differently, as logs/ and errors/ do",
			"readers may get all that begins with %q, and this begins so too: error objects hold records as they came", readable)
	}
}

func hasTimestamp(all []expression) bool {
	for _, e := range all {
		if e.namespace == "timestamp" {
			return true
		}
	}
	return false
}

// expressions are the expressions of a prefix, each found right or recorded as a mistake.
func (v value) expressions(prefix string) []expression {
	if len(prefix) > maxPrefix {
		v.wrong("", "a prefix has at most %d characters, this one %d", maxPrefix, len(prefix))
		return nil
	}
	if strings.HasPrefix(prefix, "/") {
		v.unwise("leave out the first /", "the prefix begins with /: objects are in a folder without a name")
	}
	var all []expression
	for rest := prefix; ; {
		_, after, found := strings.Cut(rest, "!{")
		if !found {
			return all
		}
		body, next, closed := strings.Cut(after, "}")
		namespace, text, colon := strings.Cut(body, ":")
		if !closed || !colon {
			v.wrong("write !{timestamp:yyyy/MM/dd}", "an expression is !{namespace:value}, found !{%s", after)
			return all
		}
		e := expression{namespace, text}
		if problem, hint := e.problem(); problem != "" {
			v.wrong(hint, "%s: %s", e, problem)
		}
		if namespace == "timestamp" && strings.Contains(unquoted(text), "Y") {
			v.unwise("write yyyy", "%s: Y is the year of the week, so the last days of December may be in next year's folder", e)
		}
		if namespace == "timestamp" && strings.Contains(unquoted(text), "D") {
			v.unwise("write dd", "%s: D is the day of the year, from 1 to 366", e)
		}
		all = append(all, e)
		rest = next
	}
}

// problem says why Firehose refuses an expression.
func (e expression) problem() (problem, hint string) {
	switch e.namespace {
	case "timestamp":
		if e.value == "" {
			return "expected a pattern after the colon", "write !{timestamp:yyyy/MM/dd}"
		}
		if i := strings.IndexAny(unquoted(e.value), "CIJPRTUVbfijloprt"); i >= 0 {
			return fmt.Sprintf("Firehose knows no %q in the pattern of a timestamp", unquoted(e.value)[i]), "put text in single quotes"
		}
	case "firehose":
		if e.value != "random-string" && e.value != "error-output-type" {
			return "there is no such value", didYouMean(e.value, []string{"random-string", "error-output-type"})
		}
	case "partitionKeyFromQuery", "partitionKeyFromLambda":
		return "this stream has no dynamic partitioning", "leave it out"
	default:
		return "there is no such namespace", didYouMean(e.namespace, []string{"timestamp", "firehose"})
	}
	return "", ""
}

// unquoted is a pattern of Java's DateTimeFormatter without its text in single quotes.
func unquoted(pattern string) string {
	var b strings.Builder
	for i, part := range strings.Split(pattern, "'") {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}
