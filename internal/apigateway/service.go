package apigateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/apigateway/usage"
)

// Config says where the API Gateway is that a Service stands for.
type Config struct {
	Region  string // default us-east-1
	Account string // 12 digits, default 000000000000
	// Clock is the time that documents and quotas are dated by; default time.Now.
	Clock  func() time.Time
	Logger *slog.Logger // default: nothing is logged
	// OnChange is called after every change, when it is durable and seen by the Runtime
	// methods. It may call the Service's reading methods, and must be quick.
	OnChange func()
}

// Service is the control API with its state. All methods are safe for concurrent use.
type Service struct {
	cfg   Config
	store Store
	log   *slog.Logger
	now   func() time.Time
	mux   *http.ServeMux
	usage *usage.Counters
	rt    runtime

	applyMu sync.Mutex // one ApplyLocal at a time

	mu          sync.RWMutex // guards the maps; held for writing while a change goes to the store
	apis        map[string]*restAPI
	deployments map[string]map[string]*deployment // by API
	stages      map[string]map[string]*stage      // by API
	keys        map[string]*apiKey
	keyByHash   map[valueHash]string // key id
	plans       map[string]*plan
	members     map[string]map[string]*member // plan id, key id
}

// Open reads the state from the store. The Service serves at once; Run keeps the usage
// counters durable.
func Open(ctx context.Context, cfg Config, store Store) (*Service, error) {
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Account == "" {
		cfg.Account = "000000000000"
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
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

// load reads the documents. One whose owner is gone is left out: a crash between the writes
// of one change leaves such documents, and they mean nothing any more.
func (s *Service) load(ctx context.Context) error {
	put := func(m *restAPI) { s.apis[m.ID] = m }
	return errors.Join(
		loadAll(ctx, s.store, kindAPI, func(_ []string, a *restAPI) error { put(a); return nil }),
		loadAll(ctx, s.store, kindDeployment, func(_ []string, d *deployment) error {
			if s.apis[d.API] != nil {
				inner(s.deployments, d.API)[d.ID] = d
			}
			return nil
		}),
		loadAll(ctx, s.store, kindStage, func(_ []string, st *stage) error {
			if s.deployments[st.API][st.DeploymentID] != nil {
				inner(s.stages, st.API)[st.Name] = st
				s.showStage(st)
			}
			return nil
		}),
		loadAll(ctx, s.store, kindKey, func(_ []string, k *apiKey) error {
			s.keys[k.ID] = k
			s.keyByHash[hashValue(k.Value)] = k.ID
			s.showKey(k)
			return nil
		}),
		loadAll(ctx, s.store, kindPlan, func(_ []string, p *plan) error {
			s.plans[p.ID] = p
			s.showPlan(p)
			return nil
		}),
		loadAll(ctx, s.store, kindMember, func(ids []string, m *member) error {
			if len(ids) == 2 && s.plans[ids[0]] != nil && s.keys[ids[1]] != nil {
				inner(s.members, ids[0])[ids[1]] = m
				s.showMember(ids[0], ids[1], true)
			}
			return nil
		}),
	)
}

// inner is the map under id, made when missing.
func inner[K comparable, V any](m map[string]map[K]V, id string) map[K]V {
	if m[id] == nil {
		m[id] = map[K]V{}
	}
	return m[id]
}

// flushInterval bounds the usage that a crash forgets.
const flushInterval = time.Second

// Run writes the usage counters every second that they changed, until ctx ends. It returns
// nil: what could not be written is logged once and tried again.
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
				s.log.Error("usage could not be written; trying on", "error", err)
			}
		case failed > 0:
			s.log.Info("usage is written again", "failed", failed)
			failed = 0
		}
	}
}

// Close writes what Run has not written yet. The Service may still be read.
func (s *Service) Close(ctx context.Context) error { return s.usage.Flush(ctx) }

func (s *Service) notify() {
	if s.cfg.OnChange != nil {
		s.cfg.OnChange()
	}
}
