package apigateway_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// other opens another process on the same store.
func (w *world) other() *world {
	o := newWorld(w.t)
	o.store = w.store
	o.open(apigateway.Faults{})
	return o
}

// refresh applies the changes of other processes, as every change of its own does first.
func (w *world) refresh() {
	w.t.Helper()
	if _, err := w.c.DeleteApiKey(w.t.Context(), &sdk.DeleteApiKeyInput{ApiKey: aws.String("missing")}); err == nil {
		w.t.Fatal("a missing key was deleted")
	}
}

func TestDefinitionsReachOtherProcesses(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	o := w.other()
	api := w.deployed("shop", "prod")
	plan := w.plan("Gold", api, "prod")
	key := w.key("acme", strings.Repeat("k", 30))
	if err := w.join(plan, *key.Id); err != nil {
		t.Fatal(err)
	}
	before := o.changed()
	o.refresh()
	if o.changed() == before {
		t.Error("OnChange was not called")
	}
	if v, ok := o.svc.Route(api, "prod"); !ok || len(v.Routes) != 1 || v.APIName != "shop" {
		t.Fatalf("the other process's route: %+v, %v", v, ok)
	}
	if k, ok := o.svc.Key(*key.Value); !ok || k.ID != *key.Id {
		t.Errorf("the other process's key: %+v, %v", k, ok)
	}
	if p, ok := o.svc.PlanFor(*key.Id, api, "prod"); !ok || p.Name != "Gold" {
		t.Errorf("the other process's plan: %+v, %v", p, ok)
	}
	must[*sdk.UpdateRestApiOutput](t)(o.c.UpdateRestApi(ctx, &sdk.UpdateRestApiInput{RestApiId: &api, PatchOperations: patchOps("replace", "/name", "store")}))
	must[*sdk.DeleteApiKeyOutput](t)(o.c.DeleteApiKey(ctx, &sdk.DeleteApiKeyInput{ApiKey: key.Id}))
	w.refresh()
	if v, _ := w.svc.Route(api, "prod"); v.APIName != "store" {
		t.Errorf("the API's name after a change by the other process: %q", v.APIName)
	}
	if _, ok := w.svc.Key(*key.Value); ok {
		t.Error("a key that the other process has deleted is still valid")
	}
	if infos := w.svc.Plans(); len(infos) != 1 || len(infos[0].Keys) != 0 {
		t.Errorf("plans after the deletion of a key: %+v", infos)
	}
	must[*sdk.DeleteRestApiOutput](t)(w.c.DeleteRestApi(ctx, &sdk.DeleteRestApiInput{RestApiId: &api}))
	o.refresh()
	if _, ok := o.svc.Route(api, "prod"); ok {
		t.Error("a stage that the other process has deleted is still served")
	}
	must[*sdk.DeleteUsagePlanOutput](t)(o.c.DeleteUsagePlan(ctx, &sdk.DeleteUsagePlanInput{UsagePlanId: &plan}))
	w.refresh()
	if infos := w.svc.Plans(); len(infos) != 0 {
		t.Errorf("plans after the deletion by the other process: %+v", infos)
	}
}

// Two processes add resources to one API and keys to one plan at once; none is lost.
func TestConcurrentProcessesKeepAllChanges(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	api := must[*sdk.CreateRestApiOutput](t)(w.c.CreateRestApi(ctx, &sdk.CreateRestApiInput{Name: aws.String("shop")}))
	worlds := []*world{w, w.other()}
	const n = 20
	var wg sync.WaitGroup
	for i, p := range worlds {
		wg.Go(func() {
			for j := range n {
				_, err := p.c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: api.Id, ParentId: api.RootResourceId, PathPart: aws.String(fmt.Sprintf("p%d-%d", i, j))})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range append(worlds, w.other()) {
		p.refresh()
		got := must[*sdk.GetResourcesOutput](t)(p.c.GetResources(ctx, &sdk.GetResourcesInput{RestApiId: api.Id, Limit: aws.Int32(500)}))
		if len(got.Items) != 2*n+1 {
			t.Errorf("%d resources, want %d", len(got.Items), 2*n+1)
		}
	}
}

// A document without an owner, which another process left behind, is not shown, and does not stop the others.
func TestOrphanOfOtherProcessIsHidden(t *testing.T) {
	w := newWorld(t)
	api := w.deployed("shop", "prod")
	if _, err := w.store.Set(t.Context(), "stage/"+api+"/ghost", []byte(`{"api":"`+api+`","name":"ghost","deploymentId":"none"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Set(t.Context(), "member/none/none", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	key := w.key("acme", "")
	if _, ok := w.svc.Route(api, "ghost"); ok {
		t.Error("a stage without a deployment is served")
	}
	if _, ok := w.svc.Route(api, "prod"); !ok {
		t.Error("the other stage is not served")
	}
	if _, ok := w.svc.KeyByID(*key.Id); !ok {
		t.Error("a new key is unknown")
	}
	w.open(apigateway.Faults{})
	for key := range w.store.Docs() {
		if strings.Contains(key, "ghost") || strings.Contains(key, "none") {
			t.Errorf("%s is kept by a start", key)
		}
	}
}

func TestProcessesAddUpUsage(t *testing.T) {
	w := newWorld(t)
	plan := w.plan("Gold")
	must[*sdk.UpdateUsagePlanOutput](t)(w.patchPlan(plan, "replace", "/quota/limit", "10", "replace", "/quota/period", "MONTH"))
	key := *w.key("acme", "").Id
	if err := w.join(plan, key); err != nil {
		t.Fatal(err)
	}
	o := w.other()
	at := date("2026-11-23 12:00:00")
	take := func(p *world, n int) {
		t.Helper()
		for range n {
			if !p.svc.Take(plan, key, at) {
				t.Fatal("a request within the quota was refused")
			}
		}
	}
	take(w, 3)
	take(o, 2)
	for _, p := range []*world{w, o, w} {
		if err := p.svc.Close(t.Context()); err != nil { // writes the usage
			t.Fatal(err)
		}
	}
	take(o, 3)
	w.refresh()
	if got := w.svc.Used(plan, key, at, at); got != 5 {
		t.Errorf("Used = %d, want 5", got)
	}
	take(w, 2)
	for _, p := range []*world{o, w} {
		if err := p.svc.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o.refresh()
	for _, p := range []*world{w, o, w.other()} {
		if got := p.svc.Used(plan, key, at, at); got != 10 {
			t.Errorf("Used = %d, want 10", got)
		}
		if p.svc.Take(plan, key, at) {
			t.Error("a request beyond the quota of both processes was accepted")
		}
	}
}
