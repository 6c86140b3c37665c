package objectkey_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
)

// at is Wednesday, 9 September 2026.
var at = time.Date(2026, time.September, 9, 3, 4, 5, 67_890_123, time.UTC)

func eval(t testing.TB, prefix string, at time.Time) string {
	t.Helper()
	p, err := objectkey.ParsePrefix(prefix)
	if err != nil {
		t.Fatalf("ParsePrefix(%q): %v", prefix, err)
	}
	n := 0
	return string(p.Append(nil, at, objectkey.Vars{
		Partition: map[string]string{"customer": "acme", "plan": "gold"},
		Random:    func() string { n++; return strings.Repeat(string(rune('0'+n)), 11) },
	}))
}

func TestPrefixEvaluates(t *testing.T) {
	tests := map[string]struct{ prefix, want string }{
		"default":                    {"", "2026/09/09/03/"},
		"literal, no slash":          {"logs", "logs2026/09/09/03/"},
		"literal":                    {"logs/", "logs/2026/09/09/03/"},
		"timestamp":                  {"logs/!{timestamp:yyyy}/!{timestamp:MM}/", "logs/2026/09/"},
		"hive":                       {"y=!{timestamp:yyyy}/dt=!{timestamp:yyyy-MM-dd}/", "y=2026/dt=2026-09-09/"},
		"quotes":                     {"!{timestamp:'year='yyyy'/month='MM'/'}", "year=2026/month=09/"},
		"two random strings":         {"!{firehose:random-string}/!{firehose:random-string}/!{timestamp:dd}", "11111111111/22222222222/09"},
		"random without a timestamp": {"!{firehose:random-string}/", "11111111111/2026/09/09/03/"},
		"partition":                  {"c=!{partitionKeyFromLambda:customer}/p=!{partitionKeyFromLambda:plan}/!{timestamp:HH}/", "c=acme/p=gold/03/"},
		"exclamation mark":           {"a!b{c}/!{timestamp:yyyy}", "a!b{c}/2026"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := eval(t, tt.prefix, at); got != tt.want {
				t.Errorf("prefix %q = %q, want %q", tt.prefix, got, tt.want)
			}
		})
	}
}

func TestErrorPrefixEvaluates(t *testing.T) {
	tests := map[string]struct{ prefix, errorPrefix, want string }{
		"neither":          {"", "", "processing-failed/2026/09/09/03/"},
		"prefix alone":     {"logs/", "", "logs/processing-failed/2026/09/09/03/"},
		"literal":          {"logs/", "errors/", "errors/processing-failed/2026/09/09/03/"},
		"expressions":      {"logs/!{timestamp:yyyy}/", "e/!{firehose:error-output-type}/!{timestamp:yyyy/MM}/", "e/processing-failed/2026/09/"},
		"no date appended": {"", "e/!{firehose:error-output-type}/", "e/processing-failed/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, p, err := objectkey.ParsePrefixes(tt.prefix, tt.errorPrefix)
			if err != nil {
				t.Fatal(err)
			}
			got := string(p.Append(nil, at, objectkey.Vars{ErrorOutputType: objectkey.ProcessingFailed}))
			if got != tt.want {
				t.Errorf("prefixes %q, %q = %q, want %q", tt.prefix, tt.errorPrefix, got, tt.want)
			}
		})
	}
}

func TestValidateReturnsFirehoseMessages(t *testing.T) {
	const badValue = "Invalid conversion character used in the value of the expression in "
	const errors_ = "e/!{firehose:error-output-type}/"
	tests := []struct {
		name, prefix, errorPrefix string
		partitioning              bool
		want                      string // "" means valid
	}{
		{name: "both empty"},
		{name: "both literal", prefix: "logs/", errorPrefix: "errors/"},
		{name: "both with expressions", prefix: "logs/!{timestamp:yyyy}/", errorPrefix: errors_},
		{name: "no error prefix", prefix: "!{timestamp:yyyy}", want: "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"},
		{name: "no error prefix, random", prefix: "!{firehose:random-string}", want: "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"},
		{name: "no error output type", errorPrefix: "e/!{timestamp:yyyy}/", want: "ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}"},
		{name: "error output type in prefix", prefix: "a/!{firehose:error-output-type}/", errorPrefix: errors_, want: "Prefix must not contain any occurrence of !{firehose:error-output-type}"},
		{name: "namespace", prefix: "!{time:yyyy}", errorPrefix: errors_, want: "Namespace to the left of colon (time) is an invalid keyword!"},
		{name: "namespace in error prefix", errorPrefix: "!{x:y}", want: "Namespace to the left of colon (x) is an invalid keyword!"},
		{name: "not closed", prefix: "a/!{timestamp:yyyy", errorPrefix: errors_, want: "Invalid expression usage"},
		{name: "no colon", prefix: "a/!{timestamp}/", errorPrefix: errors_, want: "Invalid expression usage"},
		{name: "no value", prefix: "a/!{timestamp:}/", errorPrefix: errors_, want: "Invalid expression usage"},
		{name: "nested", prefix: "a/!{timestamp:!{timestamp:yyyy}}/", errorPrefix: errors_, want: "Invalid expression usage"},
		{name: "firehose value", prefix: "!{firehose:random}", errorPrefix: errors_, want: badValue + "Prefix"},
		{name: "letter in error prefix", errorPrefix: errors_ + "!{timestamp:T}", want: badValue + "ErrorOutputPrefix"},
		{name: "ISO 8601 without quotes", prefix: "!{timestamp:yyyy-MM-ddTHH}", errorPrefix: errors_, want: badValue + "Prefix"},
		{name: "ISO 8601 with quotes", prefix: "!{timestamp:yyyy-MM-dd'T'HH}", errorPrefix: errors_},
		{name: "open quote", prefix: "!{timestamp:yyyy'T}", errorPrefix: errors_, want: badValue + "Prefix"},
		{name: "too many letters", prefix: "!{timestamp:ddd}", errorPrefix: errors_, want: badValue + "Prefix"},
		{name: "partition key in error prefix", errorPrefix: errors_ + "!{partitionKeyFromLambda:a}/", want: "Dynamic Partitioning Namespaces can't be part of an error prefix expression"},
		{name: "partitioning off", prefix: "!{partitionKeyFromLambda:a}/", errorPrefix: errors_, want: "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled."},
		{name: "partitioning on", prefix: "!{partitionKeyFromLambda:a}/", errorPrefix: errors_, partitioning: true},
		{name: "partitioning without keys", prefix: "!{timestamp:yyyy}/", errorPrefix: errors_, partitioning: true, want: "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled"},
		{name: "too long", prefix: strings.Repeat("x", 500), errorPrefix: errors_, want: "Length of evaluated prefix cannot be greater than 512"},
		{name: "just fits", prefix: strings.Repeat("x", 512-14), errorPrefix: errors_},
		{name: "too long error prefix", errorPrefix: strings.Repeat("x", 512), want: "Length of evaluated ErrorOutputPrefix cannot be greater than 512"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := objectkey.Validate(tt.prefix, tt.errorPrefix, tt.partitioning); err != nil {
				var invalid *objectkey.Invalid
				if !errors.As(err, &invalid) {
					t.Fatalf("Validate = %T, want *objectkey.Invalid", err)
				}
				got = invalid.Message
			}
			if got != tt.want {
				t.Errorf("Validate(%q, %q, %v) = %q, want %q", tt.prefix, tt.errorPrefix, tt.partitioning, got, tt.want)
			}
		})
	}
}

func TestPatternLettersMatchFirehose(t *testing.T) {
	for c := 'A'; c <= 'z'; c++ {
		if c > 'Z' && c < 'a' {
			continue
		}
		_, err := objectkey.ParsePrefix("!{timestamp:" + string(c) + "}")
		want := !strings.ContainsRune("CIJPRTUVbfijloprtBv", c) // B and v are valid in Firehose but unsupported here
		if (err == nil) != want {
			t.Errorf("letter %c: err = %v, want accepted = %v", c, err, want)
		}
	}
}

func TestPartitionKeys(t *testing.T) {
	p, err := objectkey.ParsePrefix("!{partitionKeyFromLambda:b}/!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:b}/")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "a"}, p.PartitionKeys()); diff != "" {
		t.Errorf("PartitionKeys (-want +got):\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		prefix string
		want   []string // beginnings
	}{
		"fine":           {"logs/!{timestamp:yyyy/MM/dd/HH}/", nil},
		"week year":      {"logs/!{timestamp:YYYY/MM/DD/HH}/", []string{"YYYY is the week-based year", "D is the day of the year"}},
		"reported once":  {"!{timestamp:YYYY'a'YY}", []string{"YYYY"}},
		"half days":      {"!{timestamp:yyyy/hh}/", []string{"h is the hour on a 12-hour clock"}},
		"marked halves":  {"!{timestamp:yyyy/hha}/", nil},
		"minutes":        {"!{timestamp:yyyy/mm/dd}/", []string{"mm is the minute"}},
		"no slash":       {"logs", []string{"the date is appended without a slash"}},
		"random alone":   {"!{firehose:random-string}/", []string{"there is no timestamp expression"}},
		"quoted letters": {"!{timestamp:'YYYY'}/", nil},
		"rejected":       {"!{timestamp:YYYYT}/", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := objectkey.Warnings(tt.prefix)
			if len(got) != len(tt.want) {
				t.Fatalf("Warnings(%q) = %q, want %d", tt.prefix, got, len(tt.want))
			}
			for i, w := range tt.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("Warnings(%q)[%d] = %q, want %q...", tt.prefix, i, got[i], w)
				}
			}
		})
	}
}

func FuzzParsePrefix(f *testing.F) {
	for _, s := range []string{"", "logs/", "!{timestamp:yyyy/MM/dd'T'HH}/", "!{firehose:random-string}", "a!{", "!{timestamp:''''}",
		"!{partitionKeyFromLambda:k}/!{timestamp:GGGG uuuu QQQQ EEEE a XXX zzz AAAA nn N w W}", "!{timestamp:[yyyy]#}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (objectkey.Prefix, error){objectkey.ParsePrefix, objectkey.ParseErrorPrefix} {
			p, err := parse(s)
			if err != nil {
				var invalid *objectkey.Invalid
				if !errors.As(err, &invalid) {
					t.Fatalf("parse %q: %T, want *objectkey.Invalid", s, err)
				}
				continue
			}
			vars := objectkey.Vars{ErrorOutputType: objectkey.ProcessingFailed, Random: objectkey.Origin{Stream: "s"}.Random()}
			got := p.Append(nil, at, vars)
			if len([]rune(string(got))) > objectkey.MaxEvaluated {
				t.Errorf("%q evaluates to %d characters", s, len(got))
			}
			vars.Random = objectkey.Origin{Stream: "s"}.Random()
			if again := p.Append([]byte("kept"), at, vars); string(again) != "kept"+string(got) {
				t.Errorf("%q evaluates to %q, then to %q", s, got, again)
			}
		}
		objectkey.Warnings(s)
	})
}

func BenchmarkAppend(b *testing.B) {
	p, err := objectkey.ParsePrefix("logs/!{partitionKeyFromLambda:customer}/!{timestamp:yyyy/MM/dd/HH}/")
	if err != nil {
		b.Fatal(err)
	}
	vars := objectkey.Vars{Partition: map[string]string{"customer": "acme"}}
	var dst []byte
	for b.Loop() {
		dst = p.Append(dst[:0], at, vars)
	}
}
