package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/testenv"
)

// An end while the bucket is away keeps what is not delivered and comes by its deadline; a
// second signal does not wait for that. Either way nothing is lost or twice.
func TestAnEndHasADeadlineAndASecondSignalCuts(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	for name, cut := range map[string]bool{"deadline": false, "second signal": true} {
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
			eventually(t, "the end to begin", func() bool { return strings.Contains(u.stderr.String(), "a second signal stops at once") })
			if cut {
				if err := u.stop(syscall.SIGTERM); err == nil {
					t.Error("a cut ended in order")
				}
			} else {
				<-u.waited
				if u.waitErr != nil || !strings.Contains(u.stderr.String(), "are delivered after the next start") {
					t.Errorf("the end: %v", u.waitErr)
				}
			}
			t.Logf("it ended after %v", time.Since(began).Round(100*time.Millisecond))
			b.mode.Store(good)
			again := startUp(t, u.dir, store.clientEnv("stagelog"), u.args...)
			if err := again.stop(syscall.SIGTERM); err != nil {
				t.Errorf("the next end: %v", err)
			}
			checkOnce(t, l, store)
		})
	}
}
