package bench

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

// resignAfter bounds the reuse of a signature. SigV4 allows five minutes.
const resignAfter = time.Minute

// load holds the clients' requests and results.
type load struct {
	cfg      Config
	server   *server.Server
	endpoint string
	target   string
	bodies   [][]byte

	mu        sync.Mutex // guards the fields below
	accepted  int64
	refused   int64
	latencies []time.Duration
	err       error // the first failure other than a server error
}

func newLoad(cfg Config, p *config.Pipeline, c *server.Server) (*load, error) {
	l := &load{cfg: cfg, server: c, endpoint: c.Endpoints().AWS, target: "Firehose_20150804.PutRecordBatch"}
	if cfg.Batch == 1 {
		l.target = "Firehose_20150804.PutRecord"
	}
	keys := c.KeyIDs()
	const distinctBodies = 8
	for n := range distinctBodies {
		body, err := requestBody(cfg, p.Stream(), keys, n)
		if err != nil {
			return nil, err
		}
		l.bodies = append(l.bodies, body)
	}
	return l, nil
}

// run sends from all clients for d and returns after the last response.
func (l *load) run(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: l.cfg.Clients, MaxConnsPerHost: l.cfg.Clients, DisableCompression: true, WriteBufferSize: 64 << 10}
	defer transport.CloseIdleConnections()
	var clients sync.WaitGroup
	for n := range l.cfg.Clients {
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
			accepted += int64(l.cfg.Batch)
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

// sign returns the signed header of a request with the body.
func (l *load) sign(body []byte, at time.Time) (http.Header, error) {
	req, err := http.NewRequest(http.MethodPost, l.endpoint+"/", nil)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", l.target)
	sum := sha256.Sum256(body)
	acc := l.server.Accounts().Admin
	creds := aws.Credentials{AccessKeyID: acc.AccessKeyID, SecretAccessKey: acc.SecretAccessKey}
	err = v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), "firehose", l.server.Region(), at)
	return req.Header, err
}

// send sends the body once. ok reports whether every record was accepted.
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
	response, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if err := resp.Body.Close(); err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode < 500 {
			return false, fmt.Errorf("the endpoint returned %d: %s", resp.StatusCode, response)
		}
		return false, nil
	}
	return l.cfg.Batch == 1 || bytes.Contains(response, []byte(`"FailedPutCount":0`)), nil
}

// requestBody returns a request with records in the classic format, each of about cfg.RecordBytes.
func requestBody(cfg Config, stream string, keys []string, seed int) ([]byte, error) {
	type data struct{ Data string }
	records := make([]data, cfg.Batch)
	for i := range records {
		n := seed*cfg.Batch + i
		line := fmt.Sprintf(`{"api_id":"shop","api_key":"%s","key_id":"%s","ip":"192.0.2.%d","method":"GET","uri":"/prod/orders/%d","response_size":"%d","response_status":"200","resource_id":"r%d","request_id":"%08x-0000-4000-8000-%012x","request_latency":"%d","request_time":"10/Jul/2026:18:14:22 +0000","stage":"prod"}`,
			strings.Repeat("k", 36)+"tail", keys[n%len(keys)], n%250, n%9973, 200+n%5000, n%20, n*2654435761&0xffffffff, n, n%180)
		if pad := cfg.RecordBytes - len(line) - len(`,"pad":""`); pad > 0 {
			line = line[:len(line)-1] + `,"pad":"` + strings.Repeat("p", pad) + `"}`
		}
		records[i] = data{base64.StdEncoding.EncodeToString([]byte(line))}
	}
	if cfg.Batch == 1 {
		return json.Marshal(map[string]any{"DeliveryStreamName": stream, "Record": records[0]})
	}
	return json.Marshal(map[string]any{"DeliveryStreamName": stream, "Records": records})
}
