package apigateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

func (w *world) key(name, value string) *sdk.CreateApiKeyOutput {
	w.t.Helper()
	in := &sdk.CreateApiKeyInput{Enabled: true}
	if name != "" {
		in.Name = &name
	}
	if value != "" {
		in.Value = &value
	}
	return must[*sdk.CreateApiKeyOutput](w.t)(w.c.CreateApiKey(w.t.Context(), in))
}

func TestAPIKeyLifecycle(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	k := w.key("Acme Corp", "")
	if len(*k.Value) != 40 || len(*k.Id) != 10 || k.StageKeys == nil || !k.Enabled || k.CreatedDate == nil {
		t.Errorf("CreateApiKey = %+v", k)
	}
	if got, ok := w.svc.Key(*k.Value); !ok || got != (apigateway.KeyView{ID: *k.Id, Name: "Acme Corp", Enabled: true}) {
		t.Errorf("Key = %+v, %v", got, ok)
	}
	if _, ok := w.svc.Key("no such key, but long enough"); ok {
		t.Error("an unknown key is known")
	}
	got := must[*sdk.GetApiKeyOutput](t)(w.c.GetApiKey(ctx, &sdk.GetApiKeyInput{ApiKey: k.Id}))
	if got.Value != nil || got.Tags == nil {
		t.Errorf("GetApiKey gives value %v, tags %v; want none, and {}", got.Value, got.Tags)
	}
	got = must[*sdk.GetApiKeyOutput](t)(w.c.GetApiKey(ctx, &sdk.GetApiKeyInput{ApiKey: k.Id, IncludeValue: aws.Bool(true)}))
	if aws.ToString(got.Value) != *k.Value {
		t.Error("GetApiKey with includeValue gives no value")
	}
	list := must[*sdk.GetApiKeysOutput](t)(w.c.GetApiKeys(ctx, &sdk.GetApiKeysInput{}))
	if len(list.Items) != 1 || list.Items[0].Value != nil || list.Items[0].Tags != nil || list.Position != nil {
		t.Errorf("GetApiKeys = %+v", list)
	}
	list = must[*sdk.GetApiKeysOutput](t)(w.c.GetApiKeys(ctx, &sdk.GetApiKeysInput{IncludeValues: aws.Bool(true)}))
	if aws.ToString(list.Items[0].Value) != *k.Value {
		t.Error("GetApiKeys with includeValues gives no value")
	}
	up := must[*sdk.UpdateApiKeyOutput](t)(w.c.UpdateApiKey(ctx, &sdk.UpdateApiKeyInput{ApiKey: k.Id, PatchOperations: patchOps(
		"replace", "/name", "Acme", "replace", "/enabled", "not a boolean", "replace", "/customerId", "c-1", "replace", "/description", "d")}))
	if *up.Name != "Acme" || up.Enabled || *up.CustomerId != "c-1" || up.Value != nil || up.Tags == nil {
		t.Errorf("UpdateApiKey = %+v", up)
	}
	if got, _ := w.svc.Key(*k.Value); got.Enabled || got.Name != "Acme" {
		t.Errorf("view after the update = %+v", got)
	}
	_, err := w.c.UpdateApiKey(ctx, &sdk.UpdateApiKeyInput{ApiKey: k.Id, PatchOperations: patchOps("replace", "/id", "x")})
	wantError(t, err, "BadRequestException", "Invalid patch path  '/id' specified for op 'replace'. Must be one of: [/description, /enabled, /name, /customerId]")
	must[*sdk.DeleteApiKeyOutput](t)(w.c.DeleteApiKey(ctx, &sdk.DeleteApiKeyInput{ApiKey: k.Id}))
	if _, ok := w.svc.Key(*k.Value); ok {
		t.Error("a deleted key is known by its value")
	}
	if _, ok := w.svc.KeyByID(*k.Id); ok {
		t.Error("a deleted key is known by its id")
	}
	_, err = w.c.GetApiKey(ctx, &sdk.GetApiKeyInput{ApiKey: k.Id})
	wantError(t, err, "NotFoundException", "Invalid API Key identifier specified")
}

func TestAPIKeyErrors(t *testing.T) {
	w := newWorld(t)
	const secret = "my-very-secret-api-key-value-1"
	w.key("first", secret)
	for _, c := range []struct {
		name          string
		in            sdk.CreateApiKeyInput
		code, message string
	}{
		{"long name", sdk.CreateApiKeyInput{Name: aws.String(strings.Repeat("x", 1025))}, "BadRequestException", "Invalid API Key name, can be at most 1024 characters."},
		{"short value", sdk.CreateApiKeyInput{Value: aws.String("short-but-very-secr")}, "BadRequestException", "API Key value should be at least 20 characters"},
		{"long value", sdk.CreateApiKeyInput{Value: aws.String(strings.Repeat("x", 129))}, "BadRequestException", "API Key value exceeds maximum size of 128 characters"},
		{"long description", sdk.CreateApiKeyInput{Description: aws.String(strings.Repeat("x", 125001))}, "BadRequestException", "Invalid API Key description specified."},
		{"same value", sdk.CreateApiKeyInput{Name: aws.String("second"), Value: aws.String(secret)}, "ConflictException", "API Key already exists"},
		{"stage keys", sdk.CreateApiKeyInput{StageKeys: []types.StageKey{{}}}, "BadRequestException", "stagelog does not support stageKeys, which usage plans have replaced"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.c.CreateApiKey(t.Context(), &c.in)
			wantError(t, err, c.code, c.message)
		})
	}
	for _, in := range []sdk.CreateApiKeyInput{{}, {Name: aws.String("")}, {Value: aws.String("")}} {
		k := must[*sdk.CreateApiKeyOutput](t)(w.c.CreateApiKey(t.Context(), &in))
		if k.Name != nil || len(*k.Value) != 40 || k.Enabled {
			t.Errorf("a key without a name = %+v", k)
		}
	}
	if strings.Contains(w.log.String(), secret) {
		t.Error("the log holds a key's value")
	}
}

// The name filter is a prefix, and its case counts.
func TestAPIKeyNameFilter(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"TestKey-1", "TestKey-2", "other"} {
		w.key(name, "")
	}
	for query, want := range map[string]int{"": 3, "TestKey": 2, "TestKey-1": 1, "testkey": 0, "Key-1": 0, "-1": 0} {
		got := must[*sdk.GetApiKeysOutput](t)(w.c.GetApiKeys(t.Context(), &sdk.GetApiKeysInput{NameQuery: &query}))
		if len(got.Items) != want {
			t.Errorf("name %q gives %d keys, want %d", query, len(got.Items), want)
		}
	}
	if got := must[*sdk.GetApiKeysOutput](t)(w.c.GetApiKeys(t.Context(), &sdk.GetApiKeysInput{Limit: aws.Int32(-1)})); len(got.Items) != 3 {
		t.Errorf("limit -1 gives %d keys", len(got.Items))
	}
}

// Positions hold while items come and go between two calls.
func TestPagesWhileTheListChanges(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	ids := map[string]string{}
	for i := range 12 {
		name := fmt.Sprintf("key-%02d", i)
		ids[name] = *w.key(name, "").Id
	}
	var got []string
	var position *string
	for n := 0; ; n++ {
		out := must[*sdk.GetApiKeysOutput](t)(w.c.GetApiKeys(ctx, &sdk.GetApiKeysInput{Limit: aws.Int32(5), Position: position}))
		for _, k := range out.Items {
			got = append(got, *k.Name)
		}
		if position = out.Position; position == nil {
			break
		}
		if n == 0 { // the last one given, and one given before it, go away; one more comes
			for _, name := range []string{"key-04", "key-00"} {
				id := ids[name]
				must[*sdk.DeleteApiKeyOutput](t)(w.c.DeleteApiKey(ctx, &sdk.DeleteApiKeyInput{ApiKey: &id}))
			}
			w.key("key-12", "")
		}
	}
	if len(got) != 13 {
		t.Errorf("%d keys, want each of 13 once: %v", len(got), got)
	}
	for i, name := range got {
		if want := fmt.Sprintf("key-%02d", i); name != want {
			t.Errorf("key %d = %s, want %s", i, name, want)
		}
	}
	_, err := w.c.GetApiKeys(ctx, &sdk.GetApiKeysInput{Position: aws.String("made-up")})
	wantError(t, err, "BadRequestException", "Invalid position parameter")
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.deployed("shop", "prod")
	k := w.key("k", "")
	p := must[*sdk.CreateUsagePlanOutput](t)(w.c.CreateUsagePlan(ctx, &sdk.CreateUsagePlanInput{Name: aws.String("p")}))
	for _, path := range []string{"/restapis/" + id, "/restapis/" + id + "/stages/prod", "/apikeys/" + *k.Id, "/usageplans/" + *p.Id} {
		arn := aws.String("arn:aws:apigateway:us-east-1::" + path)
		must[*sdk.TagResourceOutput](t)(w.c.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}}))
		must[*sdk.UntagResourceOutput](t)(w.c.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}))
		got := must[*sdk.GetTagsOutput](t)(w.c.GetTags(ctx, &sdk.GetTagsInput{ResourceArn: arn}))
		if len(got.Tags) != 1 || got.Tags["b"] != "2" {
			t.Errorf("%s: tags = %v", path, got.Tags)
		}
		_, err := w.c.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"aws:x": "1"}})
		wantError(t, err, "BadRequestException", "Invalid tag key: it must have 1 to 128 characters and not begin with aws:")
	}
	_, err := w.c.GetTags(ctx, &sdk.GetTagsInput{ResourceArn: aws.String("invalid-arn")})
	wantError(t, err, "BadRequestException", "Invalid ARN. ARN is not well formed invalid-arn")
	acc := must[*sdk.GetAccountOutput](t)(w.c.GetAccount(ctx, &sdk.GetAccountInput{}))
	if acc.ThrottleSettings.BurstLimit != 5000 || len(acc.Features) != 1 {
		t.Errorf("GetAccount = %+v", acc)
	}
}

// Names become the text of records, invoices and terminals; stagelog.yaml refuses the same ones.
func TestControlCharactersInNamesAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a\nb", "a\x1b[31mb", "a\u0085b", "tab\there"} {
		if _, err := w.c.CreateApiKey(t.Context(), &sdk.CreateApiKeyInput{Name: &name}); err == nil || !strings.Contains(err.Error(), "BadRequestException") {
			t.Errorf("CreateApiKey(%q) = %v, want BadRequestException", name, err)
		}
		if _, err := w.c.CreateUsagePlan(t.Context(), &sdk.CreateUsagePlanInput{Name: &name}); err == nil || !strings.Contains(err.Error(), "BadRequestException") {
			t.Errorf("CreateUsagePlan(%q) = %v, want BadRequestException", name, err)
		}
	}
}
