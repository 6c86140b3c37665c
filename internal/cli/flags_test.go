package cli

import (
	"strings"
	"testing"
	"time"
)

func TestTimeFlag(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-11-23":                "2026-11-23T00:00:00Z",
		"2026-11-23T08:15":          "2026-11-23T08:15:00Z",
		"2026-11-23T08:15:30":       "2026-11-23T08:15:30Z",
		"2026-11-23T08:15:00+02:00": "2026-11-23T06:15:00Z",
		"90m":                       "2026-11-23T10:30:00Z",
		"7d":                        "2026-11-16T12:00:00Z",
		"-1h":                       "",
		"-2d":                       "",
		"d":                         "",
		"yesterday":                 "",
		"2026-13-01":                "",
	} {
		w := when{now: func() time.Time { return now }}
		if err := w.Set(text); (err == nil) != (want != "") || w.String() != want {
			t.Errorf("Set(%s) = %v: %s, want %s", text, err, w.String(), want)
		}
	}
}

func TestSizeFlag(t *testing.T) {
	for text, want := range map[string]string{
		"512MiB": "512MiB", "1024MiB": "1GiB", "20 GiB": "20GiB", "1KiB": "1KiB", "1TiB": "1TiB",
		"": "", "5": "", "5MB": "", "-5MiB": "", "0MiB": "", "99999999999TiB": "", "1.5GiB": "",
	} {
		var s size
		if err := s.Set(text); (err == nil) != (want != "") || s.String() != want {
			t.Errorf("Set(%s) = %v: %s, want %s", text, err, s.String(), want)
		}
	}
}

// Tab extends a word to the longest unambiguous completion and keeps unknown words.
func TestPromptCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"SELECT cust":               "SELECT customer",
		"select count(*) from requ": "select count(*) from request",
		"SELECT x FROM requests w":  "SELECT x FROM requests WHERE",
		"SELECT nothing":            "SELECT nothing",
		"SELECT ":                   "SELECT ",
		"GROUP BY usage_plan_i":     "GROUP BY usage_plan_id",
	} {
		got, pos, ok := complete(line, len(line), '\t')
		if !ok || got != want || pos != len(want) {
			t.Errorf("complete(%q) = %q at %d, want %q", line, got, pos, want)
		}
	}
	// Text after the cursor is kept.
	if got, pos, _ := complete("SELECT cust FROM requests", len("SELECT cust"), '\t'); got != "SELECT customer FROM requests" || !strings.HasPrefix(got[pos:], " FROM") {
		t.Errorf("complete before the end = %q at %d", got, pos)
	}
	if _, _, ok := complete("x", 1, 'a'); ok {
		t.Error("complete accepts a letter")
	}
}

func TestReplicasFlag(t *testing.T) {
	for in, want := range map[string]int{"auto": 0, "1": 1, "3": 3, "5": 5} {
		if n, err := parseReplicas(in); err != nil || n != want {
			t.Errorf("parseReplicas(%q) = %d, %v, want %d", in, n, err, want)
		}
	}
	for _, in := range []string{"", "0", "6", "-1", "three"} {
		if n, err := parseReplicas(in); err == nil {
			t.Errorf("parseReplicas(%q) = %d, want an error", in, n)
		}
	}
}

func TestBoundsWithoutZoneAreInTheReportsZone(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-11-10": "2026-11-09T23:00:00Z", "2026-07-10": "2026-07-09T22:00:00Z", "2026-11-10T08:30": "2026-11-10T07:30:00Z",
		"2026-11-10T08:30:00Z": "2026-11-10T08:30:00Z", "2026-11-10T08:30:00+05:00": "2026-11-10T03:30:00Z", "24h": "2026-11-19T12:00:00Z",
	} {
		f := reportFlags{zone: "Europe/Berlin", by: []string{"day"}, from: when{now: func() time.Time { return now }}, to: when{Time: now.AddDate(1, 0, 0)}}
		if err := f.from.Set(text); err != nil {
			t.Fatal(err)
		}
		q, err := f.query()
		if got := q.From.Format(time.RFC3339); err != nil || got != want {
			t.Errorf("--from %s: %s, %v, want %s", text, got, err, want)
		}
	}
}
