package deliver_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Workers of several processes take turns: when the one that delivers stops, dies, or cannot
// reach the store any more, the next goes on within seconds, and nothing is lost or twice.
func TestWorkersTakeTurns(t *testing.T) {
	tests := []struct {
		name string
		ends func(stop func(), away func()) // the first one's turn
		soon time.Duration                  // until the other has delivered everything
	}{
		{"it stops", func(stop, _ func()) { stop() }, 2 * time.Second},
		{"it dies, or is cut off", func(_, away func()) { away() }, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.dest.Interval = time.Second
				gone := false // guarded by world.mu, which is held where it is read
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
					t.Errorf("the second delivered %d records while the first was there", n)
				}
				began := time.Now()
				if err := second.Flush(t.Context()); err != nil || time.Since(began) > 0 {
					t.Errorf("Flush of one that stands by took %v: %v", time.Since(began), err)
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
					t.Errorf("the second went on after %v, want at most %v", took, tt.soon)
				}
				time.Sleep(5 * time.Second)
				w.mu.Lock()
				gone = false // the network is back, and the first finds that it is no longer its turn
				w.mu.Unlock()
				time.Sleep(time.Minute)
				stopFirst()
				stopSecond()
				if err := <-secondEnded; err != nil {
					t.Errorf("Run of the second: %v", err)
				}
				w.exactlyOnce(t, records)
			})
		})
	}
}
