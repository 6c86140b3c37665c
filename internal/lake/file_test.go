package lake_test

import (
	"testing"

	"github.com/stagelog/stagelog/internal/lake"
)

// Buckets of the same name at different endpoints have files of their own.
func TestFileNameHasEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                   "acme.logs.duckdb",
		"https://s3.eu-west-1.amazonaws.com": "acme.logs.duckdb",
		"https://s3.cn-north-1.amazonaws.com.cn/": "acme.logs.duckdb",
		lake.Local:                         "acme.logs@local.duckdb",
		"http://127.0.0.1:4580":            "acme.logs@127.0.0.1-4580.duckdb",
		"http://127.0.0.1:4580/":           "acme.logs@127.0.0.1-4580.duckdb",
		"http://[::1]:9000":                "acme.logs@---1--9000.duckdb",
		"https://minio.example.com/a/../b": "acme.logs@minio.example.com-a-..-b.duckdb",
		"not a url\x00/":                   "acme.logs@not-a-url-.duckdb",
	} {
		if got := lake.FileName("acme.logs", endpoint); got != want {
			t.Errorf("FileName with endpoint %q = %q, want %q", endpoint, got, want)
		}
	}
}
