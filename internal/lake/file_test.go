package lake_test

import (
	"regexp"
	"testing"

	"github.com/stagelog/stagelog/internal/lake"
)

// Buckets of the same name at different endpoints have files of their own.
func TestFileNameHasEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                   "acme.logs.duckdb",
		"https://s3.eu-west-1.amazonaws.com": "acme.logs.duckdb",
		"https://s3.cn-north-1.amazonaws.com.cn/":               "acme.logs.duckdb",
		"https://s3.eusc-de-east-1.amazonaws.eu":                "acme.logs.duckdb",
		"https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com": "acme.logs.duckdb",
		"https://amazonaws.com.example.org":                     "acme.logs@amazonaws.com.example.org.duckdb",
		lake.Local:                                              "acme.logs@local.duckdb",
		"http://127.0.0.1:4580":                                 "acme.logs@127.0.0.1-4580.duckdb",
		"http://127.0.0.1:4580/":                                "acme.logs@127.0.0.1-4580.duckdb",
		"http://[::1]:9000":                                     "acme.logs@---1--9000.duckdb",
		"https://minio.example.com/a/../b":                      "acme.logs@minio.example.com-a-..-b.duckdb",
		"not a url\x00/":                                        "acme.logs@not-a-url-.duckdb",
	} {
		if got := lake.FileName("acme.logs", "", endpoint); got != want {
			t.Errorf("FileName with endpoint %q = %q, want %q", endpoint, got, want)
		}
	}
}

// Prefixes of a bucket have files of their own, even if only a separator differs.
func TestFileNameHasPrefix(t *testing.T) {
	seen := map[string]string{}
	for _, prefix := range []string{"", "logs/", "logs", "logs-", "LOGS/", "lo/gs/"} {
		name := lake.FileName("acme-logs", prefix, lake.Local)
		if other, taken := seen[name]; taken {
			t.Errorf("the prefixes %q and %q have the file %s", prefix, other, name)
		}
		seen[name] = prefix
		if want := regexp.MustCompile(`^acme-logs(\+[0-9a-f]{12})?@local\.duckdb$`); !want.MatchString(name) {
			t.Errorf("FileName(%q) = %s, want %v", prefix, name, want)
		}
	}
}
