//go:build cgo

package lake_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// lines generates random log lines.
type lines struct {
	*rand.Rand
	n int
}

func generator(seed int64) *lines { return &lines{Rand: rand.New(rand.NewPCG(uint64(seed), 1))} }

var texts = []string{"-", "", "a", "Müller & Söhne", `"quoted", with commas`, "line\nbreak", "back\\slash", "😀", "-dash", strings.Repeat("long ", 100), "NULL", " space "}

func (g *lines) text() string { return texts[g.IntN(len(texts))] }

// number returns a random number as a string, as a number, or nil.
func (g *lines) number(most int64) any {
	n := g.Int64N(most)
	switch g.IntN(4) {
	case 0:
		return strconv.FormatInt(n, 10)
	case 1:
		return n
	case 2:
		return "-"
	}
	return nil
}

// line returns the fields of a random line with a unique id.
func (g *lines) line() map[string]any {
	g.n++
	line := map[string]any{"request_id": fmt.Sprintf("id-%d", g.n)}
	for _, name := range []string{"customer", "usage_plan", "stage", "user_agent", "resource_path", "ip"} {
		if g.IntN(3) > 0 {
			line[name] = g.text()
		}
	}
	for name, most := range map[string]int64{"status": 600, "latency": 1 << 31, "response_size": 1 << 50} {
		if g.IntN(3) > 0 {
			line[name] = g.number(most)
		}
	}
	at := time.UnixMilli(1_600_000_000_000 + g.Int64N(300_000_000_000)).UTC()
	switch g.IntN(4) {
	case 0:
		line["request_time_epoch"] = strconv.FormatInt(at.UnixMilli(), 10)
		line["request_time"] = at.Add(-time.Hour).Format("02/Jan/2006:15:04:05 -0700") // the other one counts
	case 1:
		line["request_time"] = at.In(time.FixedZone("", 3600*(g.IntN(20)-10))).Format("02/Jan/2006:15:04:05 -0700")
	case 2:
		line["request_time"] = at.Format(time.RFC3339Nano)
	}
	return line
}

func (g *lines) delimiter() string { return []string{"\n", "", "\r\n", "\n\n"}[g.IntN(4)] }

// simpleRow returns the expected row of a line.
func simpleRow(t *testing.T, line map[string]any) string {
	t.Helper()
	text := func(name string) string {
		switch v := line[name].(type) {
		case nil:
			return "NULL"
		case string:
			if v == "-" || v == "" {
				return "NULL"
			}
			return v
		case int64:
			return strconv.FormatInt(v, 10)
		default:
			t.Fatalf("%s is a %T", name, v)
			return ""
		}
	}
	at := "NULL"
	const shown = "2006-01-02 15:04:05.999999"
	if epoch, ok := line["request_time_epoch"].(string); ok {
		ms, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		at = time.UnixMilli(ms).UTC().Format(shown)
	} else if clf, ok := line["request_time"].(string); ok {
		parsed, err := time.Parse("02/Jan/2006:15:04:05 -0700", clf)
		if err != nil {
			if parsed, err = time.Parse(time.RFC3339Nano, clf); err != nil {
				t.Fatal(err)
			}
		}
		at = parsed.UTC().Format(shown)
	}
	extra := "NULL"
	if len(line) == 0 {
		extra = "{}"
	}
	// Numbers that do not fit their column do not occur here.
	if _, err := json.Marshal(line); err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{at, text("request_id"), "NULL", "NULL", text("stage"), "NULL", text("customer"), text("usage_plan"), "NULL", "NULL",
		text("resource_path"), "NULL", text("status"), text("latency"), "NULL", text("response_size"), text("ip"), text("user_agent"), "NULL", extra}, "|")
}
