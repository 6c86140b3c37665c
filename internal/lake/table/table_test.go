package table

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestFigures(t *testing.T) {
	ms := func(n int64) *int64 { return &n }
	for _, c := range []struct{ got, want string }{
		{Thousands(0), "0"}, {Thousands(999), "999"}, {Thousands(1000), "1,000"}, {Thousands(1234567), "1,234,567"}, {Thousands(-1000), "-1,000"},
		{Thousands(-9223372036854775808), "-9,223,372,036,854,775,808"}, {Signed(5), "+5"}, {Signed(0), "0"}, {Signed(-5000), "-5,000"},
		{Size(0), "0 B"}, {Size(1023), "1023 B"}, {Size(1024), "1.0 KiB"}, {Size(1536), "1.5 KiB"}, {Size(1<<20 - 1), "1.0 MiB"}, {Size(1<<63 - 1), "8.0 EiB"},
		{Latency(nil), "-"}, {Latency(ms(0)), "0 ms"}, {Latency(ms(999)), "999 ms"}, {Latency(ms(1000)), "1.00 s"}, {Latency(ms(59_994)), "59.99 s"},
		{Latency(ms(59_995)), "1m00s"}, {Latency(ms(125_000)), "2m05s"},
		{Percent(0, 0), "-"}, {Percent(0, 9), "0.00%"}, {Percent(1, 1_000_000), "<0.01%"}, {Percent(1, 3), "33.33%"}, {Percent(999_999, 1_000_000), ">99.99%"}, {Percent(2, 2), "100.00%"},
		{Plural(1, "row"), "1 row"}, {Plural(2000, "row"), "2,000 rows"},
		{Shorten("abcdef", 6), "abcdef"}, {Shorten("abcdefg", 6), "abcde…"}, {Shorten("日本語の", 6), "日本…"},
		{strings.Join(Wrap("one two three", 8), "|"), "one two|  three"}, {strings.Join(Wrap("one two", 0), "|"), "one two"},
		{Printable("a\x1b[2J\u009b\u202e\u2028\xff\U000e0041é"), `a\x1b[2J\x9b\u202e\u2028\xff\U000e0041é`},
		{Cell("plain"), "plain"}, {Cell("-"), "-"}, {Cell("-1"), "'-1"}, {Cell("=1"), "'=1"}, {Cell("  @x"), "'  @x"}, {Cell("\t=1"), `'\x09=1`}, {Cell("a=1"), "a=1"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestWriteFitsTheTerminal(t *testing.T) {
	columns := func() []Column {
		return []Column{
			{Head: "name", Cells: []string{"a rather long name of a customer", "日本語"}},
			{Head: "requests", Right: true, Cells: []string{"1", "1,000"}},
			{Head: "spare", Right: true, Spare: 1, Cells: []string{"x", "yy"}},
		}
	}
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "name                              requests  spare\na rather long name of a customer         1      x\n日本語                               1,000     yy\n"},
		{45, "name                              requests\na rather long name of a customer         1\n日本語                               1,000\n"},
		{20, "name        requests\na rather …         1\n日本語         1,000\n"},
		{1, "name      requests\na rathe…         1\n日本語       1,000\n"},
	} {
		var b bytes.Buffer
		if err := Write(&b, columns(), c.width); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("Write, %d wide:\n%s\nwant\n%s", c.width, b.String(), c.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		p := Printable(s)
		if Printable(p) != p {
			t.Errorf("Printable(%q) = %q is not printable", s, p)
		}
		if cell := strings.TrimLeft(Cell(s), " "); cell != "" && cell != "-" && strings.ContainsAny(cell[:1], "=+-@") {
			t.Errorf("Cell(%q) = %q is a formula", s, cell)
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var want, got string
		if json.Unmarshal(data, &want) != nil || json.Unmarshal(JSON(data), &got) != nil || got != want {
			t.Errorf("JSON of %q reads as %q", s, got)
		}
	})
}
