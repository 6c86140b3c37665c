package function

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestEventMatchesFirehose(t *testing.T) {
	got := string(AppendEvent(nil, CallInput{StreamARN: "arn:aws:firehose:region:0:deliverystream/name", Region: "us-west-2",
		Records: []Record{{ID: "record1", Arrived: 1507217624302, Data: []byte("Hello World")}, {ID: "record2", Arrived: -1, Data: nil}}}))
	id := got[len(`{"invocationId":"`):][:36] // random
	want := `{"invocationId":"` + id + `","deliveryStreamArn":"arn:aws:firehose:region:0:deliverystream/name","region":"us-west-2",` +
		`"records":[{"recordId":"record1","approximateArrivalTimestamp":1507217624302,"data":"SGVsbG8gV29ybGQ="},` +
		`{"recordId":"record2","approximateArrivalTimestamp":-1,"data":""}]}`
	if got != want {
		t.Errorf("AppendEvent:\n got %s\nwant %s", got, want)
	}
	var a, b struct{ InvocationID string }
	for _, to := range []*struct{ InvocationID string }{&a, &b} {
		if err := json.Unmarshal(AppendEvent(nil, CallInput{}), to); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.InvocationID) != 36 || a == b {
		t.Errorf("invocation ids: got %q and %q, want two different UUIDs", a.InvocationID, b.InvocationID)
	}
}

func TestSplitRespectsLimits(t *testing.T) {
	records := func(n, bytes int) (out []Record) {
		for i := range n {
			out = append(out, Record{ID: fmt.Sprintf("%056d", i), Arrived: 1795072949453, Data: []byte(strings.Repeat("x", bytes))})
		}
		return out
	}
	for _, tt := range []struct {
		name  string
		in    []Record
		calls int
	}{
		{"none", nil, 0},
		{"one", records(1, 10), 1},
		{"a full buffer", records(7864*3, 400), 3},
		{"limited by the event size", records(100_000, 1), 3},
		{"largest records", records(9, 1_024_000), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := Split(CallInput{StreamARN: "arn", Records: tt.in})
			if len(calls) != tt.calls {
				t.Errorf("Split: got %d calls, want %d", len(calls), tt.calls)
			}
			var again []Record
			for _, c := range calls {
				if n := len(AppendEvent(nil, c)); n > MaxPayloadBytes {
					t.Errorf("event has %d bytes, limit is %d", n, MaxPayloadBytes)
				}
				if c.StreamARN != "arn" {
					t.Errorf("call of stream %q, want the same stream", c.StreamARN)
				}
				again = append(again, c.Records...)
			}
			if len(again) != len(tt.in) {
				t.Fatalf("Split: got %d records, want %d", len(again), len(tt.in))
			}
			for i := range again {
				if again[i].ID != tt.in[i].ID {
					t.Fatalf("record %d is %s, want %s", i, again[i].ID, tt.in[i].ID)
				}
			}
		})
	}
}

func TestBundleIsReproducible(t *testing.T) {
	program := bytes.Repeat([]byte("not really a program "), 5000)
	var a, b bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		if err := Bundle(w, bytes.NewReader(program)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two zips of the same bootstrap differ")
	}
	if got := a.Len(); got > len(program)/10 {
		t.Errorf("zip has %d bytes; it is not compressed", got)
	}
}
