package usageplan

import (
	"context"
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

// APIConfig selects an API Gateway endpoint and limits the rate of calls.
type APIConfig struct {
	Region      string // default us-east-1
	Endpoint    string // URL that replaces AWS's endpoint; called without a proxy
	Credentials aws.CredentialsProvider
	HTTPClient  aws.HTTPClient // default: a client that ignores AWS_* settings

	PageSize       int     // default 500, API Gateway's maximum
	Parallel       int     // plans read in parallel, default 4
	CallsPerSecond float64 // default 5 in AWS, half of the account's quota; unlimited for an Endpoint
	Tries          int     // attempts per call, default 6
}

// APISource lists usage plans and keys through API Gateway's REST API. It requires apigateway:GET on
// /usageplans, /usageplans/*/keys and, for single keys, /apikeys/*. It does not decode key values,
// which GetUsagePlanKeys returns.
type APISource struct {
	client   *client
	pageSize int
	parallel int

	mu   sync.Mutex // guards part
	part *part      // an interrupted listing to continue
}

// part is the state of an incomplete listing. With hundreds of plans, one listing can take longer
// than one invocation of a function.
type part struct {
	began time.Time
	plans []Plan
	keys  [][]Key // of each plan
	done  []bool  // plans whose keys are read
}

// partFor is how long an interrupted listing can be continued.
const partFor = 5 * time.Minute

// maxPages limits the pages of one collection, far above 10,000 keys at API Gateway's smallest page.
const maxPages = 10_000

// NewAPISource returns a source. It makes no calls.
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

// List pages through all plans and the keys of each. If it is interrupted, the next call within
// partFor continues from there.
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

// readKeys reads the keys of the remaining plans, a few plans in parallel. After an error, p keeps
// what was read.
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
				return fmt.Errorf("list the keys of plan %s: %w", plan.ID, err)
			}
			p.done[i] = true
			return nil
		})
	}
	return group.Wait()
}

// LookupKey reads one key's name and plans.
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
		for _, item := range page.Item {
			each(item)
		}
		if page.Position == "" {
			return nil
		}
		if page.Position == query.Get("position") {
			return errors.New("API Gateway returned the same page twice")
		}
		query.Set("position", page.Position)
	}
	return errors.New("API Gateway returned too many pages")
}

// Parts of API Gateway's response shapes, in particular without the keys' values.
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

	// pageJSON is one page, as API Gateway returns it for Accept: application/json.
	pageJSON[T any] struct {
		Position string `json:"position"`
		Item     []T    `json:"item"`
	}
)
