package function

import (
	"context"
	"fmt"
	"testing"

	"github.com/stagelog/stagelog/internal/record"
)

// copier is an enricher that only copies.
type copier struct{}

func (copier) Append(dst, rec []byte) ([]byte, error) {
	dst = append(dst, rec[:len(rec)-1]...)
	return append(dst, `,"usage_plan":"Gold","customer":"Acme Corp","usage_plan_id":"abc123"}`+"\n"...), nil
}

const benchRecord = `{"requestId":"c6af9ac6-7b61-11e6-9a41-93e8deadbeef","ip":"203.0.113.17","caller":"-","user":"-","requestTime":"22/Nov/2026:10:21:33 +0000","httpMethod":"GET","resourcePath":"/orders/{id}","status":"200","protocol":"HTTP/1.1","responseLength":"1374","apiKey":"************************************abcd","apiKeyId":"k1a2b3c4d5","apiId":"a1b2c3d4e5","stage":"prod"}`

func benchEvent(n int) []byte {
	in := CallInput{StreamARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-acme", Region: "us-east-1"}
	for i := range n {
		in.Records = append(in.Records, Record{ID: fmt.Sprintf("%056d", i), Arrived: 1795072949453, Data: []byte(benchRecord)})
	}
	return AppendEvent(nil, in)
}

// BenchmarkHandler measures the handler alone, with an enricher that only copies.
func BenchmarkHandler(b *testing.B) {
	event := benchEvent(500)
	h := NewHandler(copier{})
	var out []byte
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = h.Append(out[:0], event); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkCall measures a whole call in this process: building the event, answering and checking it.
func BenchmarkCall(b *testing.B) {
	in := CallInput{StreamARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-acme", Region: "us-east-1"}
	for i := range 500 {
		in.Records = append(in.Records, Record{ID: fmt.Sprintf("%056d", i), Arrived: 1795072949453, Data: []byte(benchRecord)})
	}
	inv := InProcess(NewHandler(copier{}).Invoke)
	b.ReportAllocs()
	var out []record.Result
	for b.Loop() {
		var err error
		if out, err = Call(context.Background(), inv, in, out[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
}
