package failurelog_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
)

func newLog(level slog.Level) (*failurelog.Log, *bytes.Buffer) {
	var out bytes.Buffer
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return failurelog.New(slog.New(handler), level, "the put"), &out
}

func TestSeriesLogsStartAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newLog(slog.LevelWarn)
		l.Worked()
		for range 15 * 60 { // 15 minutes
			l.Failed(errors.New("refused"), "stream", "s")
			time.Sleep(time.Second)
		}
		l.Worked("stream", "s")
		l.Worked("stream", "s")
		l.Failed(errors.New("again"))
		want := []string{
			`level=WARN msg="the put is failing" error=refused stream=s`,
			`level=WARN msg="the put is still failing" error=refused stream=s tries=601`,
			`level=INFO msg="the put recovered after 900 tries" stream=s`,
			`level=WARN msg="the put is failing" error=again`,
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(out.String()), "\n")); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLog(slog.LevelError)
		if s, failing := l.Series(); failing {
			t.Errorf("Series of a new Log = %+v, want none", s)
		}
		l.Failed(errors.New("first"))
		time.Sleep(time.Minute)
		l.Failed(errors.New("second"))
		want := failurelog.Series{What: "the put", Error: "second", Tries: 2, Last: time.Now()}
		if got, failing := l.Series(); !failing || got != want {
			t.Errorf("Series = %+v, %v; want %+v", got, failing, want)
		}
		l.Worked()
		if s, failing := l.Series(); failing {
			t.Errorf("Series after a success = %+v, want none", s)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	l, out := newLog(slog.LevelWarn)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				l.Failed(errors.New("refused"))
				l.Worked()
			}
		})
	}
	all.Wait()
	l.Worked()
	failing, recovered := strings.Count(out.String(), "is failing"), strings.Count(out.String(), "recovered")
	if failing == 0 || failing != recovered {
		t.Errorf("logged %d failures and %d recoveries, want the same number", failing, recovered)
	}
}
