package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/record"
)

// The file that init --aws writes parses to the same pipeline.
func TestExampleAWSReadsBack(t *testing.T) {
	plain, full := mustParse(t, minimal), mustParse(t, minimal)
	plain.Region, plain.Account, plain.Stages = "eu-west-1", "012345678901", []record.StageRef{{API: "a1b2c3d4e5", Stage: "prod"}}
	plain.RegionGiven, plain.AccountGiven = true, true
	*full = *plain
	full.Name, full.Bucket, full.Readers = "null", "123456789012-logs", []string{"098765432109", "444455556666"}
	full.Stages = append(full.Stages, record.StageRef{API: "0000000000", Stage: "true"})
	full.Format, full.FormatName = `{"request_id":"$context.requestId","key_id":"$context.identity.apiKeyId","api_id":"$context.apiId","stage":"$context.stage","it's":"#: $context.status"}`, "custom"
	full.Names = OutputNames{UsagePlan: "yes", Customer: "a.b"}
	full.Deliver = Deliver{Interval: 15 * time.Minute, Size: 128 << 20, Compression: "HADOOP_SNAPPY", Prefix: "a b/!{timestamp:yyyy}/", ErrorPrefix: "e/!{firehose:error-output-type}/"}
	classic := *plain
	classic.Format, classic.FormatName, classic.Deliver.Compression = accesslog.Classic, "classic", Uncompressed
	for name, want := range map[string]*Pipeline{"plain": plain, "full": full, "classic": &classic} {
		text := ExampleAWS(want)
		got, err := Parse("stagelog.yaml", text, env)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "warnings" }, cmp.Ignore())); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, text)
		}
	}
}
