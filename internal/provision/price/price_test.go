package price

import (
	"math"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/pipeline"
)

func load(t *testing.T, more string) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-api-logs\n"+more), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// short is a format whose lines are well below 5 KB.
const short = "format: '{\"request_id\":\"$context.requestId\",\"k\":\"$context.identity.apiKeyId\",\"a\":\"$context.apiId\",\"s\":\"$context.stage\"}'\n"

func TestEstimateByHand(t *testing.T) {
	tests := []struct {
		name     string
		yaml     string
		arch     string
		requests int64
		want     map[string]float64
	}{
		{"a million, compressed, at the pace of the clock", "deliver: {interval: 60s, size: 5MiB}\naws: {expire_days: 30}\n", "arm64", 1e6, map[string]float64{
			"Firehose": 1e6 * 5120 / 1073741824 * 0.029, // 4.77 GB
			// One invocation a minute, 43,200: more than the megabytes.
			"Lambda":      43200 * (0.0000002 + 0.020*0.25*0.0000133334),
			"S3 requests": 43200 * 0.000005,
		}},
		{"a hundred million on x86, for a year", "deliver: {interval: 900s, size: 128MiB}\naws: {memory: 512, expire_days: 360}\n", "x86_64", 1e8, map[string]float64{
			"Firehose":    1e8 * 5120 / 1073741824 * 0.029,
			"S3 requests": 2880 * 0.000005, // one every 15 minutes
		}},
		{"nobody calls", "", "arm64", 0, map[string]float64{"Firehose": 0, "Lambda": 0, "S3 requests": 0, "S3 storage": 0, "CloudWatch Logs": 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := New(load(t, tt.yaml+short), "us-east-1", tt.arch, tt.requests)
			total := 0.0
			for _, c := range e.Components {
				total += c.USD
				if want, ok := tt.want[c.Name]; ok && math.Abs(c.USD-want) > 1e-9 {
					t.Errorf("%s: %.6f, want %.6f (%s)", c.Name, c.USD, want, c.How)
				}
			}
			if math.Abs(total-e.Total) > 1e-9 || math.IsNaN(e.PerMillion) || math.IsInf(e.PerMillion, 0) {
				t.Errorf("the total is %v, and the parts %v; per million %v", e.Total, total, e.PerMillion)
			}
		})
	}
}

func TestRecordBytes(t *testing.T) {
	// 13 and 18 characters become 12 each.
	if got := recordBytes(`{"a":"$context.stage","b":"$context.requestId"}` + "\n"); got != 47-14-18+24 {
		t.Errorf("recordBytes = %d, want %d", got, 47-14-18+24)
	}
	classic, _ := accesslog.Preset("classic")
	if got := recordBytes(classic); got < 250 || got > 500 {
		t.Errorf("recordBytes of the classic format = %d, a line of it has about 374", got)
	}
}

func TestTextNamesWhatIsAssumed(t *testing.T) {
	text := New(load(t, ""), "eu-west-1", "arm64", 1234567).Text()
	for _, want := range []string{"1,234,567 requests", "Firehose", "5 KB", "us-east-1, " + Date, "eu-west-1 may differ", "per million"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(New(load(t, ""), "us-east-1", "arm64", 1).Text(), "may differ") {
		t.Error("the prices are of us-east-1, and the text says that they may differ there")
	}
}
