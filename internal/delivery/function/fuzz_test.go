package function

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/record"
)

// FuzzHandler compares the handler with an implementation that uses only encoding/json, and checks the size limit.
func FuzzHandler(f *testing.F) {
	f.Add(benchEvent(2), uint16(500))
	for _, s := range []string{
		`{"invocationId":"i","deliveryStreamArn":"a","region":"r","records":[{"recordId":"1","approximateArrivalTimestamp":1,"data":"YQ=="}]}`,
		`{"records":[{"recordId":"\u0031","data":"Pz8\/"},{"data":null},{"recordId":"2","data":"YmFk"},{"recordId":"3","data":"*"}]}`,
		"{\"records\":[{\"recordId\":\"1\",\"data\":\"YW\nFh\"}]}", `{"records":[{"recordId":"1","data":"\""}]}`, `{"records":null}`, `{"records":[null]}`,
		`{"records":[{"recordId":"1","data":"YR=="}]}`, `{"records":[{"recordId":"é","data":"YW\nFh"}]}`, "{\"records\":[{\"recordId\":\"\xff\",\"data\":\"YW\\r\\nFh\"}]}", `{"records":[{"kinesisRecordMetadata":{}}]}`,
	} {
		f.Add([]byte(s), uint16(200))
	}
	f.Fuzz(func(t *testing.T, event []byte, limit uint16) {
		kept := bytes.Clone(event)
		h := NewHandler(marker{})
		got, err := h.Append(nil, event)
		want, wantErr := reference(event)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("handler error %v, encoding/json error %v", err, wantErr)
		}
		if err == nil {
			if diff := cmp.Diff(want, lines(t, got)); diff != "" {
				t.Fatalf("answers differ (-encoding/json +handler):\n%s", diff)
			}
		}
		h.maxBytes = int(limit)
		if got, err := h.Append(nil, event); err == nil && (len(got) > int(limit) || len(lines(t, got)) != len(want)) {
			t.Fatalf("limit %d: %d bytes, %d records, want %d", limit, len(got), len(lines(t, got)), len(want))
		}
		if !bytes.Equal(kept, event) {
			t.Fatal("handler modified the event")
		}
	})
}

// reference returns the expected reply, computed with encoding/json.
func reference(event []byte) (out []string, err error) {
	var in struct {
		Records []struct {
			RecordID string  `json:"recordId"`
			Data     *string `json:"data"`
		} `json:"records"`
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, err
	}
	for _, r := range in.Records {
		if r.Data == nil {
			out = append(out, r.RecordID+" ProcessingFailed ∅")
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(*r.Data)
		_, strictErr := base64.StdEncoding.Strict().DecodeString(*r.Data)
		isBase64 := strictErr == nil && !bytes.ContainsAny([]byte(*r.Data), "\r\n")
		done, refused := marker{}.Append(nil, raw)
		switch {
		case isBase64 && refused == nil:
			out = append(out, r.RecordID+" Ok "+string(done))
		case !plainString([]byte(*r.Data)): // not echoed
			out = append(out, r.RecordID+" ProcessingFailed ∅")
		case err == nil:
			out = append(out, r.RecordID+" ProcessingFailed "+string(raw))
		default:
			out = append(out, r.RecordID+" ProcessingFailed ?"+*r.Data)
		}
	}
	return out, nil
}

// FuzzReply compares the fast parser of replies with encoding/json.
func FuzzReply(f *testing.F) {
	records := []Record{{ID: "1"}, {ID: "2"}, {ID: ""}}
	for _, s := range []string{
		`{"records":[{"recordId":"1","result":"Ok","data":"YQ=="},{"recordId":"2","result":"Dropped"},{"recordId":"","result":"ProcessingFailed","data":"x"}]}`,
		`{"records":[{"recordId":"2","result":"Ok","data":"\/\/\/\/"},{"recordId":"1","result":"Nope","data":null}]}`, `{"records":[{}]}`, `null`, `{}`, `[]`,
		"{\"records\":[{\"recordId\":\"1\",\"result\":\"Dropped\",\"data\":\"\x01\"}]}", `{"records":[{"recordId":"1","result":"Ok","data":"YQ==","metadata":{"partitionKeys":{"a":"b"}}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got := appendResults(nil, records, payload)
		want := make([]record.Result, len(records))
		if decoded, err := decodeReply(payload); err != nil {
			for i := range want {
				want[i] = failed(record.CodeInvalidJSON, record.MessageInvalidJSON)
			}
		} else {
			want, _ = match(nil, records, decoded, len(payload))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("appendResults(%s) (-encoding/json +got):\n%s", payload, diff)
		}
	})
}
