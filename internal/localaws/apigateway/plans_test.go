package apigateway_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

func (w *world) plan(name string, stages ...string) string {
	w.t.Helper()
	in := &sdk.CreateUsagePlanInput{Name: &name}
	for i := 0; i+1 < len(stages); i += 2 {
		in.ApiStages = append(in.ApiStages, types.ApiStage{ApiId: &stages[i], Stage: &stages[i+1]})
	}
	return *must[*sdk.CreateUsagePlanOutput](w.t)(w.c.CreateUsagePlan(w.t.Context(), in)).Id
}

func (w *world) join(planID, keyID string) error {
	_, err := w.c.CreateUsagePlanKey(w.t.Context(), &sdk.CreateUsagePlanKeyInput{UsagePlanId: &planID, KeyId: &keyID, KeyType: aws.String("API_KEY")})
	return err
}

func (w *world) patchPlan(id string, ops ...string) (*sdk.UpdateUsagePlanOutput, error) {
	return w.c.UpdateUsagePlan(w.t.Context(), &sdk.UpdateUsagePlanInput{UsagePlanId: &id, PatchOperations: patchOps(ops...)})
}

func TestUsagePlanLifecycle(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	api := w.deployed("shop", "prod")
	id := w.plan("Gold", api, "prod")
	got := must[*sdk.GetUsagePlanOutput](t)(w.c.GetUsagePlan(ctx, &sdk.GetUsagePlanInput{UsagePlanId: &id}))
	if got.Tags == nil || len(got.ApiStages) != 1 || got.Throttle != nil || got.Quota != nil {
		t.Errorf("GetUsagePlan = %+v", got)
	}
	up := must[*sdk.UpdateUsagePlanOutput](t)(w.patchPlan(id,
		"replace", "/throttle/burstLimit", "100", "replace", "/throttle/rateLimit", "200",
		"replace", "/quota/limit", "5000", "replace", "/quota/period", "MONTH", "replace", "/name", "Platinum", "replace", "/description", "d", "add", "/productCode", "pc",
		"replace", "/apiStages/"+api+":prod/throttle/~1orders~1{id}/GET/rateLimit", "1.5", "replace", "/apiStages/"+api+":prod/throttle//orders/{id}/GET/burstLimit", "3"))
	if up.Throttle.BurstLimit != 100 || up.Throttle.RateLimit != 200 || up.Quota.Limit != 5000 || up.Quota.Period != "MONTH" || *up.Name != "Platinum" || *up.ProductCode != "pc" {
		t.Errorf("UpdateUsagePlan = %+v", up)
	}
	key := w.key("Acme", "")
	if err := w.join(id, *key.Id); err != nil {
		t.Fatal(err)
	}
	view, ok := w.svc.PlanFor(*key.Id, api, "prod")
	want := apigateway.PlanView{ID: id, Name: "Platinum", Throttle: &apigateway.Throttle{Rate: 200, Burst: 100},
		Quota: &apigateway.Quota{Limit: 5000, Period: "MONTH"}, Methods: map[string]apigateway.Throttle{"/orders/{id}/GET": {Rate: 1.5, Burst: 3}}}
	if diff := cmp.Diff(want, view); !ok || diff != "" {
		t.Errorf("PlanFor (-want +got):\n%s", diff)
	}
	if name, th := view.ThrottleFor("/orders/{id}", "GET"); name != "/orders/{id}/GET" || th.Burst != 3 {
		t.Errorf("ThrottleFor the method = %q %+v", name, th)
	}
	if name, th := view.ThrottleFor("/orders", "GET"); name != "" || th.Burst != 100 {
		t.Errorf("ThrottleFor another method = %q %+v", name, th)
	}
	if _, ok := w.svc.PlanFor(*key.Id, api, "dev"); ok {
		t.Error("the key has a plan on a stage that the plan does not have")
	}
	up = must[*sdk.UpdateUsagePlanOutput](t)(w.patchPlan(id, "remove", "/apiStages/"+api+":prod/throttle/~1orders~1{id}/GET", "", "remove", "/throttle", "", "remove", "/quota", "", "remove", "/productCode", ""))
	if up.Throttle != nil || up.Quota != nil || up.ProductCode != nil || len(up.ApiStages[0].Throttle) != 0 {
		t.Errorf("after the removals: %+v", up)
	}

	_, err := w.c.DeleteUsagePlan(ctx, &sdk.DeleteUsagePlanInput{UsagePlanId: &id})
	wantError(t, err, "BadRequestException", fmt.Sprintf("Cannot delete Usage Plan %s because there are API Stages associated with it, including %s:prod", id, api))
	must[*sdk.UpdateUsagePlanOutput](t)(w.patchPlan(id, "remove", "/apiStages", api+":prod"))
	must[*sdk.DeleteUsagePlanOutput](t)(w.c.DeleteUsagePlan(ctx, &sdk.DeleteUsagePlanInput{UsagePlanId: &id}))
	if _, ok := w.svc.PlanFor(*key.Id, api, "prod"); ok {
		t.Error("a deleted plan is found")
	}
	_, err = w.c.GetUsagePlan(ctx, &sdk.GetUsagePlanInput{UsagePlanId: &id})
	wantError(t, err, "NotFoundException", "Invalid Usage Plan ID specified")
}

func TestUsagePlanErrors(t *testing.T) {
	w := newWorld(t)
	api := w.deployed("shop", "prod")
	id := w.plan("Gold", api, "prod")
	for _, c := range []struct {
		name          string
		ops           []string
		code, message string
	}{
		{"no stage", []string{"add", "/apiStages", ""}, "BadRequestException", "Invalid API Stage specified"},
		{"no colon", []string{"add", "/apiStages", "value"}, "BadRequestException", "Invalid API Stage specified"},
		{"wrong api", []string{"add", "/apiStages", api + "b:prod"}, "NotFoundException", fmt.Sprintf("Invalid API Stage {api: %sb, stage: prod} specified for usageplan %s", api, id)},
		{"wrong stage", []string{"add", "/apiStages", api + ":nope"}, "NotFoundException", fmt.Sprintf("Invalid API Stage {api: %s, stage: nope} specified for usageplan %s", api, id)},
		{"remove by path", []string{"remove", "/apiStages/" + api + ":prod", ""}, "BadRequestException", fmt.Sprintf(
			"Invalid patch path  '/apiStages/%s:prod' specified for op 'remove'. Must be one of: [/apiStages, /quota, /throttle, /productCode, /apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>, /apiStages/<apidId:stageName>/throttle]", api)},
		{"remove all", []string{"remove", "/apiStages", ""}, "BadRequestException", "Invalid API Stage specified"},
		{"rate", []string{"replace", "/throttle/rateLimit", "NaN"}, "BadRequestException", "Invalid throttle rate limit specified"},
		{"period", []string{"replace", "/quota/period", "YEAR"}, "ValidationException", "1 validation error detected: Value 'YEAR' at 'quota.period' failed to satisfy constraint: Member must satisfy enum value set: [DAY, WEEK, MONTH]"},
		{"offset", []string{"replace", "/quota/period", "DAY", "replace", "/quota/offset", "1"}, "BadRequestException", "Usage Plan quota offset must be between 0 and 0 inclusive in the DAY period"},
		{"name", []string{"replace", "/name", ""}, "BadRequestException", "Usage Plan name cannot be empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.patchPlan(id, c.ops...)
			wantError(t, err, c.code, c.message)
		})
	}
	_, err := w.patchPlan("nope", "replace", "/name", "x")
	wantError(t, err, "NotFoundException", "Invalid Usage Plan ID specified")
	got := must[*sdk.GetUsagePlanOutput](t)(w.c.GetUsagePlan(t.Context(), &sdk.GetUsagePlanInput{UsagePlanId: &id}))
	if *got.Name != "Gold" || got.Quota != nil || got.Throttle != nil || len(got.ApiStages) != 1 {
		t.Errorf("a refused patch has left %+v", got)
	}
}

// A key may be in many plans, but on each stage it has one.
func TestOnePlanPerKeyAndStage(t *testing.T) {
	w := newWorld(t)
	api, other := w.deployed("shop", "prod"), w.deployed("bank", "prod")
	gold, silver, bank := w.plan("Gold", api, "prod"), w.plan("Silver", api, "prod"), w.plan("Bank", other, "prod")
	key := *w.key("Acme", "").Id
	if err := w.join(gold, key); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.join(silver, key), "ConflictException", fmt.Sprintf(
		"Usage Plan %s cannot be added because API Key %s cannot reference multiple Usage Plans with the same API stage: %s:prod", silver, key, api))
	if err := w.join(bank, key); err != nil {
		t.Fatal(err)
	}
	_, err := w.patchPlan(bank, "add", "/apiStages", api+":prod")
	wantError(t, err, "ConflictException", fmt.Sprintf(
		"Usage Plan %s cannot be added because API Key %s cannot reference multiple Usage Plans with the same API stage: %s:prod", bank, key, api))
	for stage, want := range map[string]string{api: gold, other: bank} {
		if p, _ := w.svc.PlanFor(key, stage, "prod"); p.ID != want {
			t.Errorf("the plan on %s = %s, want %s", stage, p.ID, want)
		}
	}
	got := must[*sdk.GetUsagePlansOutput](t)(w.c.GetUsagePlans(t.Context(), &sdk.GetUsagePlansInput{KeyId: &key}))
	if len(got.Items) != 2 || *got.Items[0].Id != gold || *got.Items[1].Id != bank {
		t.Errorf("GetUsagePlans of the key = %+v", got.Items)
	}
	if err := w.join(gold, key); err == nil {
		t.Error("a key joined a plan twice")
	}
	wantError(t, w.join("nope", key), "NotFoundException", "Invalid Usage Plan ID specified")
	wantError(t, w.join(gold, "nope"), "NotFoundException", "Invalid API Key identifier specified")

	want := []apigateway.PlanInfo{
		{ID: bank, Name: "Bank", Stages: []record.StageRef{{API: other, Stage: "prod"}}, Keys: []apigateway.KeyInfo{{ID: key, Name: "Acme", Enabled: true}}},
		{ID: gold, Name: "Gold", Stages: []record.StageRef{{API: api, Stage: "prod"}}, Keys: []apigateway.KeyInfo{{ID: key, Name: "Acme", Enabled: true}}},
		{ID: silver, Name: "Silver", Stages: []record.StageRef{{API: api, Stage: "prod"}}, Keys: []apigateway.KeyInfo{}},
	}
	if diff := cmp.Diff(want, w.svc.Plans()); diff != "" {
		t.Errorf("Plans (-want +got):\n%s", diff)
	}
	// A stage that goes away leaves its plans.
	must[*sdk.DeleteStageOutput](t)(w.c.DeleteStage(t.Context(), &sdk.DeleteStageInput{RestApiId: &api, StageName: aws.String("prod")}))
	if p := must[*sdk.GetUsagePlanOutput](t)(w.c.GetUsagePlan(t.Context(), &sdk.GetUsagePlanInput{UsagePlanId: &gold})); len(p.ApiStages) != 0 {
		t.Errorf("the plan of a deleted stage has %+v", p.ApiStages)
	}
}

func TestUsagePlanKeys(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.plan("Gold")
	a, b := w.key("TestKey-1", ""), w.key("TestKey-2", "")
	for _, k := range []*sdk.CreateApiKeyOutput{a, b} {
		if err := w.join(id, *k.Id); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{"": 2, "TestKey": 2, "testkey": 0, "TestKey-1": 1, "nope": 0} {
		got := must[*sdk.GetUsagePlanKeysOutput](t)(w.c.GetUsagePlanKeys(ctx, &sdk.GetUsagePlanKeysInput{UsagePlanId: &id, NameQuery: &query}))
		if len(got.Items) != want {
			t.Errorf("name %q gives %d keys, want %d", query, len(got.Items), want)
		}
	}
	one := must[*sdk.GetUsagePlanKeyOutput](t)(w.c.GetUsagePlanKey(ctx, &sdk.GetUsagePlanKeyInput{UsagePlanId: &id, KeyId: a.Id}))
	if *one.Type != "API_KEY" || *one.Value != *a.Value || *one.Name != "TestKey-1" {
		t.Error("GetUsagePlanKey is not the key")
	}
	must[*sdk.DeleteUsagePlanKeyOutput](t)(w.c.DeleteUsagePlanKey(ctx, &sdk.DeleteUsagePlanKeyInput{UsagePlanId: &id, KeyId: a.Id}))
	must[*sdk.DeleteApiKeyOutput](t)(w.c.DeleteApiKey(ctx, &sdk.DeleteApiKeyInput{ApiKey: b.Id}))
	for _, plan := range []string{id, "no-such-plan"} {
		got := must[*sdk.GetUsagePlanKeysOutput](t)(w.c.GetUsagePlanKeys(ctx, &sdk.GetUsagePlanKeysInput{UsagePlanId: &plan}))
		if len(got.Items) != 0 {
			t.Errorf("plan %s has %d keys, want none", plan, len(got.Items))
		}
	}
	_, err := w.c.GetUsagePlanKey(ctx, &sdk.GetUsagePlanKeyInput{UsagePlanId: &id, KeyId: b.Id})
	wantError(t, err, "NotFoundException", "Invalid Usage Plan Key identifier specified")
}

// Sixty plans: a client that does not page sees 25, one that does sees all.
func TestSixtyPlansInPages(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.plan(fmt.Sprintf("plan-%02d", i))
	}
	for _, c := range []struct {
		limit *int32
		pages []int
	}{
		{nil, []int{25, 25, 10}}, {aws.Int32(25), []int{25, 25, 10}}, {aws.Int32(500), []int{60}}, {aws.Int32(9999), []int{60}}, {aws.Int32(30), []int{30, 30}}, {aws.Int32(59), []int{59, 1}},
	} {
		var pages []int
		seen := map[string]bool{}
		p := sdk.NewGetUsagePlansPaginator(w.c, &sdk.GetUsagePlansInput{Limit: c.limit})
		for p.HasMorePages() {
			out := must[*sdk.GetUsagePlansOutput](t)(p.NextPage(t.Context()))
			pages = append(pages, len(out.Items))
			for _, it := range out.Items {
				seen[*it.Name] = true
			}
		}
		if diff := cmp.Diff(c.pages, pages); diff != "" || len(seen) != 60 {
			t.Errorf("limit %v: %d plans; pages (-want +got):\n%s", aws.ToInt32(c.limit), len(seen), diff)
		}
	}
}

func TestFaults(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.plan(fmt.Sprintf("plan-%d", i))
	}
	w.open(apigateway.Faults{PageSize: 3, ThrottleEvery: 2})
	first := must[*sdk.GetUsagePlansOutput](t)(w.c.GetUsagePlans(t.Context(), &sdk.GetUsagePlansInput{Limit: aws.Int32(500)}))
	if len(first.Items) != 3 || first.Position == nil {
		t.Errorf("a page of %d, want 3 and a position", len(first.Items))
	}
	resp := must[*http.Response](t)(http.DefaultTransport.RoundTrip(must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", w.url+"/usageplans", nil))))
	_ = resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("X-Amzn-ErrorType") != "TooManyRequestsException" {
		t.Errorf("the second call = %d, Retry-After %q, %q", resp.StatusCode, resp.Header.Get("Retry-After"), resp.Header.Get("X-Amzn-ErrorType"))
	}
	w.open(apigateway.Faults{Delay: time.Millisecond})
	if got := must[*sdk.GetUsagePlansOutput](t)(w.c.GetUsagePlans(t.Context(), &sdk.GetUsagePlansInput{})); len(got.Items) != 7 {
		t.Errorf("%d plans with a delay, want 7", len(got.Items))
	}
}
