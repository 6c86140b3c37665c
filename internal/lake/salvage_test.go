package lake

import (
	"bytes"
	"strings"
	"testing"
)

// A damaged object does not take those before and after it on the line with it.
func TestSalvageKeepsOtherObjects(t *testing.T) {
	const good = `{"request_id":"g","status":"200"}`
	for _, damaged := range []string{
		`{"request_id":"x","path":"/a`, `{"request_id":"x","status":20`, `{"request_id":"x",`, `{"request_id"`, `{"reque`, `{"x":"\`, "{\"x\":\"\xff\x00", `{"x":tru`, `{"x":"y"`, `text`, `{"x":"}`,
	} {
		r := Mapping{}.reader(1)
		r.line([]byte(good + damaged + good + good + damaged))
		if r.count.rows != 3 || r.count.bad != 2 {
			t.Errorf("%q: %+v, want 3 rows and 2 bad", damaged, r.count)
		}
	}
}

// The work for a damaged line grows with its length, not with its square.
func TestSalvageIsBounded(t *testing.T) {
	for _, unit := range []string{`{"a`, `}{"`, `x{"`, `"{`, `{"message":"{`, `{"a":"{[[[[`, "{\"a\":\"\xff"} {
		r := Mapping{}.reader(1)
		line := bytes.Repeat([]byte(unit), maxLineBytes/2/len(unit))
		if r.line(append(line, strings.Repeat(" ", 10)+joint...)); r.count.bad == 0 || len(r.bad) > maxBadLines {
			t.Errorf("%q: %+v, %d kept", unit, r.count, len(r.bad))
		}
	}
}
