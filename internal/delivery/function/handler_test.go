package function

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/record"
)

// marker is an enricher that marks a record, and rejects one that begins with "bad".
type marker struct{}

func (marker) Append(dst, rec []byte) ([]byte, error) {
	if strings.HasPrefix(string(rec), "bad") {
		return dst, errors.New("rejected")
	}
	dst = append(dst, '<')
	dst = append(dst, rec...)
	return append(dst, '>', '\n'), nil
}

// answered is a reply parsed by encoding/json.
type answered struct {
	Records []struct {
		RecordID string  `json:"recordId"`
		Result   string  `json:"result"`
		Data     *string `json:"data"`
	} `json:"records"`
}

// lines returns one line per record of the reply: id, result, decoded data (or ∅).
func lines(t testing.TB, response []byte) []string {
	t.Helper()
	var a answered
	if err := json.Unmarshal(response, &a); err != nil {
		t.Fatalf("reply is not JSON: %v\n%s", err, response)
	}
	var out []string
	for _, r := range a.Records {
		data := "∅"
		if r.Data != nil {
			if raw, err := base64.StdEncoding.DecodeString(*r.Data); err == nil {
				data = string(raw)
			} else {
				data = "?" + *r.Data
			}
		}
		out = append(out, r.RecordID+" "+r.Result+" "+data)
	}
	return out
}

func TestHandlerReadsAnyLayout(t *testing.T) {
	const head = `{"invocationId":"i","deliveryStreamArn":"a","region":"us-east-1","records":`
	for _, tt := range []struct {
		name, event string
		want        []string
		slow        bool
	}{
		{name: "Firehose's layout", event: head + `[{"recordId":"1","approximateArrivalTimestamp":1495072949453,"data":"b25l"}]}`, want: []string{"1 Ok <one>\n"}},
		{name: "no records", event: head + `[]}`, want: nil},
		{name: "padding", event: head + `[{"recordId":"1","data":"YQ=="},{"recordId":"2","data":"YWI="},{"recordId":"3","data":""}]}`,
			want: []string{"1 Ok <a>\n", "2 Ok <ab>\n", "3 Ok <>\n"}},
		{name: "white space", event: " { \"records\" :\n[ { \"recordId\"\t: \"1\" ,\r\n\"data\" : \"b25l\" } ] } ", want: []string{"1 Ok <one>\n"}},
		{name: "other order", event: `{"records":[{"data":"b25l","recordId":"1"}],"region":"r"}`, want: []string{"1 Ok <one>\n"}},
		{name: "kinesis source", slow: true, event: `{"sourceKinesisStreamArn":"k","records":[{"recordId":"1","kinesisRecordMetadata":{"shardId":"s","n":[1,{}]},"data":"b25l"}]}`,
			want: []string{"1 Ok <one>\n"}},
		{name: "escaped slash", event: head + `[{"recordId":"1","data":"Pz8\/"}]}`, want: []string{"1 Ok <???>\n"}},
		{name: "escaped id", slow: true, event: head + `[{"recordId":"\u0031\"","data":"b25l"}]}`, want: []string{"1\" Ok <one>\n"}},
		{name: "escaped key", slow: true, event: head + `[{"record\u0049d":"1","data":"b25l"}]}`, want: []string{"1 Ok <one>\n"}},
		{name: "null data", slow: true, event: head + `[{"recordId":"1","data":null},{"recordId":"2"}]}`,
			want: []string{"1 ProcessingFailed ∅", "2 ProcessingFailed ∅"}},
		{name: "bad record does not affect others", event: head + `[{"recordId":"1","data":"YmFk"},{"recordId":"2","data":"b25l"},{"recordId":"3","data":"!!!!"}]}`,
			want: []string{"1 ProcessingFailed bad", "2 Ok <one>\n", "3 ProcessingFailed ?!!!!"}},
		{name: "duplicate member", slow: true, event: head + `[{"recordId":"1","data":"YmFk","data":"b25l"}]}`, want: []string{"1 Ok <one>\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := NewHandler(marker{})
			out, err := h.Invoke(context.Background(), []byte(tt.event))
			if err != nil {
				t.Fatalf("Invoke: %v", err)
			}
			if diff := cmp.Diff(tt.want, lines(t, out)); diff != "" {
				t.Errorf("Invoke (-want +got):\n%s", diff)
			}
			if _, fast := scanEvent(nil, []byte(tt.event)); fast == tt.slow {
				t.Errorf("scanEvent(%s) = %v, want %v", tt.event, fast, !tt.slow)
			}
		})
	}
}

func TestHandlerRejectsInvalidEvents(t *testing.T) {
	const secret = "b25lc2VjcmV0"
	for _, event := range []string{
		``, `null x`, `[]`, `{"records":5}`, `{"records":[{"recordId":"1","data":"` + secret + `"}]`, `{"records":[]}}`,
		"{\"records\":[{\"recordId\":\"1\",\"data\":\"" + secret + "\n\"}]}", `{"records":[{"recordId":"1","data":"` + secret + `\x"}]}`,
		`{"records":[{"recordId":"1","approximateArrivalTimestamp":01,"data":"` + secret + `"}]}`,
		`{"records":[{"recordId":{},"data":"` + secret + `"}]}`,
	} {
		h := NewHandler(marker{})
		out, err := h.Invoke(context.Background(), []byte(event))
		if err == nil {
			t.Errorf("Invoke(%s): got %s, want an error", event, out)
		} else if strings.Contains(err.Error(), secret[:4]) {
			t.Errorf("Invoke(%s): error contains event data: %v", event, err)
		}
	}
}

func TestReplyRespectsSizeLimit(t *testing.T) {
	in := CallInput{Records: make([]Record, 40)}
	for i := range in.Records {
		in.Records[i] = Record{ID: fmt.Sprintf("%04d", i), Data: []byte(strings.Repeat("x", 30*(i%5)))}
		if i%7 == 0 {
			in.Records[i].Data = []byte("bad" + strings.Repeat("y", 50))
		}
	}
	event := AppendEvent(nil, in)
	full, err := NewHandler(marker{}).Invoke(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	least := len(answerStart) + len(answerEnd) + 40*(len(recordStart)+4+len(resultFailed)+len(recordEnd)) + 39
	for limit := least - 10; limit <= len(full)+10; limit++ {
		h := NewHandler(marker{})
		h.maxBytes = limit
		out, err := h.Append([]byte("before"), event)
		if limit < least {
			if err == nil {
				t.Fatalf("limit %d: got a reply of %d bytes, want an error", limit, len(out))
			}
			continue
		}
		if err != nil && limit > least { // the reserve includes one comma too many
			t.Fatalf("limit %d: %v", limit, err)
		} else if err != nil {
			continue
		}
		out = out[len("before"):]
		if len(out) > limit {
			t.Fatalf("limit %d: got %d bytes", limit, len(out))
		}
		if got := lines(t, out); len(got) != 40 {
			t.Fatalf("limit %d: got %d records, want all 40", limit, len(got))
		}
		if limit > len(full) && string(out) != string(full) {
			t.Fatalf("limit %d: record failed although all fit", limit)
		}
	}
}

func TestHandlerDoesNotAllocatePerRecord(t *testing.T) {
	event := benchEvent(500)
	h := NewHandler(copier{})
	out, err := h.Append(nil, event)
	if err != nil {
		t.Fatal(err)
	}
	// A garbage collection can empty the pool at any time, so a few allocations are allowed; one per record would be 500.
	if n := testing.AllocsPerRun(20, func() { out, _ = h.Append(out[:0], event) }); n > 20 {
		t.Errorf("%v allocations for an event of 500 records, want up to 20", n)
	}
}

func TestHandlerInParallel(t *testing.T) {
	h := NewHandler(marker{})
	event := benchEvent(50)
	want, err := h.Invoke(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 8)
	for range cap(done) {
		go func() {
			for range 20 {
				if got, err := h.Invoke(context.Background(), event); err != nil || string(got) != string(want) {
					done <- fmt.Sprintf("answers differ: %v", err)
					return
				}
			}
			done <- ""
		}()
	}
	for range cap(done) {
		if problem := <-done; problem != "" {
			t.Error(problem)
		}
	}
}

// grower grows a record by a number of bytes that is its last character, in thousands; it drops "drop".
type grower struct{}

func (grower) Append(dst, rec []byte) ([]byte, error) {
	if string(rec) == "drop" {
		return dst, record.ErrDropped
	}
	if rec[0] != 'x' {
		return dst, errors.New("rejected")
	}
	dst = append(dst, rec...)
	return append(dst, strings.Repeat(".", 1000*int(rec[len(rec)-1]-'0'))...), nil
}

func TestGrowingRecordsLeaveSpaceForOthers(t *testing.T) {
	const large = "the enriched record does not fit in the reply"
	for _, tt := range []struct {
		name     string
		limit    int
		in, want []string // the wanted results without ids
		failures map[string]int
	}{
		{"all fit", 11_000, []string{"x5", "drop", "x0", "x1"}, []string{"Ok x5" + strings.Repeat(".", 5000), "Dropped ∅", "Ok x0", "Ok x1" + strings.Repeat(".", 1000)}, nil},
		{"one is too large", 11_000, []string{"x9", "bad", "x2"}, []string{"ProcessingFailed ∅", "ProcessingFailed bad", "Ok x2" + strings.Repeat(".", 2000)},
			map[string]int{large: 1, "rejected": 1}},
		{"one would need the others' space", 9_000, append([]string{"x6"}, slices.Repeat([]string{"x bare 0"}, 20)...),
			append([]string{"ProcessingFailed ∅"}, slices.Repeat([]string{"Ok x bare 0"}, 20)...), map[string]int{large: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := CallInput{}
			for i, data := range tt.in {
				in.Records = append(in.Records, Record{ID: fmt.Sprint(i), Data: []byte(data)})
				tt.want[i] = fmt.Sprint(i, " ", tt.want[i])
			}
			h := NewHandler(grower{})
			h.maxBytes = tt.limit
			out, err := h.Invoke(context.Background(), AppendEvent(nil, in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, lines(t, out)); diff != "" {
				t.Errorf("Invoke (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.failures, h.Failures()); diff != "" {
				t.Errorf("Failures (-want +got):\n%s", diff)
			}
			if left := h.Failures(); len(left) > 0 {
				t.Errorf("Failures repeats %v", left)
			}
		})
	}
}
