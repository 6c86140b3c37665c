package usageplan

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/time/rate"

	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	maxBody    = 32 << 20 // maximum size of a response
	firstWait  = 400 * time.Millisecond
	maxWait    = 20 * time.Second // between two attempts, unless Retry-After is longer
	maxRetry   = 2 * time.Minute  // maximum accepted Retry-After
	callWithin = 30 * time.Second // for one attempt
)

type clientConfig struct {
	service     string // signing name
	region      string
	endpoint    string // "" means AWS
	host        string // AWS host, default service.region
	credentials aws.CredentialsProvider
	http        aws.HTTPClient
	tries       int
	pace        *rate.Limiter // optional
}

// client makes signed calls and retries temporary errors.
type client struct {
	cfg    clientConfig
	base   *url.URL
	signer *v4.Signer
}

func newClient(cfg clientConfig) (*client, error) {
	if cfg.credentials == nil {
		return nil, fmt.Errorf("%s requires credentials", cfg.service)
	}
	cfg.region, cfg.tries = cmp.Or(cfg.region, "us-east-1"), cmp.Or(cfg.tries, 6)
	local := cfg.endpoint != ""
	if !local {
		cfg.endpoint = "https://" + cmp.Or(cfg.host, cfg.service+"."+cfg.region+"."+record.DNSSuffix(cfg.region))
	}
	base, err := url.Parse(cfg.endpoint)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("endpoint of %s must be an http or https URL", cfg.service)
	}
	if cfg.http == nil {
		cfg.http = newHTTPClient(local)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = cfg.service == "s3" })
	return &client{cfg: cfg, base: base, signer: signer}, nil
}

// newHTTPClient returns a client that ignores the environment, except for the proxy settings on
// calls to AWS.
func newHTTPClient(local bool) *http.Client {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: callWithin,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   8,
		ForceAttemptHTTP2:     true,
	}
	if !local {
		transport.Proxy = http.ProxyFromEnvironment
	}
	return &http.Client{Transport: transport, Timeout: callWithin}
}

// statusError is an unsuccessful response. code is AWS's error code. It does not include the body,
// which may quote the request.
type statusError struct {
	status     int
	code       string
	retryAfter time.Duration
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", e.status, e.code))
}

// RetryAfter returns the wait requested by the response.
func (e *statusError) RetryAfter() time.Duration { return e.retryAfter }

func isStatus(err error, statuses ...int) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && slices.Contains(statuses, e.status)
}

// get reads a JSON document.
func (c *client) get(ctx context.Context, path string, query url.Values, into any) error {
	u := *c.base
	u.RawPath = strings.TrimSuffix(c.base.EscapedPath(), "/") + path
	u.Path, _ = url.PathUnescape(u.RawPath)
	u.RawQuery = query.Encode()
	answer, err := c.do(ctx, http.MethodGet, &u, http.Header{"Accept": {"application/json"}}, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer.body, into); err != nil {
		return errors.New("response is not the expected JSON") // err may quote it
	}
	return nil
}

type answer struct {
	header http.Header
	body   []byte
}

// do makes a call and retries it until it succeeds, fails permanently or reaches the limit of attempts.
func (c *client) do(ctx context.Context, method string, u *url.URL, header http.Header, body []byte) (a answer, err error) {
	policy := retry.Policy{
		First: firstWait, Max: maxWait, Tries: c.cfg.tries,
		Again: func(err error) bool { return ctx.Err() == nil && temporary(err) },
	}
	err = policy.Do(ctx, func() (err error) {
		if c.cfg.pace != nil {
			if err := c.cfg.pace.Wait(ctx); err != nil {
				return fmt.Errorf("%w: %w", errPace, err)
			}
		}
		a, err = c.once(ctx, method, u, header, body)
		return err
	})
	return a, err
}

// errPace marks an error of the rate limiter that keeps calls below AWS's quota.
var errPace = errors.New("wait for rate limit")

func (c *client) once(ctx context.Context, method string, u *url.URL, header http.Header, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, errors.New("invalid URL of a call")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if c.cfg.service == "s3" {
		req.Header.Set("X-Amz-Content-Sha256", hash)
	}
	creds, err := c.cfg.credentials.Retrieve(ctx)
	if err != nil {
		return answer{}, fmt.Errorf("credentials: %w", err)
	}
	if err := c.signer.SignHTTP(ctx, creds, req, hash, c.cfg.service, c.cfg.region, time.Now()); err != nil {
		return answer{}, fmt.Errorf("sign call: %w", err)
	}
	resp, err := c.cfg.http.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("call %s: %w", c.cfg.service, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return answer{}, fmt.Errorf("read response of %s: %w", c.cfg.service, err)
	}
	if len(data) > maxBody {
		return answer{}, fmt.Errorf("response of %s is larger than %d bytes", c.cfg.service, maxBody)
	}
	if resp.StatusCode/100 != 2 {
		return answer{}, fmt.Errorf("call %s: %w", c.cfg.service, newStatusError(resp, data))
	}
	return answer{resp.Header, data}, nil
}

// newStatusError returns the error of a response, with AWS's error code from the header or the body.
func newStatusError(resp *http.Response, body []byte) *statusError {
	e := &statusError{status: resp.StatusCode, code: resp.Header.Get("X-Amzn-Errortype")}
	if e.code == "" {
		var named struct {
			Type string `json:"__type"`
			Code string `json:"code"`
		}
		if json.Unmarshal(body, &named) == nil {
			e.code = cmp.Or(named.Type, named.Code)
		}
	}
	e.code, _, _ = strings.Cut(e.code, ":")
	if len(e.code) > 64 || strings.ContainsFunc(e.code, func(r rune) bool { return r < '!' || r > '~' }) {
		e.code = ""
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.retryAfter = min(time.Duration(seconds)*time.Second, maxRetry)
	} else if at, err := http.ParseTime(resp.Header.Get("Retry-After")); err == nil {
		e.retryAfter = min(max(time.Until(at), 0), maxRetry)
	}
	return e
}

// temporary reports whether to retry after an error: too many requests, a server error, or a failed connection.
func temporary(err error) bool {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.status == http.StatusTooManyRequests || status.status >= 500
	}
	return !errors.Is(err, errPace)
}
