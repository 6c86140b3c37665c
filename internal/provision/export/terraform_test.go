package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/testenv"
)

func TestTerraformIsFormatted(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	for name, yaml := range everyPipeline() {
		t.Run(name, func(t *testing.T) {
			if out, err := tool(t, exported(t, Terraform, load(t, yaml)), "terraform", "fmt", "-check", "-diff", "-"); err != nil {
				t.Errorf("terraform fmt: %v\n%s", err, out)
			}
		})
	}
}

// references maps references in the text to their values in the test account.
var references = map[string]string{
	"data.aws_caller_identity.current.account_id":       "123456789012",
	"data.aws_partition.current.partition":              "aws",
	"data.aws_region.current.region":                    "eu-west-1",
	"aws_s3_bucket.logs.arn":                            "arn:aws:s3:::acme-api-logs",
	"aws_lambda_function.enricher.arn":                  "arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme_eu",
	"aws_kinesis_firehose_delivery_stream.stagelog.arn": "arn:aws:firehose:eu-west-1:123456789012:deliverystream/amazon-apigateway-acme_eu",
	"aws_cloudwatch_log_group.firehose.name":            "/aws/kinesisfirehose/amazon-apigateway-acme_eu",
	"aws_cloudwatch_log_stream.firehose.name":           "S3Delivery",
	"aws_glue_catalog_database.stagelog.name":           "stagelog_acme_eu",
	"aws_glue_catalog_table.lines.database_name":        "stagelog_acme_eu",
	"aws_glue_catalog_table.lines.name":                 "lines",
	"var.hash_salt":                                     "salt",
}

var (
	localsBlock = regexp.MustCompile(`(?ms)^locals \{\n.*?^\}\n`)
	topBlock    = regexp.MustCompile(`(?ms)^(?:resource|output) "([a-z_0-9]+)"(?: "([a-z_]+)")? \{\n(.*?)^\}\n`)
	argument    = regexp.MustCompile(`(?m)^( +)([a-z_0-9]+) += (.*)$`)
	idReference = regexp.MustCompile(`\.id\b`)
)

// arguments returns names and expressions of the arguments of a block and its nested blocks. The
// block must have the layout of `terraform fmt`.
func arguments(block string) (all [][2]string) {
	for {
		at := argument.FindStringSubmatchIndex(block)
		if at == nil {
			return all
		}
		margin, name, expression := block[at[2]:at[3]], block[at[4]:at[5]], block[at[6]:at[7]]
		block = block[at[1]:]
		if strings.ContainsAny(expression[len(expression)-1:], "({[") {
			end := regexp.MustCompile(`(?m)^` + margin + `[)}\]]+$`).FindStringIndex(block)
			expression += block[:end[1]]
			block = block[end[1]:]
		}
		if !idReference.MatchString(expression) && name != "depends_on" && name != "condition" {
			all = append(all, [2]string{name, expression})
		}
	}
}

// evaluated returns the values of all arguments by resource and name; repeated ones are a list.
// Terraform evaluates them as outputs, which need no provider.
func evaluated(t *testing.T, text string) map[string]any {
	t.Helper()
	for reference, value := range references {
		text = strings.ReplaceAll(text, reference, fmt.Sprintf("%q", value))
	}
	outputs := localsBlock.FindString(text)
	var names []string
	for _, b := range topBlock.FindAllStringSubmatch(text, -1) {
		for _, a := range arguments(b[3]) {
			outputs += fmt.Sprintf("output \"o%d\" {\n value = %s\n}\n", len(names), a[1])
			names = append(names, strings.TrimSuffix(b[1]+"."+b[2], ".")+"."+a[0])
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(outputs), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "", "terraform", "-chdir="+dir, "apply", "-auto-approve", "-no-color"); err != nil {
		t.Fatalf("terraform apply: %v\n%s\n%s", err, out, outputs)
	}
	out, err := tool(t, "", "terraform", "-chdir="+dir, "output", "-json", "-no-color")
	if err != nil {
		t.Fatalf("terraform output: %v\n%s", err, out)
	}
	var values map[string]struct{ Value any }
	if err := json.Unmarshal([]byte(out), &values); err != nil {
		t.Fatalf("terraform output: %v\n%s", err, out)
	}
	all := map[string]any{}
	for i, name := range names {
		v := values[fmt.Sprintf("o%d", i)].Value
		if before, again := all[name]; again {
			v = append(asList(before), v)
		}
		all[name] = v
	}
	return all
}

func asList(v any) []any {
	if v == nil {
		return nil
	}
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func TestTerraformMatchesDeploy(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	for name, yaml := range pipelines {
		t.Run(name, func(t *testing.T) {
			s := load(t, yaml)
			want, err := desired.New(s)
			if err != nil {
				t.Fatal(err)
			}
			got := evaluated(t, strings.NewReplacer("aws_iam_role.function.arn", strconv.Quote(s.FunctionRoleARN()), "aws_iam_role.firehose.arn", strconv.Quote(s.FirehoseRoleARN())).Replace(exported(t, Terraform, s)))
			for argument, doc := range map[string]policy.Document{
				"aws_s3_bucket_policy.logs.policy":         want.BucketPolicy,
				"aws_iam_role.function.assume_role_policy": want.FunctionRole.Trust,
				"aws_iam_role_policy.function.policy":      want.FunctionRole.Permissions,
				"aws_iam_role.firehose.assume_role_policy": want.FirehoseRole.Trust,
				"aws_iam_role_policy.firehose.policy":      want.FirehoseRole.Permissions,
			} {
				if want.FunctionRole.Given && strings.Contains(argument, "iam_role") {
					if got[argument] != nil {
						t.Errorf("%s is exported, although stagelog.yaml names existing roles", argument)
					}
					continue
				}
				text, _ := got[argument].(string)
				parsed, err := policy.Parse(text)
				if err != nil {
					t.Errorf("%s: %v", argument, err)
				}
				if d := cmp.Diff(doc.Canonical(), parsed.Canonical()); d != "" {
					t.Errorf("%s (-deploy +terraform):\n%s", argument, d)
				}
			}
			env := map[string]any{}
			for name, v := range want.Function.Environment {
				env[name] = v
			}
			if s.Pipeline.APIKey == "hash" {
				env["STAGELOG_HASH_SALT"] = "salt"
			}
			tags := anyMap(s.Tags())
			stream, to := "aws_kinesis_firehose_delivery_stream.stagelog.", want.Destination
			parameters := []any{"LambdaArn", s.FunctionARN() + ":$LATEST"}
			if s.Pipeline.Deliver.Interval < time.Minute {
				parameters = []any{"LambdaArn", "BufferSizeInMBs", "BufferIntervalInSeconds", s.FunctionARN() + ":$LATEST", "1.0", "15"}
			}
			ids, days := []any{"stagelog-abort-uploads"}, []any{}
			for _, e := range []struct {
				id   string
				days int
			}{{"stagelog-expire", s.Pipeline.AWS.ExpireDays}, {"stagelog-expire-errors", s.Pipeline.AWS.ErrorDays}} {
				if e.days > 0 {
					ids, days = append(ids, e.id), append(days, float64(e.days))
				}
			}
			var patch, wantPatch any
			text, _ := got["access_log_patch.value"].(string)
			set, err := newSettings(s)
			if err != nil {
				t.Fatal(err)
			}
			set.Spec = s // with the values of the test account
			if err := errors.Join(json.Unmarshal([]byte(text), &patch), json.Unmarshal([]byte(set.patch()), &wantPatch)); err != nil {
				t.Fatalf("patch %s: %v", text, err)
			}
			if d := cmp.Diff(wantPatch, patch); d != "" {
				t.Errorf("patch of a stage (-cloudformation +terraform):\n%s", d)
			}
			rules := "aws_s3_bucket_lifecycle_configuration.logs."
			if d := cmp.Diff(parameters, append(asList(got[stream+"parameter_name"]), asList(got[stream+"parameter_value"])...)); d != "" {
				t.Errorf("processor parameters (-want +terraform):\n%s", d)
			}
			if d := cmp.Diff(append(ids, days...), append(asList(got[rules+"id"]), asList(got[rules+"days"])...)); d != "" {
				t.Errorf("lifecycle rules (-want +terraform):\n%s", d)
			}
			wants := map[string]any{
				"aws_s3_bucket.logs.bucket":                     s.Bucket(),
				"aws_s3_bucket.logs.tags":                       tags,
				"aws_cloudwatch_log_group.firehose.name":        s.StreamLogGroup(),
				"aws_cloudwatch_log_group.firehose.tags":        tags,
				"aws_cloudwatch_log_group.function.name":        s.FunctionLogGroup(),
				"aws_cloudwatch_log_group.function.tags":        tags,
				"aws_iam_role.function.name":                    s.FunctionRole(),
				"aws_iam_role.function.tags":                    tags,
				"aws_iam_role.firehose.name":                    s.FirehoseRole(),
				"aws_lambda_function.enricher.function_name":    s.Function(),
				"aws_lambda_function.enricher.role":             s.FunctionRoleARN(),
				"aws_lambda_function.enricher.variables":        env,
				"aws_lambda_function.enricher.memory_size":      float64(s.Pipeline.AWS.Memory),
				"aws_lambda_function.enricher.architectures":    []any{s.Architecture},
				"aws_lambda_function.enricher.source_code_hash": "/Kt/zCtM/9m7RQA7/C5GigTvb3fKggCnNB8CdjFYTSU=",
				stream + "name":                                 s.Stream(),
				stream + "role_arn":                             aws.ToString(to.RoleARN),
				stream + "bucket_arn":                           aws.ToString(to.BucketARN),
				stream + "prefix":                               aws.ToString(to.Prefix),
				stream + "error_output_prefix":                  aws.ToString(to.ErrorOutputPrefix),
				stream + "buffering_interval":                   float64(*to.BufferingHints.IntervalInSeconds),
				stream + "buffering_size":                       float64(*to.BufferingHints.SizeInMBs),
				stream + "compression_format":                   string(to.CompressionFormat),
				stream + "log_group_name":                       s.StreamLogGroup(),
				stream + "log_stream_name":                      "S3Delivery",
				"access_log_format.value":                       want.AccessLogFormat,
			}
			if want.FunctionRole.Given {
				for _, argument := range []string{"function.name", "function.tags", "firehose.name"} {
					delete(wants, "aws_iam_role."+argument)
				}
			}
			if b := want.FunctionRole.Boundary; b != "" {
				for _, label := range []string{"function", "firehose"} {
					wants["aws_iam_role."+label+".permissions_boundary"], wants["aws_iam_role."+label+".path"] = b, "/delivery/"
					wants["aws_cloudwatch_log_group."+label+".kms_key_id"] = want.StreamLog.Key
				}
				wants["aws_lambda_function.enricher.kms_key_arn"] = want.StreamLog.Key
			}
			if table := want.Table; table != nil {
				const glue = "aws_glue_catalog_table.lines."
				wants[glue+"parameters"] = []any{anyMap(table.Parameters), anyMap(table.StorageDescriptor.SerdeInfo.Parameters)}
				wants[glue+"location"] = aws.ToString(table.StorageDescriptor.Location)
				wants[glue+"serialization_library"] = aws.ToString(table.StorageDescriptor.SerdeInfo.SerializationLibrary)
				wants["aws_glue_catalog_database.stagelog.parameters"] = tags
				wants[stream+"compression"] = "GZIP"
				wants[stream+"role_arn"] = []any{aws.ToString(to.RoleARN), aws.ToString(to.RoleARN)} // also in the conversion
				wants[stream+"table_name"], wants[stream+"database_name"] = "lines", s.Pipeline.Database()
				var columns, types []any
				for _, c := range append(table.PartitionKeys[:1:1], table.StorageDescriptor.Columns...) {
					columns, types = append(columns, aws.ToString(c.Name)), append(types, aws.ToString(c.Type))
				}
				wants[glue+"name"], wants[glue+"type"] = append([]any{"lines"}, columns...), types
			}
			for _, a := range want.Alarms {
				resource := "aws_cloudwatch_metric_alarm." + strings.ReplaceAll(strings.TrimPrefix(a.Name, s.Function()+"-"), "-", "_")
				for argument, v := range map[string]any{"alarm_name": a.Name, "metric_name": a.Metric, "namespace": a.Namespace, "threshold": a.Threshold,
					"datapoints_to_alarm": float64(a.Breaching), "evaluation_periods": float64(a.Periods), "period": 300.0, "treat_missing_data": "notBreaching",
					"dimensions": map[string]any{a.Dimension: a.Of}, "tags": tags} {
					wants[resource+"."+argument] = v
				}
				if a.Topic != "" {
					wants[resource+".alarm_actions"], wants[resource+".ok_actions"] = []any{a.Topic}, []any{a.Topic}
				}
			}
			if d := want.Dashboard; d != nil {
				body, _ := got["aws_cloudwatch_dashboard.stagelog.dashboard_body"].(string)
				var have, board any
				if err := errors.Join(json.Unmarshal([]byte(body), &have), json.Unmarshal([]byte(d.Body), &board)); err != nil {
					t.Fatalf("dashboard %s: %v", body, err)
				}
				if d := cmp.Diff(board, have); d != "" {
					t.Errorf("dashboard (-deploy +terraform):\n%s", d)
				}
				wants["aws_cloudwatch_dashboard.stagelog.dashboard_name"] = d.Name
			}
			for argument, v := range wants {
				if d := cmp.Diff(v, got[argument]); d != "" {
					t.Errorf("%s (-deploy +terraform):\n%s", argument, d)
				}
			}
		})
	}
}

func anyMap(m map[string]string) map[string]any {
	all := map[string]any{}
	for k, v := range m {
		all[k] = v
	}
	return all
}
