package buffer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
)

// A consumer is in one server's memory. A reader must detect by itself that it is gone.
func TestReadReplacesLostConsumer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	url := cluster(t, true)
	l := openLog(t, open(t, buffer.Config{URL: url}), "s", 0)
	appendAll(t, l, "one", "two")

	deleted := false
	var got []string
	err := l.Read(ctx, 1, time.Minute, func(seq uint64, frame []byte) error {
		got = append(got, fmt.Sprintf("%d:%s", seq, frame))
		switch {
		case seq == 2 && !deleted:
			deleted = true
			deleteConsumers(t, url)
			appendAll(t, l, "three", "four")
		case seq == 4:
			return errEnough
		}
		return nil
	})
	if err != errEnough { //nolint:errorlint // Read returns fn's error unchanged
		t.Fatal(err)
	}
	diff(t, "frames", []string{"1:one", "2:two", "3:three", "4:four"}, got)
}

// deleteConsumers deletes every consumer of every stream through another client.
func deleteConsumers(t *testing.T, url string) {
	t.Helper()
	js := connect(t, url)
	n := 0
	for stream := range js.ListStreams(t.Context()).Info() {
		s, err := js.Stream(t.Context(), stream.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for name := range s.ConsumerNames(t.Context()).Name() {
			if err := s.DeleteConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n != 1 {
		t.Fatalf("deleted %d consumers, want 1, the reader's", n)
	}
}
