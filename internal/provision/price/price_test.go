package price

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
)

func load(t *testing.T, more string) *config.Pipeline {
	t.Helper()
	p, err := config.Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-api-logs\n"+more), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// short is a format with lines far below 5 KB.
const short = `format: '{"k":"$context.identity.apiKeyId","a":"$context.apiId","s":"$context.stage","id":"$context.requestId"}'` + "\n"

func TestEstimate(t *testing.T) {
	record := float64(recordBytes(load(t, short).Format))
	tests := []struct {
		name     string
		yaml     string
		region   string
		arch     string
		requests int64
		want     map[string]float64
	}{
		{"a million, delivered by interval", "deliver: {interval: 60s, size: 5MiB}\naws: {expire_days: 30}\n", "us-east-1", "arm64", 1e6, map[string]float64{
			"API Gateway": 0,
			"Firehose":    0.1382827758789, // 1e6 × 5,120 B = 4.76837158203 GB × 0.029
			// A month of 30 days has 43,200 minutes: as many invocations of 0.25 GB for 0.02 s.
			"Lambda":    0.0115200144, // 43,200 × 0.0000002 = 0.00864, and 216 GB-seconds × 0.0000133334 = 0.0028800144
			"S3 writes": 0.216,        // 43,200 × 0.000005
			// A write every 4 minutes, 10,800 × 0.000005 = 0.054, and 43,200 reads × 0.0000004 = 0.01728.
			"S3 usage plans": 0.07128,
			"Alarms":         0.70, // 7 × 0.10
			// 43,200 × 400 B = 0.016093254 GB × 0.50
			"CloudWatch Logs": 0.008046627044,
			"S3 storage":      1e6 * (record + 80) / 8 / 1073741824 * 0.023,
		}},
		{"a million in Ireland with two readers", "readers: [\"111122223333\", \"444455556666\"]\ndeliver: {interval: 60s}\n", "eu-west-1", "arm64", 1e6, map[string]float64{
			"Firehose":        0.1478195190, // 4.76837158203 GB × 0.031
			"S3 reads":        0.03456,      // 43,200 × 2 × 0.0000004
			"Data transfer":   0,
			"CloudWatch Logs": 0.009173154831, // 0.016093254 GB × 0.57
		}},
		{"a hundred million on x86, one year, uncompressed", "deliver: {interval: 900s, size: 128MiB, compression: none}\naws: {memory: 512, expire_days: 360}\n", "us-east-1", "x86_64", 1e8, map[string]float64{
			"Firehose":   13.82827758789, // 476.837158203 GB × 0.029
			"S3 writes":  0.0144,         // 2,880 intervals of 15 minutes × 0.000005
			"Lambda":     43200 * (0.0000002 + 0.5*0.02*0.0000166667),
			"S3 storage": 1e8 * (record + 80) * 12 / 1073741824 * 0.023,
		}},
		{"a billion, delivered by size", "deliver: {interval: 900s, size: 1MiB}\n", "us-east-1", "arm64", 1e9, map[string]float64{
			"S3 writes": math.Ceil(1e9*(record+80)/1048576) * 0.000005,
			"Lambda":    math.Ceil(1e9*record/1048576) * (0.0000002 + 0.25*0.02*0.0000133334),
		}},
		{"intervals of ten seconds", "deliver: {interval: 10s}\naws: {dashboard: true, alarms: false}\n", "us-east-1", "arm64", 1e6, map[string]float64{
			"S3 writes":      3.888,   // 259,200 objects × 3 requests × 0.000005
			"S3 usage plans": 0.07128, // as with longer intervals
			"Dashboard":      3,
		}},
		{"a few requests", "", "us-east-1", "arm64", 100, map[string]float64{"S3 usage plans": 0.00054}}, // 100 × 0.000005 and 100 × 0.0000004
		{"KMS with a reader", "region: us-east-1\nreaders: [\"111122223333\"]\ndeliver: {interval: 60s}\naws: {encryption: \"kms:arn:aws:kms:us-east-1:444455556666:key/1234abcd\"}\n", "us-east-1", "arm64", 1e6, map[string]float64{
			"KMS": 0.4212, // 43,200 objects, 10,800 writes, 43,200 reads and 43,200 objects for the reader: 140,400 × 0.000003
		}},
		{"a million as Parquet", "deliver: {format: parquet, interval: 60s}\naws: {expire_days: 30}\n", "us-east-1", "arm64", 1e6, map[string]float64{
			"Firehose":          0.1382827758789, // as without conversion
			"Format conversion": 0.0858306884766, // 4.76837158203 GB × 0.018
			"S3 writes":         0.216,
			"Alarms":            0.80,                                         // one more, on the conversion
			"S3 storage":        1e6 * (record + 80) / 4 / 1073741824 * 0.023, // compression ratio of Snappy
		}},
		{"ten requests, at most ten objects", "", "us-east-1", "arm64", 10, map[string]float64{"S3 writes": 0.00005}},
		{"no requests", "", "us-east-1", "arm64", 0, map[string]float64{"Firehose": 0, "Lambda": 0, "S3 writes": 0, "S3 storage": 0, "CloudWatch Logs": 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := New(load(t, tt.yaml+short), tt.region, tt.arch, tt.requests)
			total, have := 0.0, map[string]float64{}
			for _, c := range e.Components {
				total += c.USD
				have[c.Name] = c.USD
			}
			if _, converts := have["Format conversion"]; converts != strings.Contains(tt.yaml, "parquet") {
				t.Errorf("has the component Format conversion: %v, want %v", converts, !converts)
			}
			for name, want := range tt.want {
				if got, ok := have[name]; !ok || math.Abs(got-want) > 1e-9*math.Max(1, want) {
					t.Errorf("%s: %.10f, want %.10f", name, got, want)
				}
			}
			if math.Abs(total-e.Total) > 1e-9 || math.IsNaN(e.PerMillion) || math.IsInf(e.PerMillion, 0) {
				t.Errorf("total %v, sum of the components %v; per million %v", e.Total, total, e.PerMillion)
			}
		})
	}
}

func TestRecordsAreRoundedUpTo5KB(t *testing.T) {
	long := `format: '{"k":"$context.identity.apiKeyId","a":"$context.apiId","s":"$context.stage","id":"$context.requestId","x":"` + strings.Repeat("x", 2800) + `"}'` + "\n"
	p := load(t, long)
	if e := New(p, "us-east-1", "arm64", 1e6); e.RecordBytes > 5120 || math.Abs(e.Components[1].USD-0.1382827758789) > 1e-9 {
		t.Errorf("%d bytes cost %v", e.RecordBytes, e.Components[1])
	}
	p.Format = strings.Replace(p.Format, "xxx", strings.Repeat("x", 3000), 1)
	if e := New(p, "us-east-1", "arm64", 1e6); math.Abs(e.Components[1].USD-2*0.1382827758789) > 1e-9 || !strings.Contains(e.Components[1].How, "billed as 10 KB") {
		t.Errorf("%d bytes cost %v, want twice the price of 5 KB", e.RecordBytes, e.Components[1])
	}
}

func TestRecordBytes(t *testing.T) {
	// {"a":"prod","b":"GET"} and the newline
	if got := recordBytes(`{"a":"$context.stage","b":"$context.httpMethod"}` + "\n"); got != 23 {
		t.Errorf("recordBytes = %d, want 23", got)
	}
	classic, _ := accesslog.Preset("classic")
	if got := recordBytes(classic); got < 300 || got > 450 {
		t.Errorf("recordBytes of the classic format = %d, want about 374", got)
	}
}

func TestTextNamesAssumptions(t *testing.T) {
	text := New(load(t, "deliver: {compression: snappy}\n"), "ap-southeast-2", "arm64", 1234567).Text()
	for _, want := range []string{"1,234,567 requests", "Firehose", "billed as 5 KB", "us-east-1, " + Date, "ap-southeast-2 are not known", "per million", "compressed 4:1 with Snappy", "evenly distributed", "Unsure and not included", "10 MB of a streamed response"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for region := range listed {
		e := New(load(t, ""), region, "arm64", 1)
		if text := e.Text(); strings.Contains(text, "are not known") || !strings.Contains(text, region+", "+Date) {
			t.Errorf("prices of the listed Region %s: unexpected text:\n%s", region, text)
		}
		if data, err := json.Marshal(e); err != nil || !strings.Contains(string(data), `"usd_per_million_requests":`) {
			t.Errorf("JSON: %s (%v)", data, err)
		}
	}
}
