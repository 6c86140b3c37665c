package firehose

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readBoth reads the body by the fast way and by the rules, and fails when they differ on
// what the fast way took.
func readBoth(t *testing.T, op string, body []byte) (fast bool) {
	t.Helper()
	kept := bytes.Clone(body)
	var p, slow putRequest
	if fast = p.scan(op == "PutRecordBatch", body) && p.decode(); !fast {
		return false
	}
	if err := slow.readSlowly(op, body); err != nil {
		t.Fatalf("%s %q: the fast way took it, the rules say %v", op, body, err)
	}
	if diff := cmp.Diff(string(slow.name), string(p.name)); diff != "" {
		t.Errorf("%s %q: name (-rules +fast):\n%s", op, body, diff)
	}
	if diff := cmp.Diff(texts(slow.records), texts(p.records)); diff != "" {
		t.Errorf("%s %q: records (-rules +fast):\n%s", op, body, diff)
	}
	if !bytes.Equal(kept, body) {
		t.Errorf("%s: the body was changed", op)
	}
	return true
}

func texts(all [][]byte) (out []string) {
	for _, b := range all {
		out = append(out, string(b))
	}
	return out
}

func TestScanAcceptsClientBodies(t *testing.T) {
	tests := []struct {
		name, op, body string
		fast           bool
	}{
		{"Go SDK", "PutRecord", `{"DeliveryStreamName":"a","Record":{"Data":"YQ=="}}`, true},
		{"other order", "PutRecord", `{"Record":{"Data":"YQ=="},"DeliveryStreamName":"a"}`, true},
		{"boto3", "PutRecordBatch", `{"DeliveryStreamName": "a", "Records": [{"Data": "YQ=="}, {"Data": "YmI="}]}`, true},
		{"pretty", "PutRecordBatch", "\n{\n\t\"Records\" : [\r\n {\"Data\" : \"YWJj\"} ,\n{ \"Data\":\"\" } ] , \"DeliveryStreamName\"\n:\"a.b-c_9\" }\n", true},
		{"unknown member", "PutRecordBatch", `{"DeliveryStreamName":"a","Records":[{"Data":"YQ==","X":{"Data":1}}],"Y":[]}`, false},
		{"escaped slash", "PutRecord", `{"DeliveryStreamName":"a","Record":{"Data":"\/\/\/\/"}}`, false},
		{"escaped name", "PutRecord", `{"DeliveryStreamName":"\u0061","Record":{"Data":"YQ=="}}`, false},
		{"repeated", "PutRecord", `{"DeliveryStreamName":"a","DeliveryStreamName":"b","Record":{"Data":"YQ=="}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if fast := readBoth(t, tt.op, []byte(tt.body)); fast != tt.fast {
				t.Errorf("fast = %v, want %v", fast, tt.fast)
			}
			var p putRequest
			if err := p.read(tt.op, []byte(tt.body)); err != nil {
				t.Errorf("read: %v", err)
			}
		})
	}
}

func TestUsualBodiesDoNotAllocate(t *testing.T) {
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 374))
	body := []byte(`{"DeliveryStreamName":"a","Records":[` + strings.Repeat(`{"Data":"`+data+`"},`, 499) + `{"Data":"` + data + `"}]}`)
	var p putRequest
	if got := testing.AllocsPerRun(50, func() {
		if err := p.read("PutRecordBatch", body); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("reading a batch allocates %v times, want 0", got)
	}
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"DeliveryStreamName":"a","Record":{"Data":"YQ=="}}`,
		`{"DeliveryStreamName":"a","Records":[{"Data":"YQ=="},{"Data":"YmJi"}]}`,
		`{"Records":[ { "Data" : "AAAAAAAAAAAAAAAA" } ],"DeliveryStreamName":"a.b"}`,
		`{"Records":[{"Data":"YQ==","Data":"YQ=="}],"DeliveryStreamName":"a"}`,
		`{"DeliveryStreamName":"a","Records":[]}`,
		`{"DeliveryStreamName":"a","Records":null}`,
		`{"DeliveryStreamName":"a","Records":[{"Data":"YR=="}]}`,
		`{"DeliveryStreamName":"a","Record":{"Data":"YQ==\n"}}`,
		`{"DeliveryStreamName":"a","Record":{"Data":"Y\u0051=="}}`,
		`{"DeliveryStreamName":"a","Records":[{"Data":"YQ=="},]}`,
		`{"DeliveryStreamName":"a","Record":{"Data":"YQ=="}}{}`,
		`{"DeliveryStreamName":"a\\","Record":{"Data":"YQ=="}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		readBoth(t, "PutRecord", body)
		readBoth(t, "PutRecordBatch", body)
	})
}
