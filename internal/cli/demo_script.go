package cli

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/awserr"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/server"
)

// demo is one run of the demo over a chain that stands.
type demo struct {
	env       *env
	opts      demoOptions
	pipeline  *config.Pipeline
	customers callers
	chain     *server.Chain
	statuses  map[string]map[int]int // caller, status: count; owned by traffic
	answered  int64
}

// readerProof is what the reader's credentials can and can't do, as S3 answered.
type readerProof struct {
	List string `json:"list"`
	Get  string `json:"get"`
	Put  string `json:"put"`
}

// script is the demo once the four steps are done: traffic, the first object, the sum.
func (d *demo) script(ctx context.Context, c *server.Chain) error {
	d.chain = c
	d.statuses = map[string]map[int]int{}
	traffic, stopTraffic := context.WithCancel(ctx)
	defer stopTraffic()
	if d.opts.runFor > 0 {
		traffic, stopTraffic = context.WithTimeout(ctx, d.opts.runFor)
		defer stopTraffic()
	}
	d.say("\nRequests go to %s/shop/prod/orders%s", c.Endpoints().Stages, d.hint())
	d.say("Watch them at %s: charts, customers, a live tail, SQL.", c.Endpoints().Console)
	var sending sync.WaitGroup
	sending.Go(func() { d.send(traffic) })
	err := d.showFirstObject(traffic)
	sending.Wait()
	if err != nil {
		return err
	}
	// Ctrl-C ended the traffic, not the demo: what was accepted is still delivered and summed.
	return d.summary(context.WithoutCancel(ctx))
}

func (d *demo) hint() string {
	if d.opts.runFor > 0 {
		return fmt.Sprintf(", %d a second for %v.", d.opts.rate, d.opts.runFor)
	}
	return fmt.Sprintf(", %d a second. Ctrl-C ends it with a summary.", d.opts.rate)
}

// send calls the stage as all the callers would, until ctx ends.
func (d *demo) send(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(time.Second / time.Duration(d.opts.rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		who := d.customers.pick(n)
		req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/shop/prod/orders/%d", d.chain.Endpoints().Stages, n%50+1), nil)
		if err != nil {
			panic("BUG: the demo's own request can't be made: " + err.Error())
		}
		if who.sendsKey {
			req.Header.Set("x-api-key", who.key)
		}
		resp, err := client.Do(req)
		if err != nil {
			continue // not answered, so not counted; the sum shows it
		}
		d.count(who.name, resp.StatusCode)
		if err := discardBody(resp); err != nil {
			d.env.log().Debug("read answer", "error", err)
		}
	}
}

func (d *demo) count(name string, status int) {
	d.answered++
	if d.statuses[name] == nil {
		d.statuses[name] = map[int]int{}
	}
	d.statuses[name][status]++
}

// showFirstObject waits for the first object and prints its first line, all of it read
// with the reader's credentials.
func (d *demo) showFirstObject(ctx context.Context) error {
	reader := d.chain.Reader()
	for {
		keys, err := listKeys(ctx, reader, d.pipeline.Bucket, d.pipeline.Deliver.Prefix)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("list the bucket as the reader: %w", err)
		}
		if len(keys) > 0 {
			return d.printFirst(ctx, reader, keys[0])
		}
		select {
		case <-ctx.Done():
			return nil // too short a run for a first object: the summary delivers and reads
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *demo) printFirst(ctx context.Context, reader *bucket.Client, key string) error {
	lines, err := readLines(ctx, reader, d.pipeline.Bucket, key)
	if err != nil || len(lines) == 0 {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, lines[0], "    ", "  "); err != nil {
		return fmt.Errorf("the first line of %s is not JSON: %w", key, err)
	}
	d.say("\nThe first object, read with the credentials of account %s:\n  s3://%s/%s (%d records)\n    %s\n",
		d.pipeline.Readers[0], d.pipeline.Bucket, key, len(lines), pretty.String())
	return nil
}

// summary delivers what is still on its way, then counts what is in the bucket.
func (d *demo) summary(ctx context.Context) error {
	d.say("Delivering what is still on its way ...")
	settle, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.chain.Settle(settle); err != nil {
		return fmt.Errorf("deliver the last records: %w", err)
	}
	counts := d.chain.Counts()
	res := demoResult{
		Requests: d.answered, RecordsAccepted: counts.Accepted,
		Customers: map[string]int64{}, Objects: []string{},
		Endpoints: d.chain.Endpoints().Map(),
	}
	if err := d.readBack(ctx, &res); err != nil {
		return err
	}
	if d.env.json {
		if err := printJSON(d.env.stdout, res); err != nil {
			return err
		}
	} else {
		d.printSummary(res)
	}
	if res.Requests != res.RecordsAccepted || res.RecordsDelivered+res.RecordsFailed != res.RecordsAccepted {
		return fmt.Errorf("the counts differ: %d requests, %d records accepted, %d delivered, %d failed", res.Requests, res.RecordsAccepted, res.RecordsDelivered, res.RecordsFailed)
	}
	return nil
}

// readBack fills res from the objects themselves: the delivered ones as the reader, the
// error output, which a reader may not see, as the administrator.
func (d *demo) readBack(ctx context.Context, res *demoResult) error {
	reader, admin := d.chain.Reader(), d.chain.Admin()
	keys, err := listKeys(ctx, reader, d.pipeline.Bucket, d.pipeline.Deliver.Prefix)
	res.Reader.List = outcome(err)
	if err != nil {
		return fmt.Errorf("list the bucket as the reader: %w", err)
	}
	res.Objects = append(res.Objects, keys...)
	for _, key := range keys {
		lines, err := readLines(ctx, reader, d.pipeline.Bucket, key)
		res.Reader.Get = outcome(err)
		if err != nil {
			return fmt.Errorf("read %s as the reader: %w", key, err)
		}
		for _, line := range lines {
			var fields struct {
				Customer string `json:"customer"`
			}
			if err := json.Unmarshal(line, &fields); err != nil {
				return fmt.Errorf("a line of %s is not JSON: %w", key, err)
			}
			res.Customers[fields.Customer]++
			res.RecordsDelivered++
		}
	}
	probe := d.pipeline.Deliver.Prefix + "reader-was-here"
	res.Reader.Put = outcome(reader.Put(ctx, d.pipeline.Bucket, probe, strings.NewReader("x"), record.Meta{Size: 1}))
	failed, err := listKeys(ctx, admin, d.pipeline.Bucket, "errors/")
	if err != nil {
		return fmt.Errorf("list the error output: %w", err)
	}
	for _, key := range failed {
		lines, err := readLines(ctx, admin, d.pipeline.Bucket, key)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		res.RecordsFailed += int64(len(lines))
	}
	return nil
}

func (d *demo) printSummary(res demoResult) {
	w := d.env.stdout
	fmt.Fprintf(w, "\n%d requests, %d records accepted, %d delivered in %d objects, %d failed\n\n",
		res.Requests, res.RecordsAccepted, res.RecordsDelivered, len(res.Objects), res.RecordsFailed)
	fmt.Fprintln(w, "Callers, as the stage answered them:")
	for _, c := range d.customers {
		fmt.Fprintf(w, "  %-28s %s\n", c.name, statusLine(d.statuses[c.name]))
	}
	fmt.Fprintln(w, "\nCustomers, as the bucket has them:")
	for _, name := range sortedKeys(res.Customers) {
		label := name
		if name == "-" {
			label = "- (no or unknown key)"
		}
		fmt.Fprintf(w, "  %-28s %6d\n", label, res.Customers[name])
	}
	fmt.Fprintf(w, "\nThe reader's account: list %s, get %s, put %s\n", res.Reader.List, res.Reader.Get, res.Reader.Put)
	fmt.Fprintln(w, "\nNext: stagelog init writes a stagelog.yaml for your own API, stagelog up runs it.")
}

func statusLine(statuses map[int]int) string {
	var parts []string
	for _, code := range sortedKeys(statuses) {
		parts = append(parts, fmt.Sprintf("%d × %d", statuses[code], code))
	}
	return strings.Join(parts, ", ")
}

func sortedKeys[K interface{ ~int | ~string }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// outcome is "ok", or the code with which S3 refused.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return cmp.Or(awserr.Code(err), "failed")
}

func listKeys(ctx context.Context, c *bucket.Client, name, prefix string) (keys []string, err error) {
	err = c.List(ctx, name, prefix, "", func(o record.Object) error {
		keys = append(keys, o.Key)
		return nil
	})
	return keys, err
}

// readLines reads an object, unpacked, as lines.
func readLines(ctx context.Context, c *bucket.Client, name, key string) (lines [][]byte, err error) {
	body, _, err := c.Get(ctx, name, key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	var r io.Reader = body
	if strings.HasSuffix(key, ".gz") {
		if r, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		lines = append(lines, bytes.TrimSuffix(line, []byte("\n")))
	}
	return lines, nil
}
