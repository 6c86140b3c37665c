package lake

import (
	"testing"
	"time"
)

func TestTimesOfAllWriters(t *testing.T) {
	const at = "2026-11-28T08:30:00.123Z"
	want, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text     string
		zoneless bool
	}{
		{at, false}, {"2026-11-28 08:30:00.123Z", false}, {"2026-11-28 08:30:00.123 UTC", false}, {"2026-11-28T08:30:00.123+00:00", false},
		{"2026-11-28T10:30:00.123+0200", false}, {"2026-11-28 10:30:00.123 +0200", false}, {"2026-11-28 10:30:00.123+02", false},
		{"2026-11-28 08:30:00.123", true}, {"2026-11-28T08:30:00.123000000", true}, {"2026-11-28T08:30:00,123", true},
		{"1795854600123", false}, {"1795854600123000", false}, {"1795854600123000000", false}, {"1795854600.123", false},
		{"1.795854600123E9", false}, {"1.795854600123e12", false}, {"1795854600123.0", false}, {"1.795854600123E18", false},
	} {
		micros, zoneless, ok := parseTime([]byte(tt.text))
		got := time.UnixMicro(micros).UTC()
		if !ok || zoneless != tt.zoneless || got.Sub(want).Abs() > time.Microsecond {
			t.Errorf("parseTime(%s) = %v, zoneless %v, %v, want %v, %v", tt.text, got, zoneless, ok, want, tt.zoneless)
		}
	}
	for _, text := range []string{"", "-", "0", "12", "1e300", "1e5", "-1795854600.5", "NaN", "Inf", "0x1p40", "1_795_854_600.5", "2026-11-28", "2026-13-28 08:30:00", "08:30:00", "1795854600.123s"} {
		if micros, _, ok := parseTime([]byte(text)); ok {
			t.Errorf("parseTime(%s) = %v, want none", text, time.UnixMicro(micros).UTC())
		}
	}
}

func TestNumbersOfAllWriters(t *testing.T) {
	for _, tt := range []struct {
		column column
		text   string
		want   string // "" if the value does not fit
	}{
		{colStatus, "200", "200"}, {colStatus, "200.0", "200"}, {colStatus, "2e2", "200"}, {colStatus, "2.0E2", "200"},
		{colStatus, "200.5", ""}, {colStatus, "40000.0", ""}, {colStatus, "1e400", ""}, {colStatus, "OK", ""},
		{colLatency, "12.5", "13"}, {colLatency, "12.4", "12"}, {colLatency, "1e10", ""}, {colIntegrationLatency, "0.2", "0"},
		{colBytes, "1536.0", "1536"}, {colBytes, "1536.5", ""}, {colBytes, "1e17", ""},
	} {
		var r lineReader
		got, ok := r.stored(field{kindNumber, tt.column, 0}, []byte(tt.text))
		if ok != (tt.want != "") || ok && string(got) != tt.want {
			t.Errorf("%s in column %d is %s, %v, want %q", tt.text, tt.column, got, ok, tt.want)
		}
	}
}
