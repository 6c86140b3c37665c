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
	"encoding/json"
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
	cfg    Config
	shared *documents.Shared
	log    *slog.Logger
	now    func() time.Time
	mux    *http.ServeMux
	usage  *usage.Counters
	rt     runtime

	applyMu sync.Mutex // one ApplyLocal at a time

	mu        sync.RWMutex   // guards docs and resources; held for writing while a change is stored
	docs      map[string]any // the documents by key, also those whose owner is gone
	resources                // derived from docs
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
	s := &Service{cfg: cfg, log: cfg.Logger, now: cfg.Clock, docs: map[string]any{}, resources: newResources()}
	s.shared = documents.Share(store, &s.mu, s.applyChanges, s.changed)
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
	for _, kind := range []string{kindAPI, kindDeployment, kindStage, kindKey, kindPlan, kindMember} {
		err := documents.Load(ctx, s.shared, kind+"/", func(name string, doc *json.RawMessage) (err error) {
			key := docKey(kind, name)
			s.docs[key], err = decode(key, *doc)
			return err
		})
		if err != nil {
			return err
		}
	}
	s.derive()
	return s.shared.Change(ctx, func() error {
		for _, key := range s.derive() {
			if err := s.erase(ctx, key); err != nil {
				return err
			}
		}
		return s.dropLostStages(ctx)
	})
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

// Follow applies the changes of other processes of the cluster until ctx ends.
func (s *Service) Follow(ctx context.Context) error { return s.shared.Follow(ctx, s.log) }

// Needs sets the function that refreshes the delivery streams of stages before the changes of other processes are
// applied. It is called before Follow.
func (s *Service) Needs(refresh func(context.Context) error) { s.shared.Needs(refresh) }

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
	if err := s.shared.Save(ctx, key, doc); err != nil {
		return err
	}
	s.docs[key] = doc
	return nil
}

func (s *Service) erase(ctx context.Context, key string) error {
	if err := s.shared.Erase(ctx, key); err != nil {
		return err
	}
	delete(s.docs, key)
	return nil
}
