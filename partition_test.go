package stagelog_test

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// onlyInAWS matches names that are different in other partitions than aws.
var onlyInAWS = regexp.MustCompile(`amazonaws\.com|"arn:aws:`)

// sameEverywhere lists, by file or folder, what onlyInAWS may match there.
var sameEverywhere = []struct{ path, what string }{
	{"internal/record/partition.go", "amazonaws.com"}, // the table itself
	// Principals of services end in amazonaws.com in all partitions; the few exceptions, such as CloudWatch Logs' in China, are
	// not used here (AWS CDK, region-info/lib/default.ts; Terraform, data source aws_service_principal).
	{"internal/provision/", "firehose.amazonaws.com"},
	{"internal/provision/", "lambda.amazonaws.com"},
	{"internal/provision/", "apigateway.amazonaws.com"},
	{"internal/provision/", "cloudwatch.amazonaws.com"},
	{"internal/localaws/lambda/policy.go", ".amazonaws.com"},
	// Names of XML documents.
	{"internal/localaws/s3server/settings.go", "http://s3.amazonaws.com/doc/"},
	{"internal/localaws/iam/xml.go", "https://iam.amazonaws.com/doc/"},
	{"internal/localaws/wire/services.go", "https://sts.amazonaws.com/doc/"},
	// Examples.
	{"internal/accesslog/catalogue.go", ""},
	// One machine is always in the partition aws, and so is moto. The policy engine knows only that one.
	{"internal/localaws/", `"arn:aws:`},
	{"internal/provision/moto/", `"arn:aws:`},
	{"internal/provision/policy/evaluate.go", `"arn:aws:`},
}

func TestNoNamesOfOnePartition(t *testing.T) {
	for _, root := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := os.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			lines := bufio.NewScanner(file)
			for n := 1; lines.Scan(); n++ {
				line := lines.Text()
				for _, same := range sameEverywhere {
					if within(path, strings.TrimSuffix(same.path, "/")) && strings.Contains(line, same.what) {
						line = ""
					}
				}
				if onlyInAWS.MatchString(line) {
					t.Errorf("%s:%d: %s\nis wrong in other partitions: use record.Partition, record.DNSSuffix or the SDK's endpoints", path, n, strings.TrimSpace(line))
				}
			}
			return lines.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
