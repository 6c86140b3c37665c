package apigateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func date(s string) time.Time {
	t, err := time.Parse(time.DateTime, s)
	if err != nil {
		panic(err)
	}
	return t
}

func (w *world) usage(plan, start, end string) map[string][][]int64 {
	w.t.Helper()
	return must[*sdk.GetUsageOutput](w.t)(w.c.GetUsage(w.t.Context(), &sdk.GetUsageInput{UsagePlanId: &plan, StartDate: &start, EndDate: &end})).Items
}

func TestGetUsage(t *testing.T) {
	w := newWorld(t)
	w.at(date("2026-10-20 00:00:00"))
	plan := w.plan("Gold")
	must[*sdk.UpdateUsagePlanOutput](t)(w.patchPlan(plan, "replace", "/quota/limit", "5", "replace", "/quota/period", "MONTH"))
	a, b := *w.key("a", "").Id, *w.key("b", "").Id
	for _, k := range []string{a, b} {
		if err := w.join(plan, k); err != nil {
			t.Fatal(err)
		}
	}
	take := func(at string, want bool) {
		t.Helper()
		if got := w.svc.Take(plan, a, date(at)); got != want {
			t.Errorf("Take at %s = %v, want %v", at, got, want)
		}
	}
	take("2026-10-31 23:59:59", true)
	take("2026-11-01 00:00:00", true) // the quota starts again
	take("2026-11-01 23:59:59", true)
	for range 3 {
		take("2026-11-30 12:00:00", true)
	}
	take("2026-11-30 12:00:00", false)
	take("2026-11-30 23:59:59", false)
	take("2026-12-01 00:00:00", true)

	want := map[string][][]int64{a: {{1, 4}, {2, 3}, {0, 3}}, b: {{0, 5}, {0, 5}, {0, 5}}}
	if diff := cmp.Diff(want, w.usage(plan, "2026-10-31", "2026-11-02")); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][][]int64{a: {{3, 0}}, b: {{0, 5}}}, w.usage(plan, "2026-11-30", "2026-11-30")); diff != "" {
		t.Errorf("usage of the last day (-want +got):\n%s", diff)
	}
	if got := w.svc.Used(plan, a, date("2026-11-01 00:00:00"), date("2026-11-30 23:00:00")); got != 5 {
		t.Errorf("Used in November = %d, want 5", got)
	}
	one := must[*sdk.GetUsageOutput](t)(w.c.GetUsage(t.Context(), &sdk.GetUsageInput{UsagePlanId: &plan, StartDate: aws.String("2026-11-01"), EndDate: aws.String("2026-11-01"), KeyId: &b}))
	if len(one.Items) != 1 || one.Items[b] == nil {
		t.Errorf("usage of one key = %v", one.Items)
	}
	page := must[*sdk.GetUsageOutput](t)(w.c.GetUsage(t.Context(), &sdk.GetUsageInput{UsagePlanId: &plan, StartDate: aws.String("2026-11-01"), EndDate: aws.String("2026-11-01"), Limit: aws.Int32(1)}))
	if len(page.Items) != 1 || page.Position == nil {
		t.Errorf("a page of usage = %+v", page)
	}
	for _, c := range [][3]string{
		{"2026-11-02", "2026-11-01", "Invalid date range: endDate is before startDate"},
		{"2026-01-01", "2026-11-01", "Invalid date range: at most 90 days are allowed"},
		{"yesterday", "2026-11-01", "Invalid date specified, must be in the format YYYY-MM-DD"},
	} {
		_, err := w.c.GetUsage(t.Context(), &sdk.GetUsageInput{UsagePlanId: &plan, StartDate: &c[0], EndDate: &c[1]})
		wantError(t, err, "BadRequestException", c[2])
	}
}

func TestQuotaOffsetCountsInTheFirstPeriod(t *testing.T) {
	w := newWorld(t)
	w.at(date("2026-11-23 12:00:00"))
	plan := w.plan("Gold")
	must[*sdk.UpdateUsagePlanOutput](t)(w.patchPlan(plan, "replace", "/quota/limit", "3", "replace", "/quota/period", "MONTH", "replace", "/quota/offset", "2"))
	for _, c := range []struct {
		at   string
		want int
	}{{"2026-11-24 00:00:00", 1}, {"2026-12-24 00:00:00", 3}} {
		n := 0
		for w.svc.Take(plan, "k", date(c.at)) {
			n++
		}
		if n != c.want {
			t.Errorf("%d requests at %s, want %d", n, c.at, c.want)
		}
	}
}

func TestQuotaPeriods(t *testing.T) {
	for _, c := range []struct {
		period   apigateway.Period
		at, want string
	}{
		{apigateway.Day, "2026-11-23 23:59:59", "2026-11-23 00:00:00"},
		{apigateway.Week, "2026-11-23 23:59:59", "2026-11-22 00:00:00"}, // a Sunday
		{apigateway.Week, "2026-11-22 00:00:00", "2026-11-22 00:00:00"},
		{apigateway.Month, "2026-11-23 23:59:59", "2026-11-01 00:00:00"},
	} {
		if got := (apigateway.Quota{Period: c.period}).Start(date(c.at)); !got.Equal(date(c.want)) {
			t.Errorf("%s of %s starts %s, want %s", c.period, c.at, got, c.want)
		}
	}
}

// Everything is there again after a restart, the view and the usage too.
func TestStateSurvivesRestart(t *testing.T) {
	w := newWorld(t)
	api := w.deployed("shop", "prod")
	plan := w.plan("Gold", api, "prod")
	must[*sdk.UpdateUsagePlanOutput](t)(w.patchPlan(plan, "replace", "/quota/limit", "5", "replace", "/quota/period", "DAY"))
	key := w.key("Acme", "")
	if err := w.join(plan, *key.Id); err != nil {
		t.Fatal(err)
	}
	must[*sdk.UpdateStageOutput](t)(w.patchStage(api, "prod", "replace", "/accessLogSettings/destinationArn", streamARN, "replace", "/accessLogSettings/format", "$context.requestId"))
	w.svc.Count(plan, *key.Id, w.clock())
	if err := w.svc.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, _ := w.svc.Route(api, "prod")
	plans, keys := w.svc.Plans(), w.svc.Keys()
	view, _ := w.svc.PlanFor(*key.Id, api, "prod")

	w.open(apigateway.Faults{})
	after, ok := w.svc.Route(api, "prod")
	if diff := cmp.Diff(before, after); !ok || diff != "" {
		t.Errorf("stage (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(plans, w.svc.Plans()); diff != "" {
		t.Errorf("plans (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(keys, w.svc.Keys()); diff != "" {
		t.Errorf("keys (-before +after):\n%s", diff)
	}
	again, _ := w.svc.PlanFor(*key.Id, api, "prod")
	if diff := cmp.Diff(view, again); diff != "" {
		t.Errorf("plan of the key (-before +after):\n%s", diff)
	}
	if k, ok := w.svc.Key(*key.Value); !ok || k.ID != *key.Id {
		t.Error("the key is not known any more")
	}
	if got := w.svc.Used(plan, *key.Id, w.clock(), w.clock()); got != 1 {
		t.Errorf("used = %d, want 1", got)
	}
}

// A crash between two documents leaves ones without an owner. They are gone for good: the
// next API and key of the same ids do not inherit them.
func TestCrashOrphansAreDeleted(t *testing.T) {
	w := newWorld(t)
	w.apply(localShop())
	if err := errors.Join(w.store.Delete(t.Context(), "api/shop"), w.store.Delete(t.Context(), "key/bob")); err != nil {
		t.Fatal(err)
	}
	w.open(apigateway.Faults{})
	if _, ok := w.svc.Route("shop", "prod"); ok {
		t.Error("a stage without an API is served")
	}
	for key := range w.store.Docs() {
		if strings.Contains(key, "shop") || strings.Contains(key, "bob") {
			t.Errorf("document %s is left over", key)
		}
	}
	for _, p := range w.svc.Plans() {
		if len(p.Stages) != 0 || len(p.Keys) != 1 {
			t.Errorf("plan = %+v, want no stage and Acme alone", p)
		}
	}
}

// What is not written is not answered, and not seen.
func TestStoreFailureRefusesChanges(t *testing.T) {
	w := newWorld(t)
	w.store.Fail(errors.New("disk full"))
	_, err := w.c.CreateApiKey(t.Context(), &sdk.CreateApiKeyInput{Name: aws.String("a")})
	wantError(t, err, "ServiceUnavailableException", "The state could not be written. Try again later.")
	if got := w.svc.Keys(); len(got) != 0 {
		t.Errorf("keys = %v", got)
	}
	w.store.Fail(nil)
	w.key("a", "")
}

func TestRunWritesUsageEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recordtest.Store{}
		svc := must[*apigateway.Service](t)(apigateway.Open(t.Context(), apigateway.Config{}, store))
		must[apigateway.Applied](t)(svc.ApplyLocal(t.Context(), apigateway.Local{Plans: []apigateway.LocalPlan{{ID: "p", Name: "p"}}}))
		before := store.Writes()
		done := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { done <- svc.Run(ctx) }()
		step := func(want int, why string) {
			t.Helper()
			time.Sleep(time.Second) // synctest's clock
			synctest.Wait()
			if got := store.Writes() - before; got != want {
				t.Errorf("%s: %d writes, want %d", why, got, want)
			}
		}
		step(0, "nothing counted")
		svc.Count("p", "k", time.Now())
		svc.Count("p", "k", time.Now())
		step(1, "two requests counted")
		step(1, "nothing new")
		svc.Count("p", "k", time.Now())
		store.Fail(errors.New("full"))
		step(1, "the store fails")
		store.Fail(nil)
		step(2, "the store works again")
		svc.Count("p", "k", time.Now())
		stop()
		if err := errors.Join(<-done, svc.Close(t.Context())); err != nil {
			t.Error(err)
		}
		if got := store.Writes() - before; got != 3 {
			t.Errorf("Close: %d writes, want the last count written", got)
		}
	})
}
