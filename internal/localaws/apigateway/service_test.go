package apigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

var _ apigateway.Runtime = (*apigateway.Service)(nil)

// raw sends a request without the SDK and returns status, error type and body.
func raw(svc http.Handler, method, path, body string) (int, string, string) {
	rec := httptest.NewRecorder()
	svc.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	b, _ := io.ReadAll(rec.Body)
	return rec.Code, rec.Header().Get("X-Amzn-ErrorType"), string(b)
}

func TestBadBodies(t *testing.T) {
	w := newWorld(t)
	const secret = "12345678901234567890123"
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code, message            string
	}{
		{"not JSON", "POST", "/apikeys", "{", 400, "SerializationException", "the request body is not valid JSON"},
		{"two values", "POST", "/apikeys", "{}{}", 400, "SerializationException", "more than one JSON value in the request body"},
		{"a number for a value", "POST", "/apikeys", `{"value":` + secret + `}`, 400, "SerializationException", `member "value" is not of type string`},
		{"unknown member", "POST", "/apikeys", `{"colour":"red"}`, 400, "BadRequestException", `stagelog does not support the member "colour"`},
		{"too large", "POST", "/apikeys", `{"name":"` + strings.Repeat("x", 300<<10) + `"}`, 413, "RequestEntityTooLargeException", "Request size exceeded 262144 bytes"},
		{"too many patches", "PATCH", "/apikeys/x", `{"patchOperations":[` + strings.TrimSuffix(strings.Repeat(`{"op":"add","path":"/x"},`, 201), ",") + `]}`, 400, "BadRequestException", "Too many patch operations: at most 200 are allowed"},
		{"patch without a path", "PATCH", "/apikeys/x", `{"patchOperations":[{"op":"add"}]}`, 400, "BadRequestException", "Invalid patch path null"},
		{"move", "PATCH", "/apikeys/x", `{"patchOperations":[{"op":"move","path":"/a","from":"/b"}]}`, 400, "BadRequestException", "Invalid patch operation specified. Must be 'add'|'remove'|'replace'"},
		{"limit", "GET", "/apikeys?limit=ten", "", 400, "SerializationException", "the limit is not a number"},
		{"import of keys", "POST", "/apikeys?mode=import&format=csv", "", 400, "BadRequestException", "stagelog does not support ImportApiKeys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, code, body := raw(w.svc, c.method, c.path, c.body)
			want := fmt.Sprintf(`{"message":%s}`, quote(c.message))
			if status != c.status || code != c.code || body != want {
				t.Errorf("got %d %s %s\nwant %d %s %s", status, code, body, c.status, c.code, want)
			}
			if strings.Contains(body, secret) {
				t.Error("the error holds what may be a key's value")
			}
		})
	}
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// The wire's shapes that SDKs do not show: member names, numbers for times, no null.
func TestWireResponses(t *testing.T) {
	w := newWorld(t)
	w.key("a", "")
	_, _, body := raw(w.svc, "GET", "/apikeys", "")
	if !strings.HasPrefix(body, `{"item":[{"id":"`) || !strings.Contains(body, `"createdDate":1795`) || strings.Contains(body, "null") || strings.Contains(body, "position") {
		t.Errorf("GetApiKeys = %s", body)
	}
	for path, want := range map[string]string{"/usageplans": `{"item":[]}`, "/restapis": `{"item":[]}`, "/usageplans/none/keys": `{"item":[]}`} {
		if _, _, body := raw(w.svc, "GET", path, ""); body != want {
			t.Errorf("GET %s = %s, want %s", path, body, want)
		}
	}
	status, _, body := raw(w.svc, "DELETE", "/apikeys/"+w.svc.Keys()[0].ID, "")
	if status != 202 || body != "" {
		t.Errorf("DELETE = %d %q", status, body)
	}
}

type oneAccount struct{ account string }

func (o oneAccount) Secret(accessKeyID string) (string, wire.Identity, bool) {
	return "secret", wire.Identity{AccessKeyID: accessKeyID, Account: o.account, ARN: "arn:aws:iam::" + o.account + ":root"}, true
}

// A reader of the bucket has credentials on this machine, and no business with API keys.
func TestAnotherAccountIsDenied(t *testing.T) {
	w := newWorld(t)
	for _, account := range []string{"000000000000", "111122223333"} {
		srv := httptest.NewServer(wire.NewMux(wire.Config{
			Verifier: wire.NewVerifier(oneAccount{account}, time.Now), Region: "us-east-1", Account: "000000000000",
		}, map[string]http.Handler{"apigateway": w.svc}))
		_, err := client(srv.URL, 1).GetApiKeys(t.Context(), &sdk.GetApiKeysInput{IncludeValues: aws.Bool(true)})
		if srv.Close(); account == "000000000000" {
			if err != nil {
				t.Errorf("the account itself: %v", err)
			}
			continue
		}
		wantError(t, err, "AccessDeniedException", "User: arn:aws:iam::111122223333:root is not authorized to perform: apigateway:GET on resource: arn:aws:apigateway:us-east-1::/apikeys")
	}
}

// A client that goes away does not leave half of a change behind.
func TestClientDisconnectDoesNotStopWrite(t *testing.T) {
	w := newWorld(t)
	w.apply(localShop())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.svc.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "DELETE", "/restapis/shop", nil))
	for key := range w.store.Docs() {
		if strings.Contains(key, "shop") {
			t.Errorf("document %s is left over", key)
		}
	}
}

// Readers on the hot path, writers on the wire, the listing and the flush, all at once.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	api := w.deployed("shop", "prod")
	plan := w.plan("Gold", api, "prod")
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w.svc.Route(api, "prod")
				w.svc.Key(fmt.Sprintf("value-%020d", i))
				for _, k := range w.svc.Keys() {
					if p, ok := w.svc.PlanFor(k.ID, api, "prod"); ok {
						w.svc.Take(p.ID, k.ID, time.Now())
					}
				}
				w.svc.Plans()
			}
		})
	}
	for i := range 4 {
		writers.Go(func() {
			for j := range 20 {
				k := w.key(fmt.Sprintf("c-%d-%d", i, j), fmt.Sprintf("value-%016d-%03d", i, j))
				if err := w.join(plan, *k.Id); err != nil {
					t.Error(err)
				}
				if _, err := w.patchPlan(plan, "replace", "/quota/limit", fmt.Sprint(j), "replace", "/description", "d"); err != nil {
					t.Error(err)
				}
				if _, err := w.patchStage(api, "prod", "replace", "/variables/v", fmt.Sprint(j)); err != nil {
					t.Error(err)
				}
				if j%2 == 0 {
					if _, err := w.c.DeleteApiKey(t.Context(), &sdk.DeleteApiKeyInput{ApiKey: k.Id}); err != nil {
						t.Error(err)
					}
				}
				if err := w.svc.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if got := w.svc.Keys(); len(got) != 40 || len(w.svc.Plans()[0].Keys) != 40 {
		t.Errorf("%d keys and %d in the plan, want 40", len(got), len(w.svc.Plans()[0].Keys))
	}
}

// Ten thousand customers: the quota of an account is reached, and the next key is refused.
func TestTenThousandCustomers(t *testing.T) {
	w := newWorld(t)
	l := apigateway.Local{APIs: []apigateway.LocalAPI{{ID: "shop", Upstream: "http://127.0.0.1:9000", Stages: []string{"prod"}}}}
	for p := range 20 {
		plan := apigateway.LocalPlan{Name: fmt.Sprintf("plan-%02d", p), Stages: []record.StageRef{{API: "shop", Stage: "prod"}}}
		for c := range 500 {
			plan.Customers = append(plan.Customers, apigateway.LocalCustomer{Name: fmt.Sprintf("customer-%02d-%03d", p, c), Value: fmt.Sprintf("value-%020d-%020d", p, c)})
		}
		l.Plans = append(l.Plans, plan)
	}
	w.apply(l)
	for _, p := range []int{0, 7, 19} {
		k, ok := w.svc.Key(fmt.Sprintf("value-%020d-%020d", p, 499))
		plan, _ := w.svc.PlanFor(k.ID, "shop", "prod")
		if !ok || plan.Name != fmt.Sprintf("plan-%02d", p) {
			t.Errorf("the plan of customer %d/499 = %q", p, plan.Name)
		}
	}
	_, err := w.c.CreateApiKey(t.Context(), &sdk.CreateApiKeyInput{Name: aws.String("one more")})
	wantError(t, err, "LimitExceededException", "Maximum number of API Keys for this account has been reached")
}

func FuzzPatches(f *testing.F) {
	for _, s := range [][3]string{
		{"replace", "/accessLogSettings/format", "$context.requestId"}, {"remove", "/*/*", ""}, {"add", "/~1a~1{b}/GET/throttling/rateLimit", "1e3"},
		{"add", "/apiStages", "a:b"}, {"replace", "/apiStages/shop:prod/throttle//x/GET/rateLimit", "2"}, {"remove", "/apiStages/shop:prod/throttle", ""},
		{"replace", "/quota/limit", "99999999999999999999"}, {"add", "/binaryMediaTypes/~1~0~", ""}, {"replace", "/variables/", "\x00"}, {"replace", "", ""},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, op, path, value string) {
		svc, err := apigateway.Open(t.Context(), apigateway.Config{}, &recordtest.Store{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := svc.ApplyLocal(t.Context(), localShop()); err != nil {
			t.Fatal(err)
		}
		body, err := patchBody(op, path, value)
		if err != nil {
			t.Skip()
		}
		plan := svc.Plans()[1].ID
		for _, target := range []string{"/restapis/shop", "/restapis/shop/stages/prod", "/apikeys/bob", "/usageplans/devplan", "/usageplans/" + plan} {
			status, code, answer := raw(svc, "PATCH", target, body)
			if status != 200 && (status != 400 && status != 404 && status != 409 && status != 429 || code == "") {
				t.Errorf("PATCH %s %q %q %q = %d %s %s", target, op, path, value, status, code, answer)
			}
			if strings.Contains(answer, acmeValue) || strings.Contains(answer, bobsValue) {
				t.Errorf("PATCH %s %q %q answers a key's value", target, op, path)
			}
		}
		// What was taken can be read again.
		if _, ok := svc.Route("shop", "prod"); !ok && status(svc, "/restapis/shop/stages/prod") == 200 {
			t.Error("the stage is not served any more")
		}
	})
}

func status(svc http.Handler, path string) int {
	code, _, _ := raw(svc, "GET", path, "")
	return code
}

func patchBody(op, path, value string) (string, error) {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(map[string]any{"patchOperations": []map[string]string{{"op": op, "path": path, "value": value}}})
	return b.String(), err
}

func BenchmarkKeyAndPlan(b *testing.B) {
	svc, err := apigateway.Open(b.Context(), apigateway.Config{}, &recordtest.Store{})
	if err != nil {
		b.Fatal(err)
	}
	l := localShop()
	for i := range 5000 {
		l.Plans[0].Customers = append(l.Plans[0].Customers, apigateway.LocalCustomer{Name: fmt.Sprint("c", i), Value: fmt.Sprintf("value-%020d", i)})
	}
	if _, err := svc.ApplyLocal(b.Context(), l); err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := svc.Route("shop", "prod"); !ok {
			b.Fatal("no stage")
		}
		k, _ := svc.Key(acmeValue)
		p, _ := svc.PlanFor(k.ID, "shop", "prod")
		svc.Take(p.ID, k.ID, now)
	}
}
