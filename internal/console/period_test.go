package console

import (
	"net/url"
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(timeLayout, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, tt := range map[string]struct {
		query    string
		from, to string
		columns  int
		err      bool
	}{
		"by default a day":         {"", "2026-03-13T15:20:00", "2026-03-14T15:20:00", 72, false},
		"15 minutes":               {"range=15m", "2026-03-14T14:54:30", "2026-03-14T15:09:30", 60, false},
		"an hour":                  {"range=1h", "2026-03-14T14:10:00", "2026-03-14T15:10:00", 60, false},
		"7 days":                   {"range=7d", "2026-03-07T16:00:00", "2026-03-14T16:00:00", 84, false},
		"30 days":                  {"range=30d", "2026-02-13T00:00:00", "2026-03-15T00:00:00", 60, false},
		"from and to":              {"from=2026-03-01T10:00&to=2026-03-01T11:30", "2026-03-01T10:00:00", "2026-03-01T11:30:00", 90, false},
		"dates":                    {"from=2026-03-01&to=2026-03-04", "2026-03-01T00:00:00", "2026-03-04T00:00:00", 72, false},
		"from alone is until now":  {"from=2026-03-14T15:09:00", "2026-03-14T15:09:00", "2026-03-14T15:09:26", 26, false},
		"from wins over range":     {"range=7d&from=2026-03-14T15:00", "2026-03-14T15:00:00", "2026-03-14T15:09:26", 38, false},
		"a century":                {"from=1990-01-01&to=2090-01-01", "1990-01-01T00:00:00", "2090-01-01T00:00:00", 90, false},
		"no range":                 {"range=9y", "", "", 0, true},
		"no time":                  {"from=yesterday", "", "", 0, true},
		"a year that overflows":    {"from=0001-01-01", "", "", 0, true},
		"the end before its start": {"from=2026-03-02&to=2026-03-01", "", "", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			p, err := parsePeriod(v, testNow)
			if (err != nil) != tt.err {
				t.Fatalf("parsePeriod(%s): %v", tt.query, err)
			}
			if tt.err {
				return
			}
			if !p.From.Equal(at(tt.from)) || !p.To.Equal(at(tt.to)) || p.Columns() != tt.columns {
				t.Errorf("parsePeriod(%s): got %v to %v in %d columns, want %s to %s in %d", tt.query, p.From, p.To, p.Columns(), tt.from, tt.to, tt.columns)
			}
			again, err := url.Parse(view{period: p}.URL("/"))
			if err != nil {
				t.Fatal(err)
			}
			if q, err := parsePeriod(again.Query(), testNow); err != nil || !q.From.Equal(p.From) || !q.To.Equal(p.To) {
				t.Errorf("the address %s: got %v to %v, %v; want the same range", again, q.From, q.To, err)
			}
		})
	}
}

// If half of a day has passed, it is compared with half of the previous day.
func TestPreviousPeriodIsAsLong(t *testing.T) {
	p, err := parsePeriod(url.Values{"range": {"24h"}}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	from, to := p.before()
	if want := p.From.Add(-24 * time.Hour); !from.Equal(want) {
		t.Errorf("from: got %v, want %v", from, want)
	}
	if want := testNow.Add(-24 * time.Hour); !to.Equal(want) {
		t.Errorf("to: got %v, want %v", to, want)
	}
}

func TestNumberFormats(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{short(0), "0"}, {short(7), "7"}, {short(0.126), "0.13"}, {short(999), "999"}, {short(1240), "1,240"}, {short(9999), "9,999"},
		{short(12345), "12.3k"}, {short(999_960), "1M"}, {short(1_240_000), "1.24M"}, {short(2.5e9), "2.5G"},
		{count(1234567), "1,234,567"}, {count(-1000), "−1,000"}, {count(100), "100"},
		{byteSize(0), "0\u00a0B"}, {byteSize(1536), "1.5\u00a0KiB"}, {byteSize(5 << 40), "5\u00a0TiB"}, {byteSize(5000 << 40), "5000\u00a0TiB"},
		{percent(0), "0%"}, {percent(0.00001), "<0.01%"}, {percent(0.0862), "8.62%"}, {percent(0.9999), ">99.9%"}, {percent(1), "100%"},
		{millis(12), "12\u00a0ms"}, {millis(3035), "3.04\u00a0s"},
		{age(41 * time.Second), "41 s"}, {age(3 * time.Hour), "3 h 0 min"}, {age(72 * time.Hour), "3 days"},
		{newDelta(110, 100, neutral).Text, "+10%"}, {newDelta(0, 5, neutral).Text, "gone"}, {newDelta(5, 0, neutral).Text, "new"},
		{newDelta(1000, 10, neutral).Text, "×100"}, {newDelta(50, 100, moreIsWorse).Class, "better"}, {newDelta(0, 0, neutral).Text, ""},
		{newPoints(0.05, 0.02, moreIsWorse).Text, "+3 pt"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
