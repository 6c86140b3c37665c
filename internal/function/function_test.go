package function

import (
	"context"
	"errors"
	"testing"
)

// upper is an enricher that marks a record and refuses one that says so.
type upper struct{}

func (upper) Append(dst, rec []byte) ([]byte, error) {
	if string(rec) == "bad" {
		return dst, errors.New("refused")
	}
	dst = append(dst, '<')
	dst = append(dst, rec...)
	return append(dst, '>', '\n'), nil
}

func TestRoundTrip(t *testing.T) {
	h := NewHandler(upper{})
	in := CallInput{StreamARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/x", Region: "us-east-1", Records: []Record{
		{ID: "1", Arrived: 1495072949453, Data: []byte("one")}, {ID: "2", Data: []byte("bad")}, {ID: "3", Data: nil},
	}}
	out, err := Call(context.Background(), InProcess(h.Invoke), in)
	if err != nil {
		t.Fatalf("Call: %v", err)
	}
	if string(out[0].Data) != "<one>\n" || out[0].Status != OK || out[1].Code != CodeStatusFailed || string(out[2].Data) != "<>\n" {
		t.Errorf("Call: got %+v", out)
	}
	if s := h.Stats(); s.Slow != 0 || s.Records != 3 || s.Failed != 1 {
		t.Errorf("Stats: got %+v", s)
	}
}
