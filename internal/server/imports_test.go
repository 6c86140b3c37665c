package server

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/lake"
)

// An object that cannot be read is logged once, not at each import, and again when it was imported.
func TestSkippedObjectIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	i := imports{log: log, whole: failurelog.New(log, slog.LevelWarn, "the import"), skipped: map[string]*failurelog.Log{}}
	a, b := lake.Problem{Key: "a", Reason: "denied", Skipped: true}, lake.Problem{Key: "b", Reason: "archived", Skipped: true}
	for _, sum := range []lake.Summary{
		{Problems: []lake.Problem{a}, Skipped: 1}, {Problems: []lake.Problem{a, b, {Key: "c", Reason: "truncated"}}, Skipped: 2}, {Problems: []lake.Problem{a, b}, Skipped: 2},
	} {
		i.done(sum, nil)
	}
	i.done(lake.Summary{}, errors.New("no bucket"))
	i.done(lake.Summary{Problems: []lake.Problem{b}, Skipped: 2}, nil)
	if strings.Contains(out.String(), "recovered") {
		t.Errorf("an object that the summary does not list is logged as recovered:\n%s", out.String())
	}
	i.done(lake.Summary{Problems: []lake.Problem{b}, Skipped: 1}, nil)
	for _, text := range []string{"error=denied object=a", "error=archived object=b", "error=truncated", "recovered after 3 tries"} {
		if n := strings.Count(out.String(), text); n != 1 {
			t.Errorf("%q is logged %d times, want once:\n%s", text, n, out.String())
		}
	}
}
