package export

import (
	"os"
	"testing"

	"github.com/stagelog/stagelog/internal/pipeline"
	"github.com/stagelog/stagelog/internal/provision"
)

const full = `name: acme
bucket: acme-api-logs
readers: ["111122223333", "444455556666"]
stages:
  - {api: a1b2c3d4e5, stage: prod}
  - {api: a1b2c3d4e5, stage: beta}
format: usage
deliver: {interval: 90s, size: 8MiB, prefix: "logs/!{timestamp:yyyy}/", error_prefix: "errors/!{firehose:error-output-type}/"}
aws: {memory: 512, expire_days: 400, error_days: 14, log_days: 60}
`

func spec(t *testing.T, yaml string) *provision.Spec {
	t.Helper()
	p, err := pipeline.Parse("stagelog.yaml", []byte(yaml), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return &provision.Spec{Pipeline: p, Partition: "aws", Region: "eu-west-1", Account: "123456789012", Zip: []byte("zip"), Architecture: "arm64"}
}

func TestShow(t *testing.T) {
	b, err := Terraform(spec(t, full))
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile("/tmp/tfx/main.tf", b, 0o644)
}
