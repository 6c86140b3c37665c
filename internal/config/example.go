package config

import (
	"bytes"
	"cmp"
	_ "embed" // for the example
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

//go:embed example.yaml
var exampleYAML []byte

// Example returns the commented file that `stagelog init` writes. It is valid if name and bucket are; Parse checks them.
func Example(name, bucket string) []byte {
	y := bytes.Replace(exampleYAML, []byte("name: NAME "), []byte("name: "+plain(name)+" "), 1)
	return bytes.Replace(y, []byte("bucket: BUCKET"), []byte("bucket: "+plain(bucket)), 1)
}

// plain returns a text as a YAML value, in quotes unless it is safe without.
func plain(s string) string {
	if safe := namePattern.MatchString(s) || bucketPattern.MatchString(s); safe && s[0] >= 'A' && !reserved(s) {
		return s
	}
	quoted, _ := json.Marshal(s) // JSON's strings are YAML's
	return string(quoted)
}

// reserved reports whether YAML reads the word as something other than text.
func reserved(s string) bool {
	return slices.Contains([]string{"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"}, s)
}

//go:embed example-aws.yaml
var exampleAWSYAML string

// ExampleAWS returns the commented file that `stagelog init --aws` writes: p's name, bucket, Region, account, stages,
// readers, format, names and delivery, and defaults for the rest. It does not check them; Parse does.
func ExampleAWS(p *Pipeline) []byte {
	format := plain(p.Format)
	if p.FormatName != "custom" {
		format = p.FormatName
	}
	names := fmt.Sprintf("names: {usage_plan: %s, customer: %s, usage_plan_id: %s}", plain(p.Names.UsagePlan), plain(p.Names.Customer), plain(p.Names.UsagePlanID))
	var pairs []string
	for _, r := range []struct{ placeholder, value string }{
		{"bucket: BUCKET", "bucket: " + plain(p.Bucket)},
		{"region: REGION", "region: " + plain(p.Region)},
		{"stages: STAGES", "stages:" + stageLines(p.Stages)},
		{"readers: READERS", "readers: " + quotedList(p.Readers)},
		{"format: FORMAT", "format: " + format},
		{"names: NAMES", names},
		{"  error_prefix: ERROR_PREFIX", "  error_prefix: " + plain(p.Deliver.ErrorPrefix)},

		{column("name: NAME"), column("name: " + plain(p.Name))},
		{column("account: ACCOUNT"), column(`account: "` + p.Account + `"`)},
		{column("  interval: INTERVAL"), column(fmt.Sprintf("  interval: %ds", p.Deliver.Interval/time.Second))},
		{column("  size: SIZE"), column(fmt.Sprintf("  size: %dMiB", p.Deliver.Size/mebibyte))},
		{column("  format: FILES"), column("  format: " + map[bool]string{false: "json", true: "parquet"}[p.Deliver.Parquet])},
		{column("  compression: COMPRESSION"), column("  compression: " + compressionWords[max(0, slices.Index(compressions, cmp.Or(p.Deliver.Compression, Uncompressed)))])},
		{column("  prefix: PREFIX"), column("  prefix: " + plain(p.Deliver.Prefix))},
	} {
		pairs = append(pairs, r.placeholder, r.value)
	}
	return []byte(strings.NewReplacer(pairs...).Replace(exampleAWSYAML))
}

// column pads a line to the column where the example has its comments.
func column(text string) string { return fmt.Sprintf("%-30s ", text) }

func stageLines(stages []record.StageRef) string {
	if len(stages) == 0 {
		return " []"
	}
	var b strings.Builder
	for _, st := range stages {
		fmt.Fprintf(&b, "\n  - {api: %s, stage: %s}", plain(st.API), plain(st.Stage))
	}
	return b.String()
}

func quotedList(items []string) string {
	var quoted []string
	for _, item := range items {
		quoted = append(quoted, `"`+item+`"`)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
