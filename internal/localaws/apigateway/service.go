// Package apigateway serves the part of API Gateway's control API (REST, version 2015-07-09) that the
// pipeline and its clients use: REST APIs with HTTP proxy integrations, deployments, stages with access
// log settings, API keys, usage plans and usage.
//
// A Service has three interfaces. ServeHTTP serves the AWS SDKs and the AWS CLI; the caller verifies
// signatures. The Runtime methods return an immutable view of the deployed stages to the stage server
// without locking. ApplyLocal changes the state to match stagelog.yaml with the same code as ServeHTTP.
//
// State is stored as JSON documents, written before the response is sent, with a copy in memory. API key
// values are secrets: only the store and the responses in which AWS returns them contain one, never an
// error or a log line of this package.
package apigateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway/usage"
	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/record"
)

// Config configures a Service.
type Config struct {
	Region  string // default us-east-1
	Account string // 12 digits, default 000000000000
	// Clock dates documents and quotas; default time.Now.
	Clock  func() time.Time
	Logger *slog.Logger // default: nothing is logged
	// OnChange is called after every change, once it is durable and visible to the Runtime methods. It may
	// call the Service's reading methods, and must return quickly.
	OnChange func()
}

// Service is the control API with its state. All methods are safe for concurrent use.
type Service struct {
	cfg   Config
	store record.Store
	log   *slog.Logger
	now   func() time.Time
	mux   *http.ServeMux
	usage *usage.Counters
	rt    runtime

	applyMu sync.Mutex // one ApplyLocal at a time

	mu          sync.RWMutex // guards the maps; held for writing while a change is stored
	apis        map[string]*restAPI
	deployments map[string]map[string]*deployment // by API
	stages      map[string]map[string]*stage      // by API
	keys        map[string]*apiKey
	keyByHash   map[valueHash]string // key id
	plans       map[string]*plan
	members     map[string]map[string]*member // plan id, key id
}

// Open reads the state from the store and returns a Service that is ready to serve. Run keeps the usage
// counters durable.
func Open(ctx context.Context, cfg Config, store record.Store) (*Service, error) {
	cfg.Region = cmp.Or(cfg.Region, "us-east-1")
	cfg.Account = cmp.Or(cfg.Account, "000000000000")
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	s := &Service{
		cfg: cfg, store: store, log: cfg.Logger, now: cfg.Clock,
		apis: map[string]*restAPI{}, deployments: map[string]map[string]*deployment{}, stages: map[string]map[string]*stage{},
		keys: map[string]*apiKey{}, keyByHash: map[valueHash]string{}, plans: map[string]*plan{}, members: map[string]map[string]*member{},
	}
	s.mux = s.newMux()
	s.rt.init()
	var err error
	if s.usage, err = usage.Open(ctx, store, s.now()); err != nil {
		return nil, err
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// load reads the documents. A crash between the writes of one change leaves documents whose owner is
// gone. load deletes them, because the next resource with that id would inherit them, and stagelog.yaml
// reuses ids.
func (s *Service) load(ctx context.Context) error {
	var orphans []string
	err := errors.Join(
		loadAll(ctx, s, kindAPI, func(_ []string, a *restAPI) { s.apis[a.ID] = a }),
		loadAll(ctx, s, kindDeployment, func(_ []string, d *deployment) {
			if s.apis[d.API] == nil {
				orphans = append(orphans, docKey(kindDeployment, d.API, d.ID))
				return
			}
			inner(s.deployments, d.API)[d.ID] = d
		}),
		loadAll(ctx, s, kindStage, func(_ []string, st *stage) {
			if s.deployments[st.API][st.DeploymentID] == nil {
				orphans = append(orphans, docKey(kindStage, st.API, st.Name))
				return
			}
			inner(s.stages, st.API)[st.Name] = st
			s.showStage(st)
		}),
		loadAll(ctx, s, kindKey, func(_ []string, k *apiKey) {
			s.keys[k.ID] = k
			s.keyByHash[hashValue(k.Value)] = k.ID
			s.showKey(k)
		}),
		loadAll(ctx, s, kindPlan, func(_ []string, p *plan) {
			s.plans[p.ID] = p
			s.showPlan(p)
		}),
		loadAll(ctx, s, kindMember, func(ids []string, m *member) {
			if len(ids) != 2 || s.plans[ids[0]] == nil || s.keys[ids[1]] == nil {
				orphans = append(orphans, docKey(kindMember, ids...))
				return
			}
			inner(s.members, ids[0])[ids[1]] = m
			s.showMember(ids[0], ids[1], true)
		}),
	)
	if err != nil {
		return err
	}
	for _, key := range orphans {
		if err := s.erase(ctx, key); err != nil {
			return err
		}
	}
	return s.dropLostStages(ctx)
}

// dropLostStages removes stages that no longer exist from the plans.
func (s *Service) dropLostStages(ctx context.Context) error {
	for _, p := range s.plans {
		c := clonePlan(p)
		c.Stages = slices.DeleteFunc(c.Stages, func(st planStage) bool { return s.stages[st.API][st.Stage] == nil })
		if len(c.Stages) == len(p.Stages) {
			continue
		}
		if err := s.putPlan(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// inner returns the map under id, creating it if it is missing.
func inner[K comparable, V any](m map[string]map[K]V, id string) map[K]V {
	if m[id] == nil {
		m[id] = map[K]V{}
	}
	return m[id]
}

// flushInterval bounds the usage that a crash loses.
const flushInterval = time.Second

// Run writes changed usage counters every second until ctx ends. It always returns nil: a failure is
// logged once and retried.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	failed := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch err := s.usage.Flush(ctx); {
		case ctx.Err() != nil:
			return nil // Close writes the rest
		case err != nil:
			if failed++; failed == 1 {
				s.log.Error("writing usage failed; retrying", "error", err)
			}
		case failed > 0:
			s.log.Info("writing usage recovered", "failures", failed)
			failed = 0
		}
	}
}

// Close writes the usage that Run has not written yet. The Service can still be read.
func (s *Service) Close(ctx context.Context) error { return s.usage.Flush(ctx) }

func (s *Service) notify() {
	if s.cfg.OnChange != nil {
		s.cfg.OnChange()
	}
}

// Keys of the documents: the kind, then the ids of the document.
const (
	kindAPI        = "api"        // api/<id>
	kindDeployment = "deployment" // deployment/<api>/<id>
	kindStage      = "stage"      // stage/<api>/<name>
	kindKey        = "key"        // key/<id>
	kindPlan       = "plan"       // plan/<id>
	kindMember     = "member"     // member/<plan>/<key>
)

func docKey(kind string, ids ...string) string { return kind + "/" + strings.Join(ids, "/") }

func (s *Service) save(ctx context.Context, key string, doc any) error {
	return documents.Save(ctx, s.store, key, doc)
}

func (s *Service) erase(ctx context.Context, key string) error {
	return documents.Erase(ctx, s.store, key)
}

// loadAll calls fn with every document of a kind. ids are the parts of the key after the kind.
func loadAll[T any](ctx context.Context, s *Service, kind string, fn func(ids []string, doc *T)) error {
	return documents.Load(ctx, s.store, kind+"/", func(name string, doc *T, _ uint64) error {
		fn(strings.Split(name, "/"), doc)
		return nil
	})
}
