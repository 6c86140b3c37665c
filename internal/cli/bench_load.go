package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/server"
)

// resignAfter keeps a signature that is sent again and again well inside the five
// minutes that SigV4 allows.
const resignAfter = time.Minute

// load is the bench's clients and what they saw.
type load struct {
	opts     benchOptions
	chain    *server.Chain
	endpoint string
	target   string
	bodies   [][]byte

	mu        sync.Mutex // guards what follows
	accepted  int64
	refused   int64
	latencies []time.Duration
	err       error // the first failure that is not an answer
}

func newLoad(opts benchOptions, p *config.Pipeline, c *server.Chain) (*load, error) {
	l := &load{opts: opts, chain: c, endpoint: c.Endpoints().AWS, target: "Firehose_20150804.PutRecordBatch"}
	if opts.batch == 1 {
		l.target = "Firehose_20150804.PutRecord"
	}
	keys := c.KeyIDs()
	const distinctBodies = 8
	for n := range distinctBodies {
		body, err := benchBody(opts, p.Stream(), keys, n)
		if err != nil {
			return nil, err
		}
		l.bodies = append(l.bodies, body)
	}
	return l, nil
}

// run sends from all clients for d and returns when the last answer is in.
func (l *load) run(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: l.opts.clients, MaxConnsPerHost: l.opts.clients, DisableCompression: true, WriteBufferSize: 64 << 10}
	defer transport.CloseIdleConnections()
	var clients sync.WaitGroup
	for n := range l.opts.clients {
		clients.Go(func() { l.client(ctx, transport, n) })
	}
	clients.Wait()
}

func (l *load) client(ctx context.Context, transport *http.Transport, n int) {
	body := l.bodies[n%len(l.bodies)]
	var header http.Header
	var signed time.Time
	var accepted, refused int64
	var latencies []time.Duration
	var failure error
	for ctx.Err() == nil && failure == nil {
		if time.Since(signed) > resignAfter {
			signed = time.Now()
			if header, failure = l.sign(body, signed); failure != nil {
				break
			}
		}
		began := time.Now()
		ok, err := l.send(transport, header, body)
		latencies = append(latencies, time.Since(began))
		switch {
		case err != nil:
			failure = err
		case ok:
			accepted += int64(l.opts.batch)
		default:
			refused++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted += accepted
	l.refused += refused
	l.latencies = append(l.latencies, latencies...)
	if l.err == nil {
		l.err = failure
	}
}

// sign makes the header of a request with this body.
func (l *load) sign(body []byte, at time.Time) (http.Header, error) {
	req, err := http.NewRequest(http.MethodPost, l.endpoint+"/", nil)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", l.target)
	sum := sha256.Sum256(body)
	acc := l.chain.Accounts().Admin
	creds := aws.Credentials{AccessKeyID: acc.AccessKeyID, SecretAccessKey: acc.SecretAccessKey}
	err = v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), "firehose", l.chain.Region(), at)
	return req.Header, err
}

// send puts the body once. ok is false when not every record of it was accepted.
func (l *load) send(transport *http.Transport, header http.Header, body []byte) (ok bool, err error) {
	req, err := http.NewRequest(http.MethodPost, l.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header = header
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if err := resp.Body.Close(); err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode < 500 {
			return false, fmt.Errorf("the endpoint answered %d: %s", resp.StatusCode, answer)
		}
		return false, nil
	}
	return l.opts.batch == 1 || bytes.Contains(answer, []byte(`"FailedPutCount":0`)), nil
}

// benchBody is a request of records in the classic format, each of about opts.bytes.
func benchBody(opts benchOptions, stream string, keys []string, seed int) ([]byte, error) {
	type data struct{ Data string }
	records := make([]data, opts.batch)
	for i := range records {
		n := seed*opts.batch + i
		line := fmt.Sprintf(`{"api_id":"shop","api_key":"%s","key_id":"%s","ip":"192.0.2.%d","method":"GET","uri":"/prod/orders/%d","response_size":"%d","response_status":"200","resource_id":"r%d","request_id":"%08x-0000-4000-8000-%012x","request_latency":"%d","request_time":"10/Jul/2026:18:14:22 +0000","stage":"prod"}`,
			strings.Repeat("k", 36)+"tail", keys[n%len(keys)], n%250, n%9973, 200+n%5000, n%20, n*2654435761&0xffffffff, n, n%180)
		if pad := opts.bytes - len(line) - len(`,"pad":""`); pad > 0 {
			line = line[:len(line)-1] + `,"pad":"` + strings.Repeat("p", pad) + `"}`
		}
		records[i] = data{base64.StdEncoding.EncodeToString([]byte(line))}
	}
	if opts.batch == 1 {
		return json.Marshal(map[string]any{"DeliveryStreamName": stream, "Record": records[0]})
	}
	return json.Marshal(map[string]any{"DeliveryStreamName": stream, "Records": records})
}

// benchPipeline is the pipeline that is measured: delivery as it is by default, and
// as many keys as asked for.
func benchPipeline(keys int) (*config.Pipeline, error) {
	var y strings.Builder
	y.WriteString("name: bench\nbucket: bench-api-logs\nreaders: [\"111122223333\"]\nformat: classic\n")
	y.WriteString("local:\n  apis: [{id: shop, upstream: \"http://127.0.0.1:9\", stages: [prod]}]\n  usage_plans:\n")
	plans := min(keys, 20)
	for plan := range plans {
		fmt.Fprintf(&y, "    - name: Plan %d\n      stages: [shop/prod]\n      customers:\n", plan)
		for k := plan; k < keys; k += plans {
			fmt.Fprintf(&y, "        - {name: Customer %d, key: bench-key-of-customer-number-%06d}\n", k, k)
		}
	}
	return config.Parse("bench.yaml", []byte(y.String()), func(string) string { return "" })
}
