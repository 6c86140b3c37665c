package apigateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stagelog/stagelog/internal/encoding/openapi"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// Local is what API Gateway should hold by the local: section of stagelog.yaml.
type Local struct {
	APIs  []LocalAPI
	Plans []LocalPlan
}

// LocalAPI is an API that passes its requests on to one upstream.
type LocalAPI struct {
	ID             string // as it stands: shop
	Name           string // default: the id
	Upstream       string // http or https, the path before the request's own
	Stages         []string
	APIKeyRequired bool              // of methods for which Document gives no security
	Document       *openapi.Document // its paths and methods are the API's; nil: every path and method is
}

// LocalPlan is a usage plan with its customers.
type LocalPlan struct {
	ID        string // default: made from the name, the same on every machine
	Name      string
	Throttle  *Throttle // nil: none
	Quota     *Quota    // nil: none
	Stages    []record.StageRef
	Customers []LocalCustomer
}

// LocalCustomer is an API key. A customer that is in several plans has one key in all of them.
type LocalCustomer struct {
	ID    string // default: made from the name
	Name  string
	Value string // the secret; "": made up once, and kept
}

// String names the customer without the value.
func (c LocalCustomer) String() string { return fmt.Sprintf("customer %q", c.Name) }

// GoString does as String.
func (c LocalCustomer) GoString() string { return c.String() }

// Applied lists what ApplyLocal did, one entry per thing: "API shop", "usage plan Gold".
type Applied struct {
	Created, Changed, Removed []string
}

// Nothing reports that everything was as it should be.
func (a Applied) Nothing() bool { return len(a.Created)+len(a.Changed)+len(a.Removed) == 0 }

// The tag that marks what ApplyLocal made, and may therefore change and remove.
const (
	sourceTag   = "stagelog:source"
	sourceLocal = "local"
)

func localTags() map[string]string        { return map[string]string{sourceTag: sourceLocal} }
func isLocal(tags map[string]string) bool { return tags[sourceTag] == sourceLocal }

// ApplyLocal brings the state to what want says, through the same code as the wire's
// operations and with their checks. What it made before and want no longer holds is removed;
// what clients made is left alone. Applying the same again does nothing.
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

// applier is one ApplyLocal on its way.
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
	// What is to go goes first, where it could stand in the way of what is to come: a
	// customer that changes plans has two on a stage otherwise.
	steps := []func(context.Context, Local) error{a.ensureAPIs, a.plan, a.removeMembers, a.removePlans, a.removeKeys, a.ensureKeys, a.ensurePlans, a.ensureMembers, a.removeAPIs}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx, want); err != nil {
			return err
		}
	}
	return nil
}

// locked runs fn under the Service's lock: one thing at a time, so that applying ten
// thousand customers does not shut others out.
func (a *applier) locked(fn func() error) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return fn()
}

// plan finds the ids of what is wanted, and what contradicts itself.
func (a *applier) plan(_ context.Context, want Local) error {
	return a.locked(func() error {
		values := map[valueHash]string{} // the key ids of values that are wanted
		for _, p := range want.Plans {
			id := p.ID
			if id == "" {
				id = derivedID("plan", p.Name)
			}
			switch {
			case !validID(id):
				return fmt.Errorf("usage plan %q: invalid id %q", p.Name, id)
			case a.plans[id] != nil:
				return fmt.Errorf("two usage plans have the id %q (it is made from the name unless given)", id)
			case a.s.plans[id] != nil && !isLocal(a.s.plans[id].Tags):
				return fmt.Errorf("usage plan %q: a plan %s exists that was made otherwise", p.Name, id)
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

// keyID finds the id of a customer's key: its own, that of the key with this value, or one
// made from the name.
func (a *applier) keyID(c LocalCustomer, values map[valueHash]string) (string, error) {
	id := c.ID
	if c.Value != "" {
		have, taken := a.s.keyByHash[hashValue(c.Value)]
		switch {
		case taken && !isLocal(a.s.keys[have].Tags):
			return "", fmt.Errorf("%s: API key %s, which was made otherwise, has this value", c, have)
		case taken && id == "":
			id = have
		}
	}
	if id == "" {
		id = derivedID("customer", c.Name)
	}
	if !validID(id) {
		return "", fmt.Errorf("%s: invalid id %q", c, id)
	}
	if k := a.s.keys[id]; k != nil && !isLocal(k.Tags) {
		return "", fmt.Errorf("%s: an API key %s exists that was made otherwise", c, id)
	}
	if other, ok := a.keys[id]; ok && (other.Name != c.Name || other.Value != c.Value) {
		return "", fmt.Errorf("%s: another customer with the id %q differs from it: give each an id of its own", c, id)
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
	return a.locked(func() error {
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

// removePlans removes plans that are not wanted, and stages from plans that are.
func (a *applier) removePlans(ctx context.Context, _ Local) error {
	return a.locked(func() error {
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
	return a.locked(func() error {
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
		if err := a.locked(func() error { return a.ensureKey(ctx, id, c) }); err != nil {
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
		if err := a.locked(func() error { return a.ensurePlan(ctx, id, a.plans[id]) }); err != nil {
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
			err := a.locked(func() error {
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

// localError takes AWS's code off a refusal: the reader of stagelog.yaml made no API call.
func localError(err error) error {
	var refused *wire.Error
	if errors.As(err, &refused) {
		return errors.New(refused.Message)
	}
	return err
}
