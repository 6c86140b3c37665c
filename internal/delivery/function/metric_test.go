package function

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The names and nesting are those of CloudWatch's Embedded Metric Format.
func TestFailedRecordsIsEmbeddedMetric(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.LogAttrs(t.Context(), slog.LevelWarn, "records failed", FailedRecords("stagelog-acme", 3, time.UnixMilli(1574109732004))...)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "WARN", "msg": "records failed", "FunctionName": "stagelog-acme", "FailedRecords": 3.0,
		"_aws": map[string]any{"Timestamp": 1574109732004.0, "CloudWatchMetrics": []any{map[string]any{
			"Namespace": "stagelog", "Dimensions": []any{[]any{"FunctionName"}}, "Metrics": []any{map[string]any{"Name": "FailedRecords", "Unit": "Count"}},
		}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}
