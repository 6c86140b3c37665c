package apigateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stagelog/stagelog/internal/encoding/openapi"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// Local is the desired state of API Gateway, from the local: section of stagelog.yaml.
type Local struct {
	APIs  []LocalAPI
	Plans []LocalPlan
}

// MockUpstream stands for MOCK integrations that answer every request with status 200.
const MockUpstream = "mock"

// LocalAPI is an API that forwards its requests to one upstream.
type LocalAPI struct {
	ID             string // used unchanged: shop
	Name           string // default: the id
	Upstream       string // http or https; its path precedes the request's. MockUpstream: the API answers itself
	Stages         []string
	APIKeyRequired bool              // for methods without security in Document
	Document       *openapi.Document // its paths and methods are served; nil: all paths and methods are
}

// LocalPlan is a usage plan with its customers.
type LocalPlan struct {
	ID        string // default: derived from the name, the same on every machine
	Name      string
	Throttle  *Throttle // nil: none
	Quota     *Quota    // nil: none
	Stages    []record.StageRef
	Customers []LocalCustomer
}

// LocalCustomer is an API key. A customer in several plans has the same key in all of them.
type LocalCustomer struct {
	ID    string // default: derived from the name
	Name  string
	Value string // the secret; "": generated once, and kept
}

// String returns the customer's name without the value.
func (c LocalCustomer) String() string { return fmt.Sprintf("customer %q", c.Name) }

// GoString returns the same text as String.
func (c LocalCustomer) GoString() string { return c.String() }

// Applied lists the changes of ApplyLocal, one entry per resource: "API shop", "usage plan Gold".
type Applied struct {
	Created, Changed, Removed []string
}

// Nothing reports whether there was nothing to change.
func (a Applied) Nothing() bool { return len(a.Created)+len(a.Changed)+len(a.Removed) == 0 }

// The tag of resources that ApplyLocal created, and may therefore change and remove.
const (
	sourceTag   = "stagelog:source"
	sourceLocal = "local"
)

func localTags() map[string]string        { return map[string]string{sourceTag: sourceLocal} }
func isLocal(tags map[string]string) bool { return tags[sourceTag] == sourceLocal }

// ApplyLocal changes the state to match want, with the code and the checks of the API's operations. It
// removes resources that it created before and that want no longer contains, and leaves those of
// clients alone. Applying the same state again changes nothing.
func (s *Service) ApplyLocal(ctx context.Context, want Local) (Applied, error) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	a := applier{s: s, plans: map[string]*localPlan{}, keys: map[string]LocalCustomer{}}
	err := a.apply(ctx, want)
	if !a.done.Nothing() {
		s.notify()
	}
	return a.done, err
}

// applier is one ApplyLocal in progress.
type applier struct {
	s     *Service
	done  Applied
	plans map[string]*localPlan    // wanted, by id
	keys  map[string]LocalCustomer // wanted, by id
}

type localPlan struct {
	LocalPlan
	members map[string]bool // key ids
}

func (a *applier) apply(ctx context.Context, want Local) error {
	// Removals that could conflict with additions are first: otherwise a customer that changes plans
	// would have two on a stage.
	steps := []func(context.Context, Local) error{a.ensureAPIs, a.plan, a.removeMembers, a.removePlans, a.removeKeys, a.ensureKeys, a.ensurePlans, a.ensureMembers, a.removeAPIs}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.s.shared.Refresh(ctx); err != nil {
			return err
		}
		if err := step(ctx, want); err != nil {
			return err
		}
	}
	return nil
}

// locked runs fn with the Service's lock, unless ctx has ended. It is called once per resource, so that applying ten
// thousand customers does not block other callers, and can be interrupted.
func (a *applier) locked(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return fn()
}

// plan determines the ids of the wanted resources, and fails if they contradict each other.
func (a *applier) plan(ctx context.Context, want Local) error {
	return a.locked(ctx, func() error {
		values := map[valueHash]string{} // key ids of the wanted values
		for _, p := range want.Plans {
			id := cmp.Or(p.ID, derivedID("plan", p.Name))
			switch {
			case !validID(id):
				return fmt.Errorf("usage plan %q: invalid id %q", p.Name, id)
			case a.plans[id] != nil:
				return fmt.Errorf("two usage plans have the id %q, which is derived from the name by default; set a different id", id)
			case a.s.plans[id] != nil && !isLocal(a.s.plans[id].Tags):
				return fmt.Errorf("usage plan %q: plan %s already exists and is not from stagelog.yaml", p.Name, id)
			}
			lp := &localPlan{p, map[string]bool{}}
			for _, c := range p.Customers {
				keyID, err := a.keyID(c, values)
				if err != nil {
					return fmt.Errorf("usage plan %q: %w", p.Name, err)
				}
				lp.members[keyID] = true
				a.keys[keyID] = c
			}
			a.plans[id] = lp
		}
		return nil
	})
}

// keyID returns the id of a customer's key: the customer's own, that of the key with this value, or one
// derived from the name.
func (a *applier) keyID(c LocalCustomer, values map[valueHash]string) (string, error) {
	id := c.ID
	if c.Value != "" {
		have, taken := a.s.keyByHash[hashValue(c.Value)]
		switch {
		case taken && !isLocal(a.s.keys[have].Tags):
			return "", fmt.Errorf("%s: API key %s, which is not from stagelog.yaml, has the same value", c, have)
		case taken && id == "":
			id = have
		}
	}
	id = cmp.Or(id, derivedID("customer", c.Name))
	if !validID(id) {
		return "", fmt.Errorf("%s: invalid id %q", c, id)
	}
	if k := a.s.keys[id]; k != nil && !isLocal(k.Tags) {
		return "", fmt.Errorf("%s: API key %s already exists and is not from stagelog.yaml", c, id)
	}
	if other, ok := a.keys[id]; ok && (other.Name != c.Name || other.Value != c.Value) {
		return "", fmt.Errorf("%s: a different customer has the same id %q; set a different id", c, id)
	}
	if c.Value != "" {
		if other, ok := values[hashValue(c.Value)]; ok && other != id {
			return "", fmt.Errorf("%s: another customer has the same key", c)
		}
		values[hashValue(c.Value)] = id
	}
	return id, nil
}

func (a *applier) removeMembers(ctx context.Context, _ Local) error {
	return a.locked(ctx, func() error {
		for planID, members := range a.s.members {
			for keyID, m := range members {
				lp := a.plans[planID]
				if !m.Local || lp != nil && lp.members[keyID] {
					continue
				}
				if err := a.s.dropMember(ctx, planID, keyID); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// removePlans removes unwanted plans, and unwanted stages from the other plans.
func (a *applier) removePlans(ctx context.Context, _ Local) error {
	return a.locked(ctx, func() error {
		for id, p := range maps.Clone(a.s.plans) {
			lp := a.plans[id]
			switch {
			case !isLocal(p.Tags):
			case lp == nil:
				if err := a.s.dropPlan(ctx, p); err != nil {
					return err
				}
				a.done.Removed = append(a.done.Removed, "usage plan "+p.Name)
			default:
				c := clonePlan(p)
				c.Stages = slices.DeleteFunc(c.Stages, func(st planStage) bool {
					return !slices.Contains(lp.Stages, record.StageRef{API: st.API, Stage: st.Stage})
				})
				if len(c.Stages) == len(p.Stages) {
					continue
				}
				if err := a.s.putPlan(ctx, c); err != nil {
					return err
				}
				a.done.Changed = append(a.done.Changed, "usage plan "+p.Name)
			}
		}
		return nil
	})
}

func (a *applier) removeKeys(ctx context.Context, _ Local) error {
	return a.locked(ctx, func() error {
		for id, k := range maps.Clone(a.s.keys) {
			want, ok := a.keys[id]
			if !isLocal(k.Tags) || ok && (want.Value == "" || want.Value == k.Value) {
				continue
			}
			if err := a.s.dropKey(ctx, k); err != nil {
				return err
			}
			if !ok {
				a.done.Removed = append(a.done.Removed, "customer "+k.Name)
			}
		}
		return nil
	})
}

func (a *applier) ensureKeys(ctx context.Context, _ Local) error {
	for _, id := range slices.Sorted(maps.Keys(a.keys)) {
		c := a.keys[id]
		if err := a.locked(ctx, func() error { return a.ensureKey(ctx, id, c) }); err != nil {
			return fmt.Errorf("%s: %w", c, localError(err))
		}
	}
	return nil
}

func (a *applier) ensureKey(ctx context.Context, id string, c LocalCustomer) error {
	old := a.s.keys[id]
	if old == nil {
		k, err := a.s.newAPIKey(apiKeyInput{Name: c.Name, Value: c.Value, Enabled: true, Tags: localTags()}, id)
		if err != nil {
			return err
		}
		a.done.Created = append(a.done.Created, "customer "+c.Name)
		return a.s.putKey(ctx, k)
	}
	if old.Name == c.Name && old.Enabled {
		return nil
	}
	k := clone(old)
	k.Name, k.Enabled, k.Updated = c.Name, true, a.s.now()
	if err := k.check(); err != nil {
		return err
	}
	a.done.Changed = append(a.done.Changed, "customer "+c.Name)
	return a.s.putKey(ctx, k)
}

func (a *applier) ensurePlans(ctx context.Context, _ Local) error {
	for _, id := range slices.Sorted(maps.Keys(a.plans)) {
		if err := a.locked(ctx, func() error { return a.ensurePlan(ctx, id, a.plans[id]) }); err != nil {
			return fmt.Errorf("usage plan %q: %w", a.plans[id].Name, localError(err))
		}
	}
	return nil
}

func (a *applier) ensurePlan(ctx context.Context, id string, want *localPlan) error {
	in := planInput{Name: want.Name, Throttle: clone(want.Throttle), Quota: clone(want.Quota), Tags: localTags()}
	for _, st := range want.Stages {
		in.APIStages = append(in.APIStages, planStage{API: st.API, Stage: st.Stage})
	}
	old := a.s.plans[id]
	if old == nil {
		p, err := a.s.newPlan(in, id)
		if err != nil {
			return err
		}
		a.done.Created = append(a.done.Created, "usage plan "+p.Name)
		return a.s.putPlan(ctx, p)
	}
	p := clonePlan(old)
	p.Name, p.Throttle, p.Quota = in.Name, in.Throttle, in.Quota
	for _, st := range in.APIStages {
		if p.stageIndex(st.API, st.Stage) >= 0 {
			continue
		}
		if err := a.s.addPlanStage(p, st); err != nil {
			return err
		}
	}
	if sameJSON(old, p) {
		return nil
	}
	if err := a.s.checkPlan(old, p); err != nil {
		return err
	}
	a.done.Changed = append(a.done.Changed, "usage plan "+p.Name)
	return a.s.putPlan(ctx, p)
}

func (a *applier) ensureMembers(ctx context.Context, _ Local) error {
	for _, id := range slices.Sorted(maps.Keys(a.plans)) {
		for _, keyID := range slices.Sorted(maps.Keys(a.plans[id].members)) {
			err := a.locked(ctx, func() error {
				if a.s.members[id][keyID] != nil {
					return nil
				}
				return a.s.addMember(ctx, a.s.plans[id], a.s.keys[keyID], &member{Since: a.s.now(), Local: true})
			})
			if err != nil {
				return fmt.Errorf("usage plan %q: %s: %w", a.plans[id].Name, a.keys[keyID], localError(err))
			}
		}
	}
	return nil
}

// localError removes AWS's code from an error: the user of stagelog.yaml made no API call.
func localError(err error) error {
	var refused *wire.Error
	if errors.As(err, &refused) {
		return errors.New(refused.Message)
	}
	return err
}
