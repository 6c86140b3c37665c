package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/stagelog/stagelog/internal/testenv"
)

// buildTestdata builds a bootstrap of testdata.
func buildTestdata(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// Over the real Runtime API a function hangs, crashes, throws, and returns garbage, nothing, too
// much, too few, duplicate and unknown records. Each record of a batch is in exactly one object, and
// only those without a valid result are in the error output.
func TestFaultyFunctionLosesNothing(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	const all = 3
	tests := []struct {
		do       string
		failed   int // records of the batch in the error output
		code     string
		attempts int
		dropped  int
	}{
		{"hang", all, "Lambda.FunctionTimedOut", 2, 0},
		{"crash", all, "Lambda.FunctionError", 2, 0},
		{"throw", all, "Lambda.FunctionError", 2, 0},
		{"huge", all, "Lambda.FunctionError", 2, 0},
		{"garbage", all, "Lambda.JsonProcessingException", 1, 0},
		{"empty", all, "Lambda.MissingRecordId", 1, 0},
		{"forget", 1, "Lambda.MissingRecordId", 1, 0},
		{"twice", 1, "Lambda.DuplicatedRecordId", 1, 0},
		{"stranger", 0, "", 0, 0},
		{"refuse", 1, "Lambda.ProcessingFailedStatus", 1, 0},
		{"drop", 0, "", 0, 1},
		{"other result", 1, "", 1, 0},
		{"no base64", 1, "", 1, 0},
		{"no data", 1, "Lambda.InvalidReturnFormat", 1, 0},
		{"nothing", 0, "", 0, 0},
	}
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", handYAML)
	u := startUp(t, dir, cleanEnv())
	admin := sdk(t, u, "stagelog")
	admin.createFunction("misbehaving", buildTestdata(t, "misbehaving"))
	must(admin.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("misbehaving"), Timeout: aws.Int32(2)}))(t, "set the timeout")
	for i, tt := range tests {
		stream := fmt.Sprintf("bad-%d", i)
		processing := through(functionARN + "misbehaving")
		processing.Processors[0].Parameters = append(processing.Processors[0].Parameters,
			types.ProcessorParameter{ParameterName: types.ProcessorParameterNameLambdaNumberOfRetries, ParameterValue: aws.String("1")})
		admin.createStream(stream, "hand-api-logs", func(d *types.ExtendedS3DestinationConfiguration) {
			d.Prefix, d.ErrorOutputPrefix, d.ProcessingConfiguration = aws.String(stream+"/good/"), aws.String(stream+"/bad/"), processing
		})
		var batch []string
		for n := range all {
			batch = append(batch, fmt.Sprintf(`{"id":"%d-%d","do":%q}`, i, n, tt.do)+"\n")
		}
		admin.put(stream, batch...)
	}
	for i, tt := range tests {
		stream := fmt.Sprintf("bad-%d", i)
		t.Run(tt.do, func(t *testing.T) {
			var good, bad []map[string]any
			eventuallyWithin(t, 2*time.Minute, "all records in objects", func() bool {
				good, bad = jsonLines(t, admin.text("hand-api-logs", stream+"/good/")), jsonLines(t, admin.text("hand-api-logs", stream+"/bad/"))
				return len(good)+len(bad) >= all-tt.dropped
			})
			seen := map[string]int{}
			for _, l := range good {
				seen[fmt.Sprint(l["id"])]++
			}
			for _, l := range bad {
				data, err := base64.StdEncoding.DecodeString(fmt.Sprint(l["rawData"]))
				lines := jsonLines(t, string(data))
				if err != nil || len(lines) != 1 {
					t.Fatalf("rawData is %v (%v)", l["rawData"], err)
				}
				seen[fmt.Sprint(lines[0]["id"])]++
				if code := fmt.Sprint(l["errorCode"]); tt.code != "" && code != tt.code {
					t.Errorf("errorCode %s, want %s", code, tt.code)
				}
				if n, ok := l["attemptsMade"].(float64); !ok || int(n) != tt.attempts {
					t.Errorf("attemptsMade %v, want %d", l["attemptsMade"], tt.attempts)
				}
			}
			if len(bad) != tt.failed || len(good) != all-tt.failed-tt.dropped {
				t.Errorf("%d records delivered and %d in the error output, want %d and %d", len(good), len(bad), all-tt.failed-tt.dropped, tt.failed)
			}
			for id, n := range seen {
				if n != 1 {
					t.Errorf("record %s found %d times", id, n)
				}
			}
		})
	}
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func jsonLines(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for raw := range strings.Lines(text) {
		var l map[string]any
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			t.Fatalf("a line that is not JSON (%v): %q", err, raw)
		}
		all = append(all, l)
	}
	return all
}
