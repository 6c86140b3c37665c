package deliver_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Only one of several processes delivers a shard. When it stops, dies, or cannot reach the store,
// the next one continues within seconds, and no record is lost or delivered twice.
func TestStandbyWorkerTakesOver(t *testing.T) {
	tests := []struct {
		name string
		ends func(stop func(), away func()) // ends the first worker's turn
		soon time.Duration                  // limit for the takeover
	}{
		{"first stops", func(stop, _ func()) { stop() }, 2 * time.Second},
		{"first dies or loses the network", func(_, away func()) { away() }, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.dest.Interval = time.Second
				gone := false // guarded by world.mu
				first, firstCtx, stopFirst := w.workerOf(t, func(string, bool) error {
					if gone {
						return errors.New("no route to host")
					}
					return nil
				}, true)
				second, secondCtx, stopSecond := w.workerOf(t, nil, true)
				defer stopFirst()
				defer stopSecond()
				firstEnded := run(firstCtx, first)
				records := w.traffic(50)
				time.Sleep(time.Second)
				secondEnded := run(secondCtx, second)
				records = append(records, w.trafficFrom(len(records), 50)...)
				time.Sleep(5 * time.Second)
				if n := second.Counts().In; n != 0 {
					t.Errorf("second worker delivered %d records while the first held the lease", n)
				}
				began := time.Now()
				if err := second.Flush(t.Context()); err != nil || time.Since(began) > 0 {
					t.Errorf("Flush of a standby worker took %v: %v", time.Since(began), err)
				}
				tt.ends(func() { stopFirst(); <-firstEnded }, func() {
					w.mu.Lock()
					defer w.mu.Unlock()
					gone = true
				})
				records = append(records, w.trafficFrom(len(records), 50)...)
				ended := time.Now()
				for second.Counts().In == 0 && time.Since(ended) < time.Minute {
					time.Sleep(50 * time.Millisecond)
				}
				if took := time.Since(ended); took > tt.soon {
					t.Errorf("second worker took over after %v, want at most %v", took, tt.soon)
				}
				time.Sleep(5 * time.Second)
				w.mu.Lock()
				gone = false // the network is back, and the first worker finds its lease lost
				w.mu.Unlock()
				time.Sleep(time.Minute)
				stopFirst()
				stopSecond()
				if err := <-secondEnded; err != nil {
					t.Errorf("Run of the second worker: %v", err)
				}
				w.exactlyOnce(t, records)
			})
		})
	}
}
