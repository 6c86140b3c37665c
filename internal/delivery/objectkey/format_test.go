package objectkey_test

import (
	"testing"
	"time"
)

// The expected values are derived from the documentation of DateTimeFormatter and WeekFields.
func TestPatternsFormatLikeJava(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*3600)
	india := time.FixedZone("IST", 5*3600+1800)
	newYork := time.FixedZone("EST", -5*3600)
	afternoon := time.Date(2026, time.November, 30, 15, 7, 9, 0, time.UTC)
	midnight := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		pattern string
		at      time.Time
		want    string
	}{
		{"y yy yyy yyyy yyyyy", at, "2026 26 2026 2026 02026"},
		{"u uu uuuu", at, "2026 26 2026"},
		{"M MM MMM MMMM MMMMM", at, "9 09 Sep September S"},
		{"L LL LLL LLLL", at, "9 09 Sep September"},
		{"d dd", at, "9 09"},
		{"D DD DDD", at, "252 252 252"},
		{"D DD DDD", midnight, "1 01 001"},
		{"E EE EEE EEEE EEEEE", at, "Wed Wed Wed Wednesday W"},
		{"e ee eee eeee c ccc", at, "4 04 Wed Wednesday 4 Wed"},
		{"Q QQ QQQ QQQQ q", at, "3 03 Q3 3rd quarter 3"},
		{"G GGGG GGGGG", at, "AD Anno Domini A"},
		{"H HH k kk h hh K KK a", at, "3 03 3 03 3 03 3 03 AM"},
		{"H HH k kk h hh K KK a", afternoon, "15 15 15 15 3 03 3 03 PM"},
		{"H HH k kk h hh K KK a", midnight, "0 00 24 24 12 12 0 00 AM"},
		{"m mm s ss", at, "4 04 5 05"},
		{"S SS SSS SSSSSS SSSSSSSSS", at, "0 06 067 067890 067890123"},
		{"A n N", at, "11045067 67890123 11045067890123"},
		{"F W w", at, "2 2 37"},
		{"g", time.Date(2000, time.January, 1, 12, 0, 0, 0, time.UTC), "51544"},
		{"X XX XXX x xx xxx Z ZZZZ ZZZZZ O OOOO z", at, "Z Z Z +00 +0000 +00:00 +0000 GMT Z GMT GMT UTC"},
		{"X XX XXX Z ZZZZ ZZZZZ O OOOO z", at.In(tokyo), "+09 +0900 +09:00 +0900 GMT+09:00 +09:00 GMT+9 GMT+09:00 JST"},
		{"X x O", at.In(india), "+0530 +0530 GMT+5:30"},
		{"X XXXXX O z", at.In(newYork), "-05 -05:00 GMT-5 EST"},
		{"yyyy'T''''x'", at, "2026T''x"},
		{"''yyyy''", at, "'2026'"},
		{"yyyy[/MM]", at, "2026/09"},
		{"yyyy_MM.dd:HH,~é", at, "2026_09.09:03,~é"},
	}
	for _, tt := range tests {
		if got := eval(t, "!{timestamp:"+tt.pattern+"}", tt.at); got != tt.want {
			t.Errorf("%s at %v = %q, want %q", tt.pattern, tt.at, got, tt.want)
		}
	}
}

// TestWeekYearDiffersAtYearEnd checks that YYYY is the week's year, as in AWS: a common mistake in
// prefixes, visible once a year.
func TestWeekYearDiffersAtYearEnd(t *testing.T) {
	tests := []struct{ day, year, weekYear string }{
		{"2026-12-26", "2026", "2026"}, // a Saturday
		{"2026-12-27", "2026", "2027"}, // the week of 1 January 2027 begins
		{"2026-12-31", "2026", "2027"},
		{"2027-01-01", "2027", "2027"},
		{"2024-12-28", "2024", "2024"},
		{"2024-12-29", "2024", "2025"},
		{"2025-12-31", "2025", "2026"},
		{"2022-12-31", "2022", "2022"}, // a Saturday: no difference that year
		{"2023-01-01", "2023", "2023"},
	}
	for _, tt := range tests {
		day, err := time.Parse(time.DateOnly, tt.day)
		if err != nil {
			t.Fatal(err)
		}
		for _, hour := range []time.Duration{0, 23*time.Hour + 59*time.Minute} {
			if got := eval(t, "!{timestamp:yyyy}", day.Add(hour)); got != tt.year {
				t.Errorf("yyyy on %s = %s, want %s", tt.day, got, tt.year)
			}
			if got := eval(t, "!{timestamp:YYYY}", day.Add(hour)); got != tt.weekYear {
				t.Errorf("YYYY on %s = %s, want %s", tt.day, got, tt.weekYear)
			}
		}
	}
}

// TestTimeZoneChangesDate checks that dates are in the caller's location.
func TestTimeZoneChangesDate(t *testing.T) {
	late := time.Date(2026, time.December, 31, 20, 0, 0, 0, time.UTC)
	if got := eval(t, "logs/", late.In(time.FixedZone("JST", 9*3600))); got != "logs/2027/01/01/05/" {
		t.Errorf("prefix at %v in Tokyo = %q, want logs/2027/01/01/05/", late, got)
	}
}
