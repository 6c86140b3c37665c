package pipeline

import (
	_ "embed" // for the example
	"fmt"
	"strings"
	"time"
)

//go:embed example-aws.yaml
var exampleAWSYAML string

// ExampleAWS is the commented file that `stagelog init --aws` writes, of what p says. It leaves
// it to Parse to say what is wrong with that.
func ExampleAWS(p *Pipeline) []byte {
	var stages []string
	for _, st := range p.Stages {
		stages = append(stages, "\n  - {api: "+plain(st.API)+", stage: "+plain(st.Stage)+"}")
	}
	var readers []string
	for _, id := range p.Readers {
		readers = append(readers, `"`+id+`"`)
	}
	format := plain(p.Format)
	if p.FormatName != "custom" {
		format = p.FormatName
	}
	text := exampleAWSYAML
	for _, r := range []struct{ placeholder, value string }{
		{"name: NAME ", "name: " + plain(p.Name) + " "},
		{"bucket: BUCKET\n", "bucket: " + plain(p.Bucket) + "\n"},
		{"region: REGION\n", "region: " + plain(p.Region) + "\n"},
		{"account: ACCOUNT ", `account: "` + p.Account + `" `},
		{"stages: STAGES\n", "stages:" + strings.Join(stages, "") + "\n"},
		{"readers: READERS\n", "readers: [" + strings.Join(readers, ", ") + "]\n"},
		{"format: FORMAT\n", "format: " + format + "\n"},
		{"interval: INTERVAL ", fmt.Sprintf("interval: %ds ", p.Deliver.Interval/time.Second)},
		{"size: SIZE ", fmt.Sprintf("size: %dMiB ", p.Deliver.Size>>20)},
		{"compression: COMPRESSION ", "compression: " + compressionWord(p.Deliver.Compression) + " "},
		{"prefix: PREFIX ", "prefix: " + plain(p.Deliver.Prefix) + " "},
		{"error_prefix: ERROR_PREFIX\n", "error_prefix: " + plain(p.Deliver.ErrorPrefix) + "\n"},
	} {
		text = strings.Replace(text, r.placeholder, r.value, 1)
	}
	return []byte(text)
}

// compressionWord is how the file names what Firehose's API calls otherwise.
func compressionWord(c string) string {
	switch c {
	case Uncompressed, "":
		return "none"
	case "HADOOP_SNAPPY":
		return "hadoop-snappy"
	}
	return strings.ToLower(c)
}
