package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/deliver"
)

// fetch gets a page of the console's address.
func fetch(t *testing.T, c *Server, path string) (status int, body string) {
	t.Helper()
	res, err := http.Get(c.Endpoints().Console + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// whileRunning runs a pipeline, with changes to its configuration unless change is nil, and calls check meanwhile.
func whileRunning(t *testing.T, change func(*Config), check func(context.Context, *Server) error) {
	t.Helper()
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	cfg := testConfig(t, upstream.URL)
	if change != nil {
		change(&cfg)
	}
	if err := Run(t.Context(), cfg, check); err != nil {
		t.Fatalf("Run: %v", err)
	}
}

func TestReadyzListsEveryProblem(t *testing.T) {
	var h health
	h.add("disk", func(context.Context) error { return errors.New("full") })
	h.add("index", func(context.Context) error { return nil })
	h.add("stages", func(context.Context) error { return errors.New("no stream") })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if want := "disk: full\nstages: no stream\n"; w.Code != 503 || w.Body.String() != want {
		t.Errorf("/readyz: %d %q, want 503 %q", w.Code, w.Body, want)
	}
}

// /readyz and /healthz are served before the parts are open, and /readyz fails until the pipeline exists.
func TestReadyzFailsUntilPipelineExists(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	cfg := testConfig(t, upstream.URL)
	var c *Server
	var phases []string
	cfg.Progress = func(Step) {
		status, body := fetch(t, c, "/readyz")
		phases = append(phases, fmt.Sprint(status, " ", body))
	}
	c, err := listenFor(cfg)
	if err != nil {
		t.Fatalf("listenFor: %v", err)
	}
	for path, want := range map[string]string{"/healthz": "200 ok\n", "/readyz": "503 process: starting\n", "/": "503 stagelog is starting\n", "/metrics": "503 stagelog is starting\n"} {
		w := httptest.NewRecorder()
		c.consoleHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if got := fmt.Sprint(w.Code, " ", w.Body); got != want {
			t.Errorf("GET %s before the start: %q, want %q", path, got, want)
		}
	}
	err = c.run(t.Context(), func(context.Context, *Server) error {
		if status, body := fetch(t, c, "/readyz"); status != 200 {
			t.Errorf("/readyz of a running server: %d %s", status, body)
		}
		if status, body := fetch(t, c, "/metrics"); status != 200 || !strings.Contains(body, `stagelog_not_ready{reason="process"} 0`) {
			t.Errorf("/metrics of a running server: %d, without stagelog_not_ready", status)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	if len(phases) != 4 {
		t.Errorf("%d steps, want 4", len(phases))
	}
	for i, phase := range phases {
		if !strings.HasPrefix(phase, "503 process: starting: ") {
			t.Errorf("/readyz in step %d: %q, want 503 and the step", i+1, phase)
		}
	}
}

// From the moment when /readyz answers 200, each stage serves each customer.
func TestStagesWorkOnceReady(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	var yaml strings.Builder
	fmt.Fprintf(&yaml, "name: acme\nbucket: acme-logs\nlocal:\n  apis: [{id: shop, upstream: %q, stages: [prod]}]\n", upstream.URL)
	fmt.Fprint(&yaml, "  usage_plans:\n  - name: Gold\n    stages: [shop/prod]\n    customers:\n")
	const customers = 20
	key := func(i int) string { return fmt.Sprintf("KEY_%020d", i) }
	for i := range customers {
		fmt.Fprintf(&yaml, "    - {name: c%d, key: \"env:%s\"}\n", i, key(i))
	}
	cfg := testConfig(t, upstream.URL)
	var err error
	if cfg.Pipeline, err = config.Parse("stagelog.yaml", []byte(yaml.String()), func(name string) string { return name }); err != nil {
		t.Fatal(err)
	}
	c, err := listenFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan error, 1)
	go func() { called <- callOnceReady(t.Context(), c, key(0), key(customers-1)) }()
	if err := c.run(t.Context(), func(context.Context, *Server) error { return <-called }); err != nil {
		t.Error(err)
	}
}

// callOnceReady asks /readyz until it answers 200, and then calls a stage with each key.
func callOnceReady(ctx context.Context, c *Server, keys ...string) error {
	get := func(url, key string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("X-Api-Key", key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	for {
		status, err := get(c.Endpoints().Console+"/readyz", "")
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			break
		}
	}
	for _, key := range keys {
		if status, err := get(c.Endpoints().Stages+"/shop/prod/", key); err != nil || status != http.StatusOK {
			return fmt.Errorf("a stage answered %d, %v after /readyz answered 200", status, err)
		}
	}
	return nil
}

func TestReadyzFailsForStageWithoutStream(t *testing.T) {
	whileRunning(t, nil, func(ctx context.Context, c *Server) error {
		_, err := c.clients().Firehose.DeleteDeliveryStream(ctx, &firehose.DeleteDeliveryStreamInput{
			DeliveryStreamName: aws.String(c.cfg.Pipeline.Stream()), AllowForceDelete: aws.Bool(true)})
		if err != nil {
			return err
		}
		const want = "shop/prod logs to amazon-apigateway-acme"
		if status, body := fetch(t, c, "/readyz"); status != 503 || !strings.Contains(body, want) {
			t.Errorf("/readyz: %d %q, want 503 and %q", status, body, want)
		}
		if _, body := fetch(t, c, "/metrics"); !strings.Contains(body, `stagelog_not_ready{reason="stages"} 1`) {
			t.Errorf("/metrics has no stagelog_not_ready for stages")
		}
		if _, body := fetch(t, c, "/delivery"); !strings.Contains(body, want) {
			t.Errorf("the console's page has no notice with %q", want)
		}
		if status, _ := fetch(t, c, "/healthz"); status != 200 {
			t.Errorf("/healthz: %d, want 200", status)
		}
		return nil
	})
}

func TestReadyzFailsWhenBufferIsFull(t *testing.T) {
	whileRunning(t, func(cfg *Config) { cfg.BufferBytes = 16_000 }, func(ctx context.Context, c *Server) error {
		log, err := c.buffer.Log(ctx, "other", 0)
		if err == nil {
			_, err = log.Append(ctx, make([]byte, 15_500))
		}
		if err != nil {
			return err
		}
		if status, body := fetch(t, c, "/readyz"); status != 503 || !strings.Contains(body, "buffer is full") {
			t.Errorf("/readyz: %d %q, want 503 and the cause", status, body)
		}
		if status, _ := fetch(t, c, "/healthz"); status != 200 {
			t.Errorf("/healthz: %d, want 200", status)
		}
		return nil
	})
}

// A fault of the storage is shown until it is acknowledged, but the server is ready.
func TestReadyzShowsStorageFaults(t *testing.T) {
	whileRunning(t, nil, func(ctx context.Context, c *Server) error {
		lost := deliver.Fault{Kind: deliver.Lost, Stream: "amazon-apigateway-acme", First: 3, Last: 4, Records: 120}
		if err := c.delivery.faults.Report(ctx, lost, ""); err != nil {
			return err
		}
		for _, path := range []string{"/readyz", "/", "/delivery"} {
			if status, body := fetch(t, c, path); status != 200 || !strings.Contains(body, "storage lost 120 records") {
				t.Errorf("GET %s: %d without the fault, want 200 with it:\n%s", path, status, body)
			}
		}
		const lostRecords = `stagelog_delivery_fault_records_total{kind="lost",stream="amazon-apigateway-acme"} 120`
		if _, body := fetch(t, c, "/metrics"); !strings.Contains(body, "stagelog_delivery_faults 1\n") || !strings.Contains(body, lostRecords) {
			t.Errorf("/metrics does not count the fault and its records:\n%s", body)
		}
		res, err := http.PostForm(c.Endpoints().Console+"/delivery/acknowledge", nil)
		if err != nil {
			return err
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != 200 || res.Request.URL.Path != "/delivery" {
			t.Errorf("acknowledging: %s at %s, %v; want the page Delivery", res.Status, res.Request.URL, err)
		}
		if status, body := fetch(t, c, "/readyz"); status != 200 || body != "ok\n" {
			t.Errorf("/readyz after that: %d %q, want ok", status, body)
		}
		if _, body := fetch(t, c, "/delivery"); strings.Contains(body, "storage lost") {
			t.Error("the page Delivery still shows the fault after that")
		}
		return nil
	})
}

func TestMetricsAndLinesAreGuarded(t *testing.T) {
	whileRunning(t, func(cfg *Config) { cfg.ConsoleHosts = []string{"logs.example.com"} }, func(ctx context.Context, c *Server) error {
		for _, path := range []string{"/metrics", LinesPath, "/"} {
			for _, tt := range []struct {
				host, site string
				want       int
			}{{"localhost", "", 200}, {"logs.example.com", "", 200}, {"evil.example", "", 421}, {"localhost", "cross-site", 403}} {
				ctx, cancel := context.WithCancel(ctx)
				req, err := http.NewRequestWithContext(ctx, "GET", c.Endpoints().Console+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = tt.host
				if tt.site != "" {
					req.Header.Set("Sec-Fetch-Site", tt.site)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != tt.want || res.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("GET %s, host %s, site %q: %d, %q; want %d, nosniff", path, tt.host, tt.site, res.StatusCode, res.Header.Get("X-Content-Type-Options"), tt.want)
				}
				cancel() // ends the stream of lines
				res.Body.Close()
			}
		}
		return nil
	})
}
