package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// checkTimeout limits the checks of one request. A check that takes longer fails.
const checkTimeout = 2 * time.Second

// health is the list of reasons why the server is not ready: it cannot accept records, or it loses some. /readyz,
// the metric stagelog_not_ready and the notices on the console's pages show them all.
type health struct {
	mu     sync.Mutex // guards checks
	checks []check
}

// check is one possible reason.
type check struct {
	reason string // a word, which is the metric's label
	run    func(context.Context) error
	note   bool // shown, but the server is ready
}

// add adds a check. run returns nil, or an error that says what is wrong and how to fix it. It is called in parallel,
// for each page of the console too, so it must be fast and return when its context ends.
func (h *health) add(reason string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{reason: reason, run: run})
}

// note adds a check whose error is shown everywhere, without making the server unready.
func (h *health) note(reason string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{reason, run, true})
}

// run runs all checks in parallel. It returns them with their results, in the order in which they were added.
func (h *health) run(ctx context.Context) ([]check, []error) {
	h.mu.Lock()
	checks := h.checks[:len(h.checks):len(h.checks)]
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(checks))
	var group errgroup.Group
	for i, c := range checks {
		group.Go(func() error {
			errs[i] = c.run(ctx)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	return checks, errs
}

// problems returns a sentence for each check that fails.
func (h *health) problems(ctx context.Context) (problems []string) {
	problems, _ = h.report(ctx)
	return problems
}

// report returns a sentence for each check that fails, and whether the server is ready.
func (h *health) report(ctx context.Context) (problems []string, ready bool) {
	checks, errs := h.run(ctx)
	ready = true
	for i, err := range errs {
		if err != nil {
			problems = append(problems, checks[i].reason+": "+err.Error())
			ready = ready && checks[i].note
		}
	}
	return problems, ready
}

// ServeHTTP serves /readyz: 200 and ok, or 503; and one line per problem, or per note.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	problems, ready := h.report(r.Context())
	if ready {
		fmt.Fprintln(w, "ok")
	} else {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, p := range problems {
		fmt.Fprintln(w, p)
	}
}

// Describe implements prometheus.Collector.
func (h *health) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(h, ch) }

// Collect implements prometheus.Collector.
func (h *health) Collect(ch chan<- prometheus.Metric) {
	desc := prometheus.NewDesc("stagelog_not_ready", "1 for each reason why /readyz fails; 0 for the other reasons.", []string{"reason"}, nil)
	checks, errs := h.run(context.Background())
	for i, err := range errs {
		value := 0.0
		if checks[i].note {
			continue // it has a metric of its own
		}
		if err != nil {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, checks[i].reason)
	}
}

// addChecks adds the checks of the opened parts.
func (c *Server) addChecks() {
	c.health.add("buffer", c.buffer.Writable)
	c.health.add("ingest", func(context.Context) error { return c.ingest.Failing() })
	c.health.add("index", func(context.Context) error {
		if !c.index.Ready() {
			return errors.New("the usage plan index is not loaded yet")
		}
		return nil
	})
	if c.s3 != nil {
		c.health.add("bucket", c.s3.Ready)
	}
	c.health.add("stages", c.checkStages)
	c.health.note("storage", c.checkStorage)
}

// checkStorage returns an error if faults of the storage are not acknowledged. They are in the past, so they do not
// keep the server from being ready.
func (c *Server) checkStorage(context.Context) error {
	faults := c.delivery.faults.Open()
	if len(faults) == 0 {
		return nil
	}
	const most = 5
	var texts []string
	for _, f := range faults[:min(len(faults), most)] {
		texts = append(texts, f.Found.Format(time.RFC3339)+" "+f.String())
	}
	if n := len(faults) - most; n > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", n))
	}
	return fmt.Errorf("%s; acknowledge this on the console's page Delivery", strings.Join(texts, "; "))
}

// checkStages returns an error if access log lines are lost because their stream does not exist.
func (c *Server) checkStages(context.Context) error {
	var losing []string
	for _, st := range c.control.Stages() {
		if stream, ok := st.AccessLog.Stream(); ok && c.ingest.Find([]byte(stream)) == nil {
			losing = append(losing, fmt.Sprintf("%s/%s logs to %s", st.APIID, st.Stage, stream))
		}
	}
	if len(losing) == 0 {
		return nil
	}
	slices.Sort(losing)
	return fmt.Errorf("access log lines are lost because a delivery stream does not exist (%s); create it or change the access log settings of the stage",
		strings.Join(losing, ", "))
}
