package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/testenv"
)

// A stop while the bucket is unavailable keeps undelivered records and ends by its deadline, or at
// once after a second signal. Either way each record is delivered exactly once.
func TestStopDeadlineAndSecondSignal(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	for name, immediate := range map[string]bool{"deadline": false, "second signal": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, store, b := deliverThroughBadS3(t, "deliver: {interval: 1s, size: 1MiB}\n")
			fh, _ := clients(t, u)
			l := &load{answered: map[string]bool{}, sent: map[string]bool{}}
			b.mode.Store(slowDown)
			if err := l.put(t, fh, "n"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the bucket to refuse", func() bool { return b.spoilt[slowDown].Load() > 0 })
			began := time.Now()
			if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the shutdown to begin", func() bool { return strings.Contains(u.stderr.String(), "a second signal stops immediately") })
			if immediate {
				if err := u.stop(syscall.SIGTERM); err == nil {
					t.Error("an immediate stop exited cleanly")
				}
			} else {
				<-u.waited
				if u.waitErr != nil || !strings.Contains(u.stderr.String(), "are delivered after the next start") {
					t.Errorf("shutdown: %v", u.waitErr)
				}
			}
			t.Logf("stopped after %v", time.Since(began).Round(100*time.Millisecond))
			b.mode.Store(good)
			again := startUp(t, u.dir, store.clientEnv("stagelog"), u.args...)
			if err := again.stop(syscall.SIGTERM); err != nil {
				t.Errorf("next shutdown: %v", err)
			}
			checkOnce(t, l, store)
		})
	}
}
