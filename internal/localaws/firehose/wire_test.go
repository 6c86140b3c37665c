package firehose_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func clock() time.Time { return time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC) }

// reply is an answer as a client sees it.
type reply struct {
	Status  int
	Type    string `json:"__type"`
	Message string `json:"message"`
	Body    string
	Header  http.Header
}

// signer changes how a request is signed.
type signer struct {
	key, secret, service, region string
	at                           time.Time
	header                       http.Header
}

// signed is a request of the operation, signed by the Go SDK's signer.
func signed(t testing.TB, op, body string, change func(*signer)) *http.Request {
	t.Helper()
	s := signer{key: testKey, secret: testSecret, service: "firehose", region: region, at: clock(), header: http.Header{}}
	s.header.Set("Content-Type", "application/x-amz-json-1.1")
	s.header.Set("X-Amz-Target", "Firehose_20150804."+op)
	if change != nil {
		change(&s)
	}
	r := httptest.NewRequest(http.MethodPost, "http://localhost:4580/", strings.NewReader(body))
	r.Header = s.header
	sum := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: s.key, SecretAccessKey: s.secret}, r,
		hex.EncodeToString(sum[:]), s.service, s.region, s.at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func call(h http.Handler, r *http.Request, out *reply) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	*out = reply{Status: w.Code, Body: w.Body.String(), Header: w.Header()}
	_ = json.Unmarshal(w.Body.Bytes(), out)
}
