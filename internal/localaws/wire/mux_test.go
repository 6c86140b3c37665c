package wire_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/testenv"
)

// echo answers with what a handler is given.
func echo(w http.ResponseWriter, r *http.Request) {
	id, _ := wire.IdentityFrom(r.Context())
	again, _ := io.ReadAll(r.Body)
	if !bytes.Equal(again, wire.Body(r)) {
		http.Error(w, "r.Body and Body(r) differ", http.StatusTeapot)
		return
	}
	_, _ = io.WriteString(w, id.Account+" "+string(again))
}

func newMux(maxBody int64) http.Handler {
	return wire.NewMux(wire.Config{Verifier: wire.NewVerifier(oneKey{}, now), Region: testRegion, Account: "000000000000", MaxBody: maxBody},
		map[string]http.Handler{
			"firehose": http.HandlerFunc(echo), "apigateway": http.HandlerFunc(echo), "lambda": http.HandlerFunc(echo), "sts": wire.STS(),
			"s3": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if wire.Body(r) != nil {
					http.Error(w, "the body was read", http.StatusTeapot)
					return
				}
				_, _ = io.WriteString(w, "s3")
			}),
		})
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func serve(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMuxPassesVerifiedRequest(t *testing.T) {
	h := newMux(0)
	for _, service := range []string{"firehose", "apigateway", "lambda"} {
		r := request("POST", "http://localhost:4580/x", "hello")
		sign(t, r, "hello", signer{testKey, testSecret, service, testRegion})
		w := serve(t, h, r)
		if w.Code != 200 || w.Body.String() != "000000000000 hello" || !uuid.MatchString(w.Header().Get("x-amzn-RequestId")) {
			t.Errorf("%s: %d %s %v", service, w.Code, w.Body, w.Header())
		}
	}
}

func TestBodyOfUnknownLength(t *testing.T) {
	h := newMux(64)
	for _, size := range []int{0, 1, 64} {
		body := strings.Repeat("x", size)
		r := request("POST", "http://localhost:4580/", body)
		sign(t, r, body, signer{testKey, testSecret, "firehose", testRegion})
		// As a chunked request arrives: signed without a length.
		r = chunked(t, body)
		if w := serve(t, h, r); w.Code != 200 || w.Body.String() != "000000000000 "+body {
			t.Errorf("%d bytes: %d %s", size, w.Code, w.Body)
		}
	}
	if w := serve(t, h, chunked(t, strings.Repeat("x", 65))); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("65 bytes: %d %s", w.Code, w.Body)
	}
}

func chunked(t *testing.T, body string) *http.Request {
	t.Helper()
	r := request("POST", "http://localhost:4580/", body)
	r.ContentLength = -1
	r.Body = io.NopCloser(strings.NewReader(body))
	sign(t, r, body, signer{testKey, testSecret, "firehose", testRegion})
	return r
}

func TestS3RequestsPassedOnUnread(t *testing.T) {
	h := newMux(4)
	v4 := request("PUT", "http://localhost:4580/bucket/key", "longer than the limit")
	sign(t, v4, "not what is signed", signer{testKey, "another secret", "s3", "eu-west-1"})
	for name, r := range map[string]*http.Request{
		"version 4":            v4,
		"version 2":            request("GET", "http://localhost:4580/bucket", "", "Authorization", "AWS AKIA:c2ln"),
		"version 2, presigned": request("GET", "http://localhost:4580/bucket?AWSAccessKeyId=A&Signature=B&Expires=1", ""),
		"version 4, presigned": request("GET", "http://localhost:4580/bucket?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20261123/us-east-1/s3/aws4_request&X-Amz-Date=20261123T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0", ""),
	} {
		if w := serve(t, h, r); w.Code != 200 || w.Body.String() != "s3" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestErrorsUseServiceProtocol(t *testing.T) {
	const target, amzJSON, form = "X-Amz-Target", "application/x-amz-json-1.1", "application/x-www-form-urlencoded; charset=utf-8"
	signed := func(service, key, secret string, header ...string) *http.Request {
		r := request("POST", "http://localhost:4580/", "Action=GetCallerIdentity", header...)
		sign(t, r, "Action=GetCallerIdentity", signer{key, secret, service, testRegion})
		return r
	}
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	const unknown = "The security token included in the request is invalid."
	tests := []struct {
		name      string
		r         *http.Request
		status    int
		errorType string // x-amzn-ErrorType
		body      string
	}{
		{"JSON, wrong secret", signed("firehose", testKey, "x", target, "Firehose_20150804.PutRecord", "Content-Type", amzJSON), 400, "", `{"__type":"InvalidSignatureException","message":"` + mismatch + `"}`},
		{"JSON, unknown key", signed("firehose", "AKIANOBODY", "x", target, "Firehose_20150804.PutRecord", "Content-Type", amzJSON), 400, "", `{"__type":"UnrecognizedClientException","message":"` + unknown + `"}`},
		{"JSON, no signature", request("POST", "/", "{}", target, "Firehose_20150804.PutRecord", "Content-Type", amzJSON), 400, "", `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		{"REST, wrong secret", signed("apigateway", testKey, "x"), 403, "InvalidSignatureException", `{"message":"` + mismatch + `"}`},
		{"REST, unknown key", signed("lambda", "AKIANOBODY", "x"), 403, "UnrecognizedClientException", `{"message":"` + unknown + `"}`},
		{"REST, no signature", request("GET", "/restapis", ""), 403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`},
		{"REST, other service", signed("execute-api", testKey, testSecret), 404, "UnknownOperationException", `{"message":"stagelog does not serve the AWS service 'execute-api' that this request was signed for. It serves: apigateway, firehose, lambda, s3, sts."}`},
		{"Query, wrong secret", signed("sts", testKey, "x", "Content-Type", form), 403, "", "<Code>SignatureDoesNotMatch</Code><Message>" + mismatch},
		{"Query, unknown key", signed("sts", "AKIANOBODY", "x", "Content-Type", form), 403, "", "<Code>InvalidClientTokenId</Code><Message>" + unknown},
		{"Query, other service", signed("iam", testKey, testSecret, "Content-Type", form), 400, "", "<Code>InvalidAction</Code>"},
		{"Bearer", request("GET", "/restapis", "", "Authorization", "Bearer abc"), 400, "IncompleteSignatureException", "(missing equal-sign) in Authorization header"},
		{"no credential", request("GET", "/restapis", "", "Authorization", "AWS4-HMAC-SHA256 Signature=a"), 400, "IncompleteSignatureException",
			"Authorization header requires 'Credential' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization="},
		{"short credential", request("GET", "/restapis", "", "Authorization", "AWS4-HMAC-SHA256 Credential=a/b/c,SignedHeaders=host,Signature=a", "X-Amz-Date", "20261123T120000Z"), 400, "IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements"},
		{"other algorithm", request("GET", "/restapis", "", "Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a/b/c,SignedHeaders=host,Signature=a"), 400, "IncompleteSignatureException", "Unsupported AWS 'algorithm'"},
		{"too large", signed("firehose", testKey, testSecret, target, "a", "Content-Type", amzJSON, "X-Note", "x"), 413, "", `{"__type":"RequestEntityTooLargeException"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newMux(0)
			if tt.status == 413 {
				h = newMux(4)
			}
			w := serve(t, h, tt.r)
			if w.Code != tt.status || w.Header().Get("x-amzn-ErrorType") != tt.errorType || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("%d %s %s\nwant %d %s %s", w.Code, w.Header().Get("x-amzn-ErrorType"), w.Body, tt.status, tt.errorType, tt.body)
			}
			if !uuid.MatchString(w.Header().Get("x-amzn-RequestId")) {
				t.Errorf("x-amzn-RequestId = %q", w.Header().Get("x-amzn-RequestId"))
			}
			for _, secret := range []string{testSecret, tt.r.Header.Get("Authorization")} {
				if secret != "" && strings.Contains(w.Body.String(), secret) {
					t.Error("the answer holds a credential")
				}
			}
		})
	}
}

// watched records whether it is read.
type watched struct{ read bool }

func (w *watched) Read([]byte) (int, error) { w.read = true; return 0, io.EOF }

func TestUnknownClientBodyNotRead(t *testing.T) {
	r := request("POST", "http://localhost:4580/", "x")
	sign(t, r, "x", signer{"AKIANOBODY", "x", "firehose", testRegion})
	body := &watched{}
	r.Body = io.NopCloser(body)
	if w := serve(t, newMux(0), r); w.Code != 400 || body.read {
		t.Errorf("%d, body read: %v", w.Code, body.read)
	}
}

// An access key id is no secret: who knows one must not have us reserve what never comes.
func TestAnnouncedLengthNotAllocated(t *testing.T) {
	h := newMux(0)
	r := request("POST", "http://localhost:4580/", "x")
	sign(t, r, "x", signer{testKey, "no secret", "lambda", testRegion})
	r.ContentLength = 60 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := serve(t, h, r)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; w.Code != 400 || got > 8<<20 {
		t.Errorf("%d, %d bytes reserved for one that came", w.Code, got)
	}
}

// Anyone who knows an access key id can send bodies that are only refused once they are read.
func TestUnverifiedBodiesAreLimitedTogether(t *testing.T) {
	h := newMux(0)
	const free = 3 << 20
	wire.FillUnverified(h, free)
	for _, c := range []struct{ size, want int }{{1 << 20, 200}, {5 << 20, 503}, {3 << 20, 200}} {
		body := strings.Repeat("x", c.size)
		for _, length := range []int64{int64(c.size), -1} {
			r := request("POST", "http://localhost:4580/", body)
			r.ContentLength = length
			sign(t, r, body, signer{testKey, testSecret, "lambda", testRegion})
			if w := serve(t, h, r); w.Code != c.want {
				t.Errorf("body of %d bytes, announced %d: %d, want %d", c.size, length, w.Code, c.want)
			}
			if got := wire.FreeUnverified(h); got != free {
				t.Errorf("after a body of %d bytes, announced %d: %d bytes free, want %d", c.size, length, got, free)
			}
		}
	}
}

// Bodies around the sizes at which space is taken arrive as they are.
func TestBodiesOfAllSizes(t *testing.T) {
	h := newMux(0)
	for _, size := range []int{0, 1, 16<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5 << 20, 3, 8 << 20} {
		body := strings.Repeat("abcdefghijk", size/11+1)[:size]
		r := request("POST", "http://localhost:4580/", body)
		sign(t, r, body, signer{testKey, testSecret, "firehose", testRegion})
		if w := serve(t, h, r); w.Code != 200 || w.Body.String() != "000000000000 "+body {
			t.Errorf("%d bytes: %d, answered with %d bytes", size, w.Code, w.Body.Len())
		}
	}
}

func TestSTSWithTheGoSDK(t *testing.T) {
	h := wire.NewMux(wire.Config{Verifier: wire.NewVerifier(oneKey{}, nowReally), Region: testRegion}, map[string]http.Handler{"sts": wire.STS()})
	server := httptest.NewServer(h)
	defer server.Close()
	client := sts.New(sts.Options{Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), HTTPClient: testenv.SDKClient(nil),
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, ""), RetryMaxAttempts: 1})
	out, err := client.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.Account) != "000000000000" || aws.ToString(out.Arn) != "arn:aws:iam::000000000000:root" || aws.ToString(out.UserId) != "000000000000" {
		t.Errorf("GetCallerIdentity = %+v", out)
	}
	if _, err := client.GetSessionToken(context.Background(), &sts.GetSessionTokenInput{}); err == nil || !strings.Contains(err.Error(), "InvalidAction") {
		t.Errorf("GetSessionToken: %v, want InvalidAction", err)
	}
}

func TestPage(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	for _, tt := range []struct {
		after string
		limit int
		want  []string
		next  string
	}{
		{"", 2, []string{"a", "b"}, "b"},
		{"b", 2, []string{"c", "d"}, ""},
		{"bb", 1, []string{"c"}, "c"}, // b was deleted between two pages
		{"d", 2, []string{}, ""},
		{"", 9, names, ""},
	} {
		if page, next := wire.Page(names, tt.after, tt.limit); !slices.Equal(page, tt.want) || next != tt.next {
			t.Errorf("Page(after %q, %d) = %v, %q, want %v, %q", tt.after, tt.limit, page, next, tt.want, tt.next)
		}
	}
}
