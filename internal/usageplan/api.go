package usageplan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/stagelog/stagelog/internal/record"
)

// APIConfig says which API Gateway to ask, and how hard.
type APIConfig struct {
	Region      string // also the region of the signature; default us-east-1
	Endpoint    string // a URL in the place of the region's own; it is then reached without any proxy
	Credentials aws.CredentialsProvider
	HTTPClient  *http.Client // default: one of its own that ignores AWS_* settings

	PageSize       int     // default 500, API Gateway's maximum
	Parallel       int     // plans that are read at a time, default 4
	CallsPerSecond float64 // default 5 in AWS, half of the account's quota; without limit at an Endpoint
	Tries          int     // of each call, default 6
}

// APISource lists usage plans and keys over API Gateway's REST API. It needs apigateway:GET on
// /usageplans, /usageplans/*/keys and, for single keys, /apikeys/*. Values of keys, which
// GetUsagePlanKeys returns, are skipped while decoding.
type APISource struct {
	client   *client
	pageSize int
	parallel int

	mu   sync.Mutex // guards part
	part *part      // a listing that was cut off, to go on with
}

// part is what a listing has so far. With hundreds of plans one listing takes longer than one
// invocation of a function may.
type part struct {
	began time.Time
	plans []Plan
	keys  [][]Key // of each plan
	done  []bool  // whether its keys are read
}

// partFor is how long a listing that was cut off is worth going on with.
const partFor = 5 * time.Minute

// maxPages of one collection: 10,000 keys at API Gateway's smallest page, and more than enough.
const maxPages = 10_000

// NewAPISource checks cfg and makes no call.
func NewAPISource(cfg APIConfig) (*APISource, error) {
	if cfg.PageSize <= 0 {
		cfg.PageSize = 500
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 4
	}
	limit := rate.Limit(cfg.CallsPerSecond)
	if limit <= 0 {
		limit = 5
		if cfg.Endpoint != "" {
			limit = rate.Inf
		}
	}
	c, err := newClient(clientConfig{
		service: "apigateway", region: cfg.Region, endpoint: cfg.Endpoint,
		credentials: cfg.Credentials, http: cfg.HTTPClient, tries: cfg.Tries, pace: rate.NewLimiter(limit, 20),
	})
	if err != nil {
		return nil, err
	}
	return &APISource{client: c, pageSize: cfg.PageSize, parallel: cfg.Parallel}, nil
}

// List pages through all plans and all keys of each. If it is cut off, a next call within minutes
// goes on where it was.
func (s *APISource) List(ctx context.Context) (Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.part == nil || time.Since(s.part.began) > partFor {
		began := time.Now()
		plans, err := s.plans(ctx, "")
		if err != nil {
			return Listing{}, err
		}
		s.part = &part{began: began, plans: plans, keys: make([][]Key, len(plans)), done: make([]bool, len(plans))}
	}
	if err := s.readKeys(ctx, s.part); err != nil {
		return Listing{}, err
	}
	l := Listing{Plans: s.part.plans}
	for _, keys := range s.part.keys {
		l.Keys = append(l.Keys, keys...)
	}
	s.part = nil
	return l, nil
}

// readKeys reads the keys of the plans that are still to be read, a few at a time. What was read
// stays in p when one fails.
func (s *APISource) readKeys(ctx context.Context, p *part) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.parallel)
	for i, plan := range p.plans {
		if p.done[i] {
			continue
		}
		group.Go(func() (err error) { // owns element i
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if p.keys[i], err = s.planKeys(ctx, plan.ID); err != nil {
				return fmt.Errorf("keys of plan %s: %w", plan.ID, err)
			}
			p.done[i] = true
			return nil
		})
	}
	return group.Wait()
}

// LookupKey asks for one key's plans and name.
func (s *APISource) LookupKey(ctx context.Context, keyID string) (k Key, plans []Plan, found bool, err error) {
	var key keyJSON
	err = s.client.get(ctx, "/apikeys/"+url.PathEscape(keyID), url.Values{"includeValue": {"false"}}, &key)
	if isStatus(err, http.StatusNotFound) {
		return Key{}, nil, false, nil
	} else if err != nil {
		return Key{}, nil, false, err
	}
	if plans, err = s.plans(ctx, keyID); err != nil {
		return Key{}, nil, false, err
	}
	k = Key{ID: keyID, Name: key.Name}
	for _, p := range plans {
		k.Plans = append(k.Plans, p.ID)
	}
	return k, plans, true, nil
}

// plans pages through all plans, or those of one key.
func (s *APISource) plans(ctx context.Context, keyID string) ([]Plan, error) {
	query := url.Values{}
	if keyID != "" {
		query.Set("keyId", keyID)
	}
	var plans []Plan
	err := pages(ctx, s, "/usageplans", query, func(p planJSON) {
		plan := Plan{ID: p.ID, Name: p.Name}
		for _, st := range p.APIStages {
			plan.Stages = append(plan.Stages, record.StageRef{API: st.APIID, Stage: st.Stage})
		}
		plans = append(plans, plan)
	})
	return plans, err
}

func (s *APISource) planKeys(ctx context.Context, planID string) ([]Key, error) {
	var keys []Key
	of := []string{planID}
	err := pages(ctx, s, "/usageplans/"+url.PathEscape(planID)+"/keys", url.Values{}, func(k keyJSON) {
		keys = append(keys, Key{ID: k.ID, Name: k.Name, Plans: of})
	})
	return keys, err
}

// pages calls each for every item of a collection.
func pages[T any](ctx context.Context, s *APISource, path string, query url.Values, each func(T)) error {
	query.Set("limit", strconv.Itoa(s.pageSize))
	for range maxPages {
		var page pageJSON[T]
		if err := s.client.get(ctx, path, query, &page); err != nil {
			return err
		}
		for _, item := range page.all() {
			each(item)
		}
		if page.Position == "" {
			return nil
		}
		if page.Position == query.Get("position") {
			return errors.New("API Gateway repeats a page")
		}
		query.Set("position", page.Position)
	}
	return errors.New("API Gateway does not stop paging")
}

// The shapes, without what is not needed: above all without the values of keys.
type (
	planJSON struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		APIStages []struct {
			APIID string `json:"apiId"`
			Stage string `json:"stage"`
		} `json:"apiStages"`
	}
	keyJSON struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}

	// pageJSON is one page: `item` is what API Gateway says to SDKs, `items` what its model calls
	// it, and `_embedded` what it says as HAL.
	pageJSON[T any] struct {
		Position string  `json:"position"`
		Item     list[T] `json:"item"`
		Items    list[T] `json:"items"`
		Embedded struct {
			Item list[T] `json:"item"`
		} `json:"_embedded"`
	}
)

func (p *pageJSON[T]) all() []T {
	for _, l := range []list[T]{p.Item, p.Items} {
		if len(l) > 0 {
			return l
		}
	}
	return p.Embedded.Item
}

// list decodes an array, or the single object that HAL has in the place of an array of one.
type list[T any] []T

// UnmarshalJSON accepts both.
func (l *list[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var one T
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*l = list[T]{one}
		return nil
	}
	return json.Unmarshal(data, (*[]T)(l))
}
