package buffer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

// TestReadReportsReplacedLog replaces a log, while it is read, by one with fewer frames, and by one with more.
func TestReadReportsReplacedLog(t *testing.T) {
	for _, frames := range []int{0, 1, 5} {
		url := cluster(t, true)
		l := openLog(t, open(t, buffer.Config{URL: url, MaxBytes: 100_000}), "s", 0)
		appendAll(t, l, "frame 1", "frame 2", "frame 3")
		read, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- l.Read(t.Context(), 1, time.Minute, func(seq uint64, _ []byte) error {
				if seq == 3 {
					close(read)
				}
				return nil
			})
		}()
		<-read
		if _, err := l.Frame(t.Context(), 4); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("Frame(4) = %v, want ErrNotFound", err)
		}
		replaceLog(t, url)
		for range frames {
			appendAll(t, l, "another frame")
		}
		if err := <-ended; !errors.Is(err, record.ErrReplaced) {
			t.Errorf("Read of a log that was replaced by one with %d frames = %v, want ErrReplaced", frames, err)
		}
	}
}

// replaceLog deletes the frames of the only log and starts its sequences again, like a server whose
// disk was replaced.
func replaceLog(t *testing.T, url string) {
	t.Helper()
	js := connect(t, url)
	info, err := js.Stream(t.Context(), "FRAMES_s_0")
	if err != nil {
		t.Fatal(err)
	}
	config := info.CachedInfo().Config
	if err := js.DeleteStream(t.Context(), config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}
