package objectkey

import (
	"fmt"
	"strings"
)

// Names of the two members in Firehose's messages.
const (
	prefixMember      = "Prefix"
	errorPrefixMember = "ErrorOutputPrefix"
)

// ParsePrefix parses the Prefix of a destination. "" means the default, yyyy/MM/dd/HH/. The
// default is also appended, without a slash before it, to a prefix without a timestamp
// expression (Firehose's s3-prefixes page). The error is an *Invalid.
func ParsePrefix(s string) (Prefix, error) {
	p, err := parse(s, prefixMember)
	if err != nil {
		return Prefix{}, err
	}
	if p.has(kindErrorType) {
		return Prefix{}, &Invalid{"Prefix must not contain any occurrence of !{firehose:error-output-type}"}
	}
	if !p.has(kindTimestamp) {
		p.parts = append(p.parts, part{kind: kindTimestamp, pattern: mustCompile(defaultPattern)})
	}
	return p, checkLength(p, "prefix")
}

// ParseErrorPrefix parses the ErrorOutputPrefix of a destination. A prefix without
// expressions evaluates to its text, the error output type, and yyyy/MM/dd/HH/. A
// destination without an ErrorOutputPrefix uses its Prefix in the same way, which must
// then be literal: see ParsePrefixes. The error is an *Invalid.
func ParseErrorPrefix(s string) (Prefix, error) {
	p, err := parse(s, errorPrefixMember)
	if err != nil {
		return Prefix{}, err
	}
	switch {
	case p.has(kindPartition):
		return Prefix{}, &Invalid{"Dynamic Partitioning Namespaces can't be part of an error prefix expression"}
	case !p.has(kindTimestamp, kindRandom, kindErrorType):
		p.parts = append(p.parts,
			part{kind: kindErrorType},
			part{kind: kindLiteral, literal: "/"},
			part{kind: kindTimestamp, pattern: mustCompile(defaultPattern)})
	case !p.has(kindErrorType):
		return Prefix{}, &Invalid{"ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}"}
	}
	return p, checkLength(p, errorPrefixMember)
}

// ParsePrefixes parses the two prefixes of a destination. Without an ErrorOutputPrefix, the
// error output is stored below the Prefix. The error is an *Invalid.
func ParsePrefixes(prefix, errorPrefix string) (good, failed Prefix, err error) {
	if good, err = ParsePrefix(prefix); err != nil {
		return Prefix{}, Prefix{}, err
	}
	if errorPrefix == "" {
		if strings.Contains(prefix, "!{") {
			return Prefix{}, Prefix{}, &Invalid{"ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"}
		}
		errorPrefix = prefix
	}
	if failed, err = ParseErrorPrefix(errorPrefix); err != nil {
		return Prefix{}, Prefix{}, err
	}
	return good, failed, nil
}

// Validate reports, as an *Invalid, why Firehose rejects the two prefixes ("" means none)
// on a stream with or without dynamic partitioning. It returns nil if Firehose accepts them.
func Validate(prefix, errorPrefix string, dynamicPartitioning bool) error {
	good, _, err := ParsePrefixes(prefix, errorPrefix)
	switch {
	case err != nil:
		return err
	case dynamicPartitioning && !good.has(kindPartition):
		return &Invalid{"S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled"}
	case !dynamicPartitioning && good.has(kindPartition):
		return &Invalid{"Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled."}
	}
	return nil
}

// Warnings returns the likely mistakes in a prefix that Firehose accepts: the week year, the
// day of the year, and so on. It returns nil for a prefix that Firehose rejects.
func Warnings(prefix string) []string {
	p, err := parse(prefix, prefixMember)
	if err != nil {
		return nil
	}
	var all []string
	for _, part := range p.parts {
		if part.kind == kindTimestamp {
			all = append(all, part.pattern.warnings()...)
		}
	}
	if prefix != "" && !strings.Contains(prefix, "!{") && !strings.HasSuffix(prefix, "/") {
		all = append(all, fmt.Sprintf("the date is appended without a slash: objects go to %s2026/07/13/14/; end the prefix with /", prefix))
	}
	if p.has(kindRandom, kindPartition) && !p.has(kindTimestamp) {
		all = append(all, "there is no timestamp expression, so yyyy/MM/dd/HH/ is appended; add an expression where the date belongs")
	}
	return all
}

func checkLength(p Prefix, what string) error {
	if p.longest() > MaxEvaluated {
		return &Invalid{fmt.Sprintf("Length of evaluated %s cannot be greater than %d", what, MaxEvaluated)}
	}
	return nil
}

// parse splits s into literals and expressions. member is the name of the field in messages.
func parse(s, member string) (Prefix, error) {
	var p Prefix
	for s != "" {
		at := strings.Index(s, "!{")
		if at < 0 {
			at = len(s)
		}
		if at > 0 {
			p.parts = append(p.parts, part{kind: kindLiteral, literal: s[:at]})
		}
		if s = s[at:]; s == "" {
			break
		}
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return Prefix{}, &Invalid{"Invalid expression usage"}
		}
		expr, err := parseExpression(s[len("!{"):end], member)
		if err != nil {
			return Prefix{}, err
		}
		p.parts = append(p.parts, expr)
		s = s[end+1:]
	}
	return p, nil
}

// parseExpression parses namespace:value.
func parseExpression(s, member string) (part, error) {
	namespace, value, ok := strings.Cut(s, ":")
	if !ok || namespace == "" || value == "" || strings.ContainsAny(value, "{") || !isLetters(namespace) {
		return part{}, &Invalid{"Invalid expression usage"}
	}
	invalidValue := &Invalid{"Invalid conversion character used in the value of the expression in " + member}
	switch namespace {
	case "timestamp":
		pat, err := compile(value)
		switch {
		case err == errPattern:
			return part{}, invalidValue
		case err != nil:
			return part{}, &Invalid{fmt.Sprintf("%s in the timestamp expression in %s", err, member)}
		}
		return part{kind: kindTimestamp, pattern: pat}, nil
	case "firehose":
		switch value {
		case "random-string":
			return part{kind: kindRandom}, nil
		case "error-output-type":
			return part{kind: kindErrorType}, nil
		}
		return part{}, invalidValue
	case "partitionKeyFromQuery", "partitionKeyFromLambda":
		return part{kind: kindPartition, literal: value}, nil
	}
	return part{}, &Invalid{fmt.Sprintf("Namespace to the left of colon (%s) is an invalid keyword!", namespace)}
}

func isLetters(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}
