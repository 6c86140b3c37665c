package apigateway_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/encoding/openapi"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	acmeValue = "acme-secret-value-000000000001"
	bobsValue = "bobs-secret-value-000000000002"
)

func localShop() apigateway.Local {
	prod := record.StageRef{API: "shop", Stage: "prod"}
	return apigateway.Local{
		APIs: []apigateway.LocalAPI{{ID: "shop", Name: "Shop", Upstream: "http://127.0.0.1:9000/base/", Stages: []string{"prod", "dev"}, APIKeyRequired: true}},
		Plans: []apigateway.LocalPlan{
			{Name: "Gold", Throttle: &apigateway.Throttle{Rate: 100, Burst: 200}, Quota: &apigateway.Quota{Limit: 1000, Period: apigateway.Month},
				Stages: []record.StageRef{prod}, Customers: []apigateway.LocalCustomer{{Name: "Acme", Value: acmeValue}}},
			{Name: "Dev", ID: "devplan", Stages: []record.StageRef{{API: "shop", Stage: "dev"}},
				Customers: []apigateway.LocalCustomer{{Name: "Acme", Value: acmeValue}, {Name: "Bob", ID: "bob", Value: bobsValue}}},
		},
	}
}

func (w *world) apply(l apigateway.Local) apigateway.Applied {
	w.t.Helper()
	return must[apigateway.Applied](w.t)(w.svc.ApplyLocal(w.t.Context(), l))
}

func TestApplyLocal(t *testing.T) {
	w := newWorld(t)
	done := w.apply(localShop())
	if len(done.Created) != 7 || len(done.Changed)+len(done.Removed) != 0 {
		t.Errorf("first: %+v, want an API, two stages, two plans and two customers created", done)
	}
	view, ok := w.svc.Route("shop", "prod")
	if !ok || len(view.Routes) != 2 {
		t.Fatalf("view = %+v", view)
	}
	for i, want := range []struct{ path, uri string }{{"/", "http://127.0.0.1:9000/base/"}, {"/{proxy+}", "http://127.0.0.1:9000/base/{proxy}"}} {
		m := view.Routes[i].Methods["ANY"]
		if view.Routes[i].Path != want.path || m.Integration.URI != want.uri || !m.APIKeyRequired {
			t.Errorf("route %d = %+v, want %+v with a key", i, view.Routes[i], want)
		}
	}
	acme, ok := w.svc.Key(acmeValue)
	if !ok || acme.Name != "Acme" || !acme.Enabled {
		t.Errorf("Acme's key = %+v, %v", acme, ok)
	}
	for stage, want := range map[string]string{"prod": "Gold", "dev": "Dev"} {
		if p, _ := w.svc.PlanFor(acme.ID, "shop", stage); p.Name != want {
			t.Errorf("Acme's plan on %s = %q, want %s", stage, p.Name, want)
		}
	}
	if bob, _ := w.svc.Key(bobsValue); bob.ID != "bob" {
		t.Errorf("Bob's key id = %s", bob.ID)
	}

	writes, changes := w.store.Writes(), w.changed()
	if again := w.apply(localShop()); !again.Nothing() || w.store.Writes() != writes || w.changed() != changes {
		t.Errorf("the same again: %+v, %d writes", again, w.store.Writes()-writes)
	}
	w.open(apigateway.Faults{})
	if again := w.apply(localShop()); !again.Nothing() || w.store.Writes() != writes {
		t.Errorf("the same after a restart: %+v, %d writes", again, w.store.Writes()-writes)
	}
	// The ids are the same on every machine.
	other := newWorld(t)
	other.apply(localShop())
	if diff := cmp.Diff(w.svc.Plans(), other.svc.Plans()); diff != "" {
		t.Errorf("another machine (-this +other):\n%s", diff)
	}
	if strings.Contains(w.log.String(), acmeValue) {
		t.Error("the log holds a key's value")
	}
}

func TestApplyLocalFollowsTheFile(t *testing.T) {
	w := newWorld(t)
	w.apply(localShop())
	byHand := w.deployed("mine", "prod")
	myPlan := w.plan("Mine", byHand, "prod")
	myKey := w.key("me", "")
	if err := w.join(myPlan, *myKey.Id); err != nil {
		t.Fatal(err)
	}
	acme, _ := w.svc.Key(acmeValue)
	gold, _ := w.svc.PlanFor(acme.ID, "shop", "prod")
	for _, plan := range []string{"devplan", gold.ID} {
		if err := w.join(plan, *myKey.Id); err != nil {
			t.Fatal(err)
		}
	}
	must[*sdk.UpdateStageOutput](t)(w.patchStage("shop", "prod", "replace", "/accessLogSettings/destinationArn", streamARN, "replace", "/accessLogSettings/format", "$context.requestId"))

	l := localShop()
	l.APIs[0].Upstream, l.APIs[0].Stages = "http://127.0.0.1:9001", []string{"prod"}
	l.Plans = l.Plans[:1]
	l.Plans[0].Throttle = nil
	l.Plans[0].Customers = []apigateway.LocalCustomer{{Name: "Acme Corp", Value: acmeValue}, {Name: "Carol"}}
	done := w.apply(l)
	want := apigateway.Applied{
		Created: []string{"customer Carol"},
		Changed: []string{"API shop", "stage shop/prod", "customer Acme Corp", "usage plan Gold"},
		Removed: []string{"usage plan Dev", "customer Bob", "stage shop/dev"},
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	view, _ := w.svc.Route("shop", "prod")
	if view.Routes[0].Methods["ANY"].Integration.URI != "http://127.0.0.1:9001/" || !view.AccessLog.Enabled() {
		t.Errorf("the stage has not its new upstream, or has lost its access log: %+v", view)
	}
	if k, _ := w.svc.Key(acmeValue); k.ID != acme.ID || k.Name != "Acme Corp" {
		t.Errorf("a renamed customer = %+v, want the id %s as before", k, acme.ID)
	}
	if p, ok := w.svc.PlanFor(*myKey.Id, byHand, "prod"); !ok || p.ID != myPlan {
		t.Error("what was made by hand is gone")
	}
	if p, ok := w.svc.PlanFor(*myKey.Id, "shop", "prod"); !ok || p.ID != gold.ID {
		t.Error("a key that joined a plan of the file by hand is out of it")
	}
	if _, ok := w.svc.Key(bobsValue); ok {
		t.Error("a removed customer's key works")
	}

	// A customer changes plans, another one changes its key.
	l.Plans = append(l.Plans, apigateway.LocalPlan{Name: "Silver", Stages: l.Plans[0].Stages, Customers: l.Plans[0].Customers[:1:1]})
	l.Plans[0].Customers = []apigateway.LocalCustomer{{Name: "Carol", Value: bobsValue}}
	w.apply(l)
	if p, _ := w.svc.PlanFor(acme.ID, "shop", "prod"); p.Name != "Silver" {
		t.Errorf("the plan of a customer that moved = %q", p.Name)
	}
	if k, ok := w.svc.Key(bobsValue); !ok || k.Name != "Carol" {
		t.Errorf("a new key = %+v", k)
	}
	if done = w.apply(apigateway.Local{}); len(done.Removed) != 5 {
		t.Errorf("nothing wanted: %+v", done)
	}
	if got := w.svc.Plans(); len(got) != 1 || got[0].ID != myPlan || len(got[0].Keys) != 1 {
		t.Errorf("left: %+v, want what was made by hand", got)
	}
}

func TestApplyLocalErrors(t *testing.T) {
	w := newWorld(t)
	w.key("taken", acmeValue)
	for _, c := range []struct {
		name   string
		change func(*apigateway.Local)
		want   string
	}{
		{"value of another key", func(*apigateway.Local) {}, `has the same value`},
		{"short value", func(l *apigateway.Local) {
			l.Plans = l.Plans[1:]
			l.Plans[0].Customers = []apigateway.LocalCustomer{{Name: "x", Value: "too-short-a-secret"}}
		}, "at least 20 characters"},
		{"unknown stage", func(l *apigateway.Local) {
			l.Plans = []apigateway.LocalPlan{{Name: "x", Stages: []record.StageRef{{API: "shop", Stage: "nope"}}}}
		}, "Invalid API Stage {api: shop, stage: nope}"},
		{"upstream", func(l *apigateway.Local) { l.APIs[0].Upstream = "not an address" }, `API "shop": Invalid HTTP endpoint`},
		{"id", func(l *apigateway.Local) { l.APIs[0].ID = "Not/An/Id" }, "invalid id"},
		{"same plan twice", func(l *apigateway.Local) { l.Plans = []apigateway.LocalPlan{{Name: "x"}, {Name: "x"}} }, "two usage plans have the id"},
		{"same name, two keys", func(l *apigateway.Local) {
			l.Plans = []apigateway.LocalPlan{{Name: "x", Customers: []apigateway.LocalCustomer{{Name: "a", Value: bobsValue}, {Name: "a", Value: bobsValue + "x"}}}}
		}, "set a different id"},
		{"same key, two names", func(l *apigateway.Local) {
			l.Plans = []apigateway.LocalPlan{{Name: "x", Customers: []apigateway.LocalCustomer{{Name: "a", Value: bobsValue}, {Name: "b", Value: bobsValue}}}}
		}, "another customer has the same key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := localShop()
			c.change(&l)
			_, err := w.svc.ApplyLocal(t.Context(), l)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
			for _, secret := range []string{acmeValue, bobsValue, "too-short-a-secret"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds a key's value: %v", err)
				}
			}
		})
	}
	if s := fmt.Sprintf("%v %+v %#v", localShop().Plans, localShop(), localShop()); strings.Contains(s, acmeValue) {
		t.Error("printing the configuration shows a key's value")
	}
}

const shopDocument = `
openapi: 3.0.3
info: {title: Shop}
components: {securitySchemes: {key: {type: apiKey, name: x-api-key, in: header}}}
SECURITY
paths:
  /orders: {get: {}, post: {security: [{key: []}]}}
  /orders/{id}: {get: {}}
  /files/{path+}: {x-amazon-apigateway-any-method: {security: []}}
`

func TestApplyLocalDocument(t *testing.T) {
	w := newWorld(t)
	with := func(security string, keyRequired bool) apigateway.Local {
		doc := must[*openapi.Document](t)(openapi.ParseRoutes([]byte(strings.Replace(shopDocument, "SECURITY", security, 1))))
		return apigateway.Local{APIs: []apigateway.LocalAPI{{ID: "shop", Upstream: "http://127.0.0.1:9000/v1", Stages: []string{"prod"}, APIKeyRequired: keyRequired, Document: doc}}}
	}
	routes := func() (out []string) {
		view, _ := w.svc.Route("shop", "prod")
		for _, r := range view.Routes {
			for _, name := range slices.Sorted(maps.Keys(r.Methods)) {
				m := r.Methods[name]
				out = append(out, fmt.Sprintf("%s %s %s %v %v", name, r.Path, m.Integration.URI, m.Integration.Params, m.APIKeyRequired))
			}
		}
		return out
	}
	want := func(rest bool) []string {
		return []string{
			"GET /orders/{id} http://127.0.0.1:9000/v1/orders/{id} map[id:id] " + fmt.Sprint(rest),
			"GET /orders http://127.0.0.1:9000/v1/orders map[] " + fmt.Sprint(rest),
			"POST /orders http://127.0.0.1:9000/v1/orders map[] true",
			"ANY /files/{path+} http://127.0.0.1:9000/v1/files/{path} map[path:path] false",
		}
	}
	for _, tt := range []struct {
		security            string
		keyRequired, wanted bool
	}{
		{"x-none: 1", true, true}, // as an API without a document
		{"x-none: 1", false, false},
		{"security: [{key: []}]", false, true}, // the document's security counts for every method without its own
		{"security: []", true, false},
	} {
		done := w.apply(with(tt.security, tt.keyRequired))
		got, want := routes(), want(tt.wanted)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, api_key_required %v (-want +got):\n%s", tt.security, tt.keyRequired, diff)
		}
		if again := w.apply(with(tt.security, tt.keyRequired)); done.Nothing() || !again.Nothing() {
			t.Errorf("applied %+v, the same again %+v", done, again)
		}
	}
	l := with("x-none: 1", true)
	l.APIs[0].Document = nil
	w.apply(l)
	if got := routes(); len(got) != 2 || !strings.HasPrefix(got[1], "ANY /{proxy+} ") {
		t.Errorf("without the document: %q", got)
	}
	l.APIs[0].Document = must[*openapi.Document](t)(openapi.ParseRoutes([]byte(`{"openapi":"3.0.1","paths":{"/a b":{"get":{}}}}`)))
	if _, err := w.svc.ApplyLocal(t.Context(), l); err == nil || !strings.Contains(err.Error(), `API "shop": Unable to create resource at path '/a b': Resource's path part only`) {
		t.Errorf("a path that API Gateway refuses: %v", err)
	}
}

// The wire and the file work on the same things: an API of the file can be changed by hand.
func TestLocalAPIOnTheWire(t *testing.T) {
	w := newWorld(t)
	w.apply(localShop())
	api := must[*sdk.GetRestApiOutput](t)(w.c.GetRestApi(t.Context(), &sdk.GetRestApiInput{RestApiId: aws.String("shop")}))
	if api.Tags["stagelog:source"] != "local" || *api.Name != "Shop" {
		t.Errorf("GetRestApi = %+v", api)
	}
	if _, err := w.c.DeleteUsagePlan(t.Context(), &sdk.DeleteUsagePlanInput{UsagePlanId: aws.String("devplan")}); err == nil {
		t.Error("a plan with stages was deleted")
	}
}
