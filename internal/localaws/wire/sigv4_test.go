package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

const (
	testKey    = "AKIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	testRegion = "us-east-1"
)

// oneKey knows one access key.
type oneKey struct{}

func (oneKey) Secret(id string) (string, wire.Identity, bool) {
	return testSecret, wire.Identity{AccessKeyID: id, Account: "000000000000", ARN: "arn:aws:iam::000000000000:root", UserID: "000000000000"}, id == testKey
}

func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 30, 500_000_000, time.UTC) }

// signer holds what a request is signed with and for.
type signer struct{ key, secret, service, region string }

// sign signs as the Go SDK does.
func sign(t testing.TB, r *http.Request, body string, by signer) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: by.key, SecretAccessKey: by.secret}, r,
		hex.EncodeToString(sum[:]), by.service, by.region, now())
	if err != nil {
		t.Fatal(err)
	}
}

func request(method, url, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestGoSDKSignaturesAccepted(t *testing.T) {
	v := wire.NewVerifier(oneKey{}, now)
	tests := map[string]*http.Request{
		"plain":             request("POST", "http://localhost:4580/", "{}", "X-Amz-Target", "Firehose_20150804.PutRecord", "Content-Type", "application/x-amz-json-1.1"),
		"no body":           request("GET", "http://localhost:4580/restapis", ""),
		"query":             request("GET", "http://localhost:4580/restapis?limit=2&position=a%2Bb%3D%3D&a=1&a=0&empty", ""),
		"spaces":            request("GET", "http://localhost:4580/x?q=a%20b&tilde=~&star=%2A", "", "X-Amz-Note", "  several   spaces  here "),
		"escaped path":      request("GET", "http://localhost:4580/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Fa", ""),
		"utf-8 path":        request("GET", "http://localhost:4580/apikeys/k%C3%A4se%20x", ""),
		"many values":       request("PUT", "http://localhost:4580/a", "x", "X-Amz-Meta", "one", "X-Amz-Meta", "two"),
		"dots":              request("GET", "http://localhost:4580/a/./b/../c//d", ""),
		"default port":      request("GET", "http://localhost/a", ""),
		"reserved in path":  request("GET", "http://localhost:4580/a$b&c+d,e:f;g=h@i/", ""),
		"plus and question": request("GET", "http://localhost:4580/2015-03-31/functions/f:1/invocations?Qualifier=%24LATEST", ""),
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			body, _ := io.ReadAll(r.Body)
			sign(t, r, string(body), signer{testKey, testSecret, "apigateway", testRegion})
			id, scope, err := v.Verify(r, body)
			if err != nil {
				t.Fatalf("Verify: %v", err)
			}
			if id.AccessKeyID != testKey || scope != (wire.Scope{Date: "20261123", Region: testRegion, Service: "apigateway"}) {
				t.Errorf("Verify = %+v, %+v", id, scope)
			}
		})
	}
}

func TestPresignedRequests(t *testing.T) {
	v := wire.NewVerifier(oneKey{}, now)
	presign := func(at time.Time, expires string) *http.Request {
		r := request("GET", "http://localhost:4580/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires="+expires, "")
		sum := sha256.Sum256(nil)
		uri, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
			r, hex.EncodeToString(sum[:]), "sts", testRegion, at)
		if err != nil {
			t.Fatal(err)
		}
		return request("GET", uri, "")
	}
	if _, scope, err := v.Verify(presign(now().Add(-50*time.Second), "60"), nil); err != nil || scope.Service != "sts" {
		t.Errorf("a presigned request within its minute: %v, %v", scope, err)
	}
	for name, tt := range map[string]struct {
		r    *http.Request
		body string
		want string
	}{
		"expired":       {presign(now().Add(-2*time.Minute), "60"), "", "InvalidSignatureException: Signature expired: 20261123T115830Z is now earlier than 20261123T115930Z (20261123T120030Z - 1 min.)"},
		"early":         {presign(now().Add(6*time.Minute), "60"), "", "InvalidSignatureException: Signature not yet current: 20261123T120630Z is still later than 20261123T120530Z (20261123T120030Z + 5 min.)"},
		"too long":      {presign(now(), "604801"), "", "IncompleteSignatureException: X-Amz-Expires must be"},
		"another body":  {presign(now(), "60"), "x", "InvalidSignatureException: The request signature we calculated"},
		"another query": {request("GET", presign(now(), "60").URL.String()+"&a=b", ""), "", "InvalidSignatureException: The request signature we calculated"},
	} {
		if _, _, err := v.Verify(tt.r, []byte(tt.body)); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func TestModifiedRequestRejected(t *testing.T) {
	v := wire.NewVerifier(oneKey{}, now)
	for name, change := range map[string]func(r *http.Request){
		"method":          func(r *http.Request) { r.Method = "PUT" },
		"path":            func(r *http.Request) { r.URL.Path = "/b" },
		"query":           func(r *http.Request) { r.URL.RawQuery = "x=2" },
		"host":            func(r *http.Request) { r.Host = "elsewhere" },
		"target":          func(r *http.Request) { r.Header.Set("X-Amz-Target", "Firehose_20150804.DeleteDeliveryStream") },
		"content type":    func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"second value":    func(r *http.Request) { r.Header.Add("X-Amz-Target", "x") },
		"unsigned header": func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") },
		"body hash":       func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) },
		"unsigned body":   func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
		"signature":       func(r *http.Request) { replaceAuth(r, "Signature=", "Signature=0") },
		"empty signature": func(r *http.Request) { replaceAuth(r, "Signature=", "Signature=,X=") },
		"region":          func(r *http.Request) { replaceAuth(r, "us-east-1", "us-east-2") },
		"service":         func(r *http.Request) { replaceAuth(r, "/firehose/", "/lambda/") },
		"day":             func(r *http.Request) { replaceAuth(r, "20261123", "20261122") },
		"terminator":      func(r *http.Request) { replaceAuth(r, "aws4_request", "aws5_request") },
		"signed headers":  func(r *http.Request) { replaceAuth(r, ";host", "") },
		"date":            func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261123T120031Z") },
	} {
		r := request("POST", "http://localhost:4580/a?x=1", "{}", "X-Amz-Target", "Firehose_20150804.PutRecord", "Content-Type", "application/x-amz-json-1.1")
		sign(t, r, "{}", signer{testKey, testSecret, "firehose", testRegion})
		change(r)
		if _, _, err := v.Verify(r, []byte("{}")); err == nil {
			t.Errorf("changed %s: Verify took it", name)
		}
	}
	r := request("POST", "http://localhost:4580/", "{}")
	sign(t, r, "{}", signer{testKey, testSecret, "firehose", testRegion})
	if _, _, err := v.Verify(r, []byte("{ }")); err == nil {
		t.Error("changed body: Verify took it")
	}
}

func replaceAuth(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

func TestNewSecretIsNotServedFromTheCache(t *testing.T) {
	creds := &changing{secret: testSecret}
	v := wire.NewVerifier(creds, now)
	verify := func(secret string) *wire.Error {
		r := request("POST", "http://localhost:4580/", "{}")
		sign(t, r, "{}", signer{testKey, secret, "firehose", testRegion})
		_, _, err := v.Verify(r, []byte("{}"))
		return err
	}
	if err := verify(testSecret); err != nil {
		t.Fatal(err)
	}
	creds.secret = "another"
	if err := verify(testSecret); err == nil {
		t.Error("the old secret is still taken")
	}
	if err := verify("another"); err != nil {
		t.Errorf("the new secret: %v", err)
	}
}

type changing struct{ secret string }

func (c *changing) Secret(string) (string, wire.Identity, bool) {
	return c.secret, wire.Identity{}, true
}

func FuzzVerifyRejects(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261123/us-east-1/firehose/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20261123T120030Z", "a=b&c", "/x/../y")
	f.Add("AWS4-HMAC-SHA256 Credential=,SignedHeaders=;;,Signature=", "", "X-Amz-Credential=a/b/c/d/aws4_request&X-Amz-Algorithm=AWS4-HMAC-SHA256", "//")
	f.Add("", "Mon, 23 Nov 2026 12:00:30 GMT", "X-Amz-Signature=1", "/%zz")
	v := wire.NewVerifier(oneKey{}, now)
	f.Fuzz(func(t *testing.T, authorization, date, query, path string) {
		r := request("POST", "http://localhost/", "")
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		r.URL.RawQuery, r.URL.Path = query, path
		if _, _, err := v.Verify(r, nil); err == nil {
			t.Errorf("took %q", authorization)
		}
	})
}

func BenchmarkVerify256KiB(b *testing.B) {
	v := wire.NewVerifier(oneKey{}, now)
	for _, size := range []int{0, 256 << 10} {
		body := bytes.Repeat([]byte("x"), size)
		r := request("POST", "http://localhost:4580/", string(body), "X-Amz-Target", "Firehose_20150804.PutRecordBatch",
			"Content-Type", "application/x-amz-json-1.1", "Amz-Sdk-Request", "attempt=1; max=3", "Amz-Sdk-Invocation-Id", "e8d5c2b4-0c0c-4c0c-9c0c-0c0c0c0c0c0c")
		sign(b, r, string(body), signer{testKey, testSecret, "firehose", testRegion})
		b.Run(map[int]string{0: "empty", 256 << 10: "256KiB"}[size], func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, _, err := v.Verify(r, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("sha256 alone", func(b *testing.B) {
		body := bytes.Repeat([]byte("x"), 256<<10)
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			sha256.Sum256(body)
		}
	})
}
