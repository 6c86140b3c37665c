package gateway

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

func TestHostileRequestsLogExactValues(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	for _, c := range []struct{ name, target, agent, wantPath, wantAgent string }{
		{"quotes", `/shop/prod/a"b',"x":"y`, `curl" ,"status":"200`, "/prod/a%22b%27,%22x%22:%22y", `curl" ,"status":"200`},
		{"backslashes", `/shop/prod/a\b\"`, `a\b\"\\`, "/prod/a%5Cb%5C%22", `a\b\"\\`},
		{"encoded controls", "/shop/prod/%00%0a%0d%1b%7f", "tab\there", "/prod/%00%0a%0d%1b%7f", "tab\there"},
		{"UTF-8", "/shop/prod/ä/日本/😀", "Ünïcode 日本 😀", "/prod/%C3%A4/%E6%97%A5%E6%9C%AC/%F0%9F%98%80", "Ünïcode 日本 😀"},
		{"not UTF-8", "/shop/prod/%ff%fe", "bad\xff\xfebytes", "/prod/%ff%fe", "bad\ufffd\ufffdbytes"},
		{"line separators", "/shop/prod/x", "a\u2028b\u2029c", "/prod/x", "a\u2028b\u2029c"},
		{"markup", "/shop/prod/<script>", "</script><!--", "/prod/%3Cscript%3E", "</script><!--"},
		{"variables", "/shop/prod/$context.status", "$context.identity.apiKey ${x}", "/prod/$context.status", "$context.identity.apiKey ${x}"},
		{"curly quotes", "/shop/prod/x", "“a”", "/prod/x", "“a”"},
		{"long", "/shop/prod/" + strings.Repeat("x", 4000), strings.Repeat(`"`, 8000), "/prod/" + strings.Repeat("x", 4000), strings.Repeat(`"`, 8000)},
		{"a dash", "/shop/prod/-", "-", "/prod/-", "-"},
		{"query", "/shop/prod/x?api_key=secret", "x", "/prod/x", "x"},
	} {
		before := int(b.gateway.Stats().Lines)
		_, in := b.dial(t, "GET "+c.target+" HTTP/1.1\r\nHost: x\r\nUser-Agent: "+c.agent+"\r\nConnection: close\r\n\r\n")
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 200 {
			t.Errorf("%s: %v, %v", c.name, res, err)
			continue
		}
		line := b.line(t, before+1)
		if line["path"] != c.wantPath || line["identity.userAgent"] != c.wantAgent {
			t.Errorf("%s: path %q, user agent %q", c.name, line["path"], line["identity.userAgent"])
		}
		if line["status"] != "200" || line["identity.apiKey"] != "-" {
			t.Errorf("%s: the request wrote into other fields: %v", c.name, line)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	extended := regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`)
	seen := map[string]bool{}
	const mine, forged = "C6AF9AC6-7b61-11e6-9a41-93e8deadbeef", "JKJaXmPLvHcESHA="
	for i, c := range []struct{ set, want string }{
		{"", ""}, {mine, mine}, {mine, mine}, {"not-a-uuid", replacedRequestID}, {mine + "0", replacedRequestID}, {mine[:35] + "g", replacedRequestID},
		{strings.ReplaceAll(mine, "-", ""), replacedRequestID}, {"", ""},
	} {
		header := []string{"x-amz-apigw-id", forged, "X-Amz-Cf-Id", forged}
		if c.set != "" {
			header = append(header, "x-amzn-RequestId", c.set)
		}
		got := b.do(t, "GET", "/shop/prod/x", nil, header...)
		line := b.line(t, i+1)
		id, ext := line["requestId"], line["extendedRequestId"]
		if c.want != "" && id != c.want || c.want == "" && !uuid.MatchString(id) || got.Header.Get("x-amzn-RequestId") != id {
			t.Errorf("%q: requestId %q, header %q", c.set, id, got.Header.Get("x-amzn-RequestId"))
		}
		if !extended.MatchString(ext) || ext == forged || seen[ext] || got.Header.Get("x-amz-apigw-id") != ext {
			t.Errorf("%q: extendedRequestId %q, header %q", c.set, ext, got.Header.Get("x-amz-apigw-id"))
		}
		seen[ext] = true
	}
}

// ticking is a clock that moves by a step each time it is asked.
func ticking(start time.Time, step time.Duration) func() time.Time {
	var mu sync.Mutex
	now := start.Add(-step)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(step)
		return now
	}
}

func TestTimesAndLatencies(t *testing.T) {
	start := time.Date(2024, 7, 10, 20, 14, 22, 451e6, time.FixedZone("", 7200))
	b := newBench(t, Config{Clock: ticking(start, 40*time.Millisecond)}, http.HandlerFunc(echo))
	b.do(t, "GET", "/shop/prod/x", nil)
	line := b.line(t, 1)
	// The clock is asked at the start, before the upstream, at its headers, and at the end.
	for name, want := range map[string]string{
		"requestTime": "10/Jul/2024:18:14:22 +0000", "requestTimeEpoch": strconv.FormatInt(start.UnixMilli(), 10),
		"responseLatency": "120", "integration.latency": "80", "integration.timeToAllHeaders": "40",
	} {
		if line[name] != want {
			t.Errorf("%s is %q, want %q", name, line[name], want)
		}
	}
}

func TestPresetsRenderValidLines(t *testing.T) {
	for _, name := range accesslog.Presets() {
		format, _ := accesslog.Preset(name)
		b := newBench(t, Config{}, http.HandlerFunc(echo))
		b.setView(func(v *apigateway.StageView) { v.AccessLog.Format = format })
		b.do(t, "GET", "/shop/prod/orders/1", nil)
		line := b.line(t, 1)
		if len(line) < 13 || line["api_id"] != "shop" || line["uri"] != "/prod/orders/1" || line["response_status"] != "200" {
			t.Errorf("%s: %v", name, line)
		}
	}
}

func TestStageWithoutStreamLogsNothing(t *testing.T) {
	for name, settings := range map[string]apigateway.AccessLog{
		"no access log": {}, "no format": {DestinationARN: testARN}, "no destination": {Format: fullFormat()},
		"a log group": {DestinationARN: "arn:aws:logs:us-east-1:000000000000:log-group:x", Format: fullFormat()},
		"no name":     {DestinationARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/", Format: fullFormat()},
	} {
		b := newBench(t, Config{}, http.HandlerFunc(echo))
		b.setView(func(v *apigateway.StageView) { v.AccessLog = settings })
		if got := b.do(t, "GET", "/shop/prod/x", nil); got.StatusCode != 200 {
			t.Errorf("%s: status %d", name, got.StatusCode)
		}
		// The count is written after the answer: the next request on the connection comes after it.
		b.do(t, "GET", "/shop/prod/x", nil)
		if s := b.gateway.Stats(); s.Lines != 0 || s.Unlogged < 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestStageChangeVisibleAtOnce(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	b.do(t, "GET", "/shop/prod/x", nil)
	b.setView(func(v *apigateway.StageView) {
		v.AccessLog.Format = `{"only":"$context.stage","status":$context.status}`
	})
	b.do(t, "GET", "/shop/prod/x", nil)
	if got := b.lines.wait(2)[1]; got != `{"only":"prod","status":200}` {
		t.Errorf("line %q: want the new format, without a newline as it has none", got)
	}
	b.requireKeys()
	if got := b.do(t, "GET", "/shop/prod/x", nil); got.StatusCode != 403 {
		t.Errorf("status %d after keys became required", got.StatusCode)
	}
	b.mu.Lock()
	delete(b.views, shopProd)
	b.mu.Unlock()
	if got := b.do(t, "GET", "/shop/prod/x", nil); got.StatusCode != 403 || got.body != `{"message":"Forbidden"}` {
		t.Errorf("the stage is gone: %d %q", got.StatusCode, got.body)
	}
	if n := len(*b.gateway.stages.Load()); n != 0 {
		t.Errorf("%d compiled stages are kept, want none", n)
	}
}

func TestLoadLogsEachRequestOnce(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	b.requireKeys()
	const clients, each = 16, 40
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range each {
				header := []string{"X-Api-Key", goodKey}
				if i%4 == 0 {
					header = nil
				}
				body := fmt.Sprintf("%d-%d", c, i)
				got := b.do(t, "POST", "/shop/prod/"+body, strings.NewReader(body), header...)
				if header != nil && got.body != "POST /"+body+" "+body {
					t.Errorf("%s: got the answer %q", body, got.body)
				}
				if i%10 == 0 {
					b.setView(func(v *apigateway.StageView) { v.DeploymentID = body })
				}
			}
		})
	}
	all.Wait()
	lines := b.lines.wait(clients * each)
	seen, paths := map[string]bool{}, map[string]bool{}
	for _, l := range lines {
		line := decode(t, l)
		seen[line["extendedRequestId"]], paths[line["path"]] = true, true
		if want := map[string]string{"200": "k1", "403": "-"}[line["status"]]; line["identity.apiKeyId"] != want {
			t.Errorf("status %s with key %q", line["status"], line["identity.apiKeyId"])
		}
	}
	if len(lines) != clients*each || len(seen) != clients*each || len(paths) != clients*each {
		t.Errorf("%d lines, %d ids, %d paths, want %d of each", len(lines), len(seen), len(paths), clients*each)
	}
	if used := b.Used("p1", "k1", time.Now().AddDate(0, 0, -1), time.Now()); used != clients*each*3/4 {
		t.Errorf("usage %d, want %d", used, clients*each*3/4)
	}
}

// discard is a ResponseWriter that goes nowhere.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestRenderAllocatesOnce(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	b.setView(func(v *apigateway.StageView) { v.AccessLog.Format = accesslog.Classic })
	st, _ := b.gateway.stage(shopProd)
	r, err := http.NewRequest("GET", "http://x/shop/prod/orders/1", io.NopCloser(strings.NewReader("")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:4711"
	at, _ := locate(r)
	x := newExchange(b.gateway)
	x.begin(discard{http.Header{}}, r, st, at, time.Now())
	x.admit()
	x.status, x.length, x.latency = 200, 1234, 12*time.Millisecond
	if n := testing.AllocsPerRun(100, func() { x.render() }); n > 1 {
		t.Errorf("%v allocations a line, want at most 1", n)
	}
}
