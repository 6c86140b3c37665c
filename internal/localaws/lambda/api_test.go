package lambda

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record"
)

const arnOfF = "arn:aws:lambda:us-east-1:000000000000:function:f"

func TestFunctionLifecycle(t *testing.T) {
	w := newWorld(t)
	r := w.create("f", "one", `"Description":"d"`, `"Environment":{"Variables":{"VAR":"own"}}`, `"Tags":{"team":"api"}`)
	if r.status != 201 {
		t.Fatalf("CreateFunction: got %d %s", r.status, r.text)
	}
	revision := r.body["RevisionId"].(string)
	delete(r.body, "RevisionId")
	sha := r.body["CodeSha256"]
	want := map[string]any{
		"FunctionName": "f", "FunctionArn": arnOfF, "Runtime": "provided.al2023", "Role": "arn:aws:iam::000000000000:role/r",
		"Handler": "bootstrap", "CodeSize": float64(len(zipOf(t, "one"))), "Description": "d", "Timeout": 60.0, "MemorySize": 128.0,
		"LastModified": "2026-11-18T11:06:40.123+0000", "CodeSha256": sha, "Version": "$LATEST", "TracingConfig": map[string]any{"Mode": "PassThrough"},
		"State": "Active", "LastUpdateStatus": "Successful", "PackageType": "Zip", "Architectures": []any{"x86_64"},
		"EphemeralStorage": map[string]any{"Size": 512.0}, "SnapStart": map[string]any{"ApplyOn": "None", "OptimizationStatus": "Off"},
		"LoggingConfig": map[string]any{"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}, "Environment": map[string]any{"Variables": map[string]any{"VAR": "own"}},
	}
	if diff := cmp.Diff(want, r.body); diff != "" {
		t.Errorf("CreateFunction (-want +got):\n%s", diff)
	}
	if got := w.said("f", "said") + w.said("f", "var") + w.said("f", "base"); got != "oneownbase" {
		t.Errorf("the function: got %s", got)
	}
	inv, ok := w.Invoker(arnOfF)
	if !ok {
		t.Fatal("Invoker: not found")
	}

	update := `{"ZipFile":"` + base64.StdEncoding.EncodeToString(zipOf(t, "two")) + `","RevisionId":"`
	if r := w.call("PUT", functions+"/f/code", update+`another"}`); r.status != 412 || r.errType != "PreconditionFailedException" {
		t.Errorf("UpdateFunctionCode of another revision: got %d %s", r.status, r.text)
	}
	if r := w.call("PUT", functions+"/f/code", update+revision+`"}`); r.status != 200 || r.body["CodeSha256"] == sha || r.body["RevisionId"] == revision {
		t.Errorf("UpdateFunctionCode: got %d %s", r.status, r.text)
	}
	if got, err := inv.Invoke(context.Background(), []byte(`{}`)); err != nil || !strings.Contains(string(got.Payload), `"said":"two"`) {
		t.Errorf("an invoker from before the update: got %s, %v, want the new code", got.Payload, err)
	}
	if r := w.call("PUT", functions+"/f/configuration", `{"Timeout":7,"MemorySize":256,"Environment":{"Variables":{"VAR":"new"}}}`); r.status != 200 || r.body["Timeout"] != 7.0 {
		t.Errorf("UpdateFunctionConfiguration: got %d %s", r.status, r.text)
	}

	w.restart()
	r = w.call("GET", functions+"/f", "")
	c, _ := r.body["Configuration"].(map[string]any)
	if r.status != 200 || c["MemorySize"] != 256.0 || c["Description"] != "d" || cmp.Diff(r.body["Tags"], map[string]any{"team": "api"}) != "" {
		t.Errorf("GetFunction after a restart: got %d %s", r.status, r.text)
	}
	if got := w.said("f", "said") + w.said("f", "var"); got != "twonew" {
		t.Errorf("the function after a restart: got %s", got)
	}

	if r := w.call("DELETE", functions+"/f", ""); r.status != 204 || r.text != "" {
		t.Errorf("DeleteFunction: got %d %s", r.status, r.text)
	}
	if r := w.call("GET", functions+"/f/configuration", ""); r.status != 404 || r.body["Message"] != "Function not found: "+arnOfF {
		t.Errorf("GetFunctionConfiguration after delete: got %d %s", r.status, r.text)
	}
	w.restart()
	if _, ok := w.Invoker("f"); ok || len(w.store.Docs()) != 0 {
		t.Errorf("a deleted function is there after a restart")
	}
	if left, err := os.ReadDir(w.cfg.Dir); err != nil || len(left) != 0 {
		t.Errorf("a deleted function leaves %v, %v", left, err)
	}
}

func TestCodeOnDisk(t *testing.T) {
	w := newWorld(t)
	w.create("f", "one")
	first := w.find0("f").CodeFile
	w.said("f", "said")
	w.call("PUT", functions+"/f/code", `{"ZipFile":"`+base64.StdEncoding.EncodeToString(zipOf(t, "two"))+`"}`)
	w.restart() // waits until the old code is removed
	second := w.find0("f").CodeFile
	dir := filepath.Join(w.cfg.Dir, "f")
	for name, want := range map[string]bool{first: false, strings.TrimSuffix(first, ".zip"): false, second: true, strings.TrimSuffix(second, ".zip"): true} {
		info, err := os.Stat(filepath.Join(dir, name))
		if (err == nil) != want {
			t.Errorf("%s: got %v, want it there: %v", name, err, want)
		}
		if want && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, want it for its owner alone", name, info.Mode())
		}
	}
	// What is unpacked may be thrown away: it is unpacked again.
	if err := os.RemoveAll(filepath.Join(dir, strings.TrimSuffix(second, ".zip"))); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if got := w.said("f", "said"); got != "two" {
		t.Errorf("after the unpacked code was removed: got %s", got)
	}
	// Without its zip one function is broken, the others are not.
	w.create("g", "g")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if r := w.call("POST", functions+"/f/invocations", ""); r.header.Get("X-Amz-Function-Error") == "" {
		t.Errorf("function without code: got %d %s", r.status, r.text)
	}
	if got := w.said("g", "said"); got != "g" {
		t.Errorf("the other function: got %s", got)
	}
}

func (w *world) find0(name string) document {
	doc, _, _ := w.find(name)
	return doc
}

func TestBuiltin(t *testing.T) {
	w := newWorld(t)
	builtin := function.InProcess(func(context.Context, []byte) ([]byte, error) { return []byte(`{"said":"builtin"}`), nil })
	w.AddBuiltin(Builtin{Name: "stagelog-acme", Description: "enrichment", Invoker: builtin})
	arn := "arn:aws:lambda:us-east-1:000000000000:function:stagelog-acme"
	r := w.call("GET", functions+"/stagelog-acme", "")
	if c, _ := r.body["Configuration"].(map[string]any); r.status != 200 || c["Description"] != "enrichment" || c["FunctionArn"] != arn {
		t.Errorf("GetFunction: got %d %s", r.status, r.text)
	}
	inv, ok := w.Invoker(arn)
	if !ok || w.said("stagelog-acme", "said") != "builtin" {
		t.Fatal("the builtin does not answer")
	}
	for _, refused := range []reply{
		w.create("stagelog-acme", "x"), w.call("DELETE", functions+"/stagelog-acme", ""),
		w.call("PUT", functions+"/stagelog-acme/configuration", `{"Timeout":5}`),
		w.call("POST", functions+"/stagelog-acme/policy", `{"StatementId":"s","Action":"lambda:InvokeFunction","Principal":"firehose.amazonaws.com"}`),
	} {
		if refused.status < 400 {
			t.Errorf("got %d %s, want a refusal", refused.status, refused.text)
		}
	}
	if r := w.call("PUT", functions+"/stagelog-acme/code", `{"ZipFile":"`+base64.StdEncoding.EncodeToString(zipOf(t, "uploaded"))+`"}`); r.status != 200 {
		t.Fatalf("UpdateFunctionCode: got %d %s", r.status, r.text)
	}
	if got, err := inv.Invoke(context.Background(), []byte(`{}`)); err != nil || !strings.Contains(string(got.Payload), "uploaded") {
		t.Errorf("after code was uploaded: got %s, %v", got.Payload, err)
	}
	w.restart()
	w.AddBuiltin(Builtin{Name: "stagelog-acme", Description: "enrichment", Invoker: builtin})
	if got := w.said("stagelog-acme", "said"); got != "uploaded" {
		t.Errorf("after a restart: got %s, want the uploaded code", got)
	}
	if r := w.call("DELETE", functions+"/stagelog-acme", ""); r.status != 204 {
		t.Errorf("DeleteFunction: got %d %s", r.status, r.text)
	}
	if got := w.said("stagelog-acme", "said"); got != "builtin" {
		t.Errorf("after the uploaded code was deleted: got %s, want the builtin", got)
	}
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	w.create("f", "one")
	for _, tt := range []struct {
		given string
		want  int
	}{
		{"f", 200}, {arnOfF, 200}, {arnOfF + ":$LATEST", 200}, {"f:$LATEST", 200}, {"000000000000:function:f", 200}, {"function:f", 200},
		{"us-east-1:000000000000:function:f", 200}, {"f?Qualifier=$LATEST", 200},
		{"g", 404}, {"f:1", 404}, {"f?Qualifier=prod", 404}, {arnOfF + ":7", 404},
		{"arn:aws:lambda:eu-west-1:000000000000:function:f", 404}, {"arn:aws:lambda:us-east-1:111122223333:function:f", 404},
		{"111122223333:function:f", 404}, {"f%20f", 400}, {strings.Repeat("n", 65), 400}, {"arn:aws:lambda:f", 400}, {"arn:aws:s3:::f", 400},
		{"f:$LATEST?Qualifier=1", 400}, {"f%2F..", 400},
	} {
		path, query, _ := strings.Cut(tt.given, "?")
		path = functions + "/" + strings.ReplaceAll(path, ":", "%3A")
		if query != "" {
			path += "?" + query
		}
		if r := w.call("GET", path, ""); r.status != tt.want {
			t.Errorf("GetFunction %s: got %d %s, want %d", tt.given, r.status, r.text, tt.want)
		}
		if query == "" && !strings.Contains(tt.given, "%") {
			if _, ok := w.Invoker(tt.given); ok != (tt.want == 200) {
				t.Errorf("Invoker(%s): got %v", tt.given, ok)
			}
		}
	}
}

func TestInvoke(t *testing.T) {
	w := newWorld(t)
	note := filepath.Join(t.TempDir(), "note")
	w.create("f", "one", `"Environment":{"Variables":{"NOTE":"`+note+`"}}`)
	for _, tt := range []struct {
		name, kind, body string
		status           int
		want, errorType  string
	}{
		{"nothing", "", "", 200, `"got":"{}"`, ""},
		{"event", "RequestResponse", `{"a":1}`, 200, `"got":"{\"a\":1}"`, ""},
		{"error of the function", "", `{"fail":1}`, 200, `"errorMessage":"as requested"`, "Unhandled"},
		{"dry run", "DryRun", `{}`, 204, "", ""},
		{"no JSON", "", `{"a":`, 400, "Could not parse request body into json", ""},
		{"unknown type", "Later", `{}`, 400, "invocationType", ""},
		{"too large", "", `"` + strings.Repeat("x", function.MaxPayloadBytes) + `"`, 413, "6291456", ""},
		{"too large for an event", "Event", `"` + strings.Repeat("x", maxEventBytes) + `"`, 413, "1048576", ""},
		{"asynchronous", "Event", `{"note":1}`, 202, "", ""},
	} {
		r := w.call("POST", functions+"/f/invocations", tt.body, "X-Amz-Invocation-Type", tt.kind, "X-Amz-Log-Type", "Tail")
		if r.status != tt.status || !strings.Contains(r.text, tt.want) || r.header.Get("X-Amz-Function-Error") != tt.errorType {
			t.Errorf("%s: got %d %.300s", tt.name, r.status, r.text)
		}
	}
	if err := w.Close(context.Background()); err != nil { // waits for the asynchronous one
		t.Fatal(err)
	}
	if got, err := os.ReadFile(note); err != nil || string(got) != `{"note":1}` {
		t.Errorf("asynchronous invocation: got %s, %v", got, err)
	}
	if r := w.call("POST", functions+"/f/invocations", "{}", "X-Amz-Invocation-Type", "Event"); r.status != 500 {
		t.Errorf("asynchronous invocation after Close: got %d %s", r.status, r.text)
	}
	if r := w.call("POST", functions+"/g/invocations", "{}"); r.status != 404 {
		t.Errorf("Invoke of an unknown function: got %d %s", r.status, r.text)
	}
	inv, _ := w.Invoker("f")
	w.call("DELETE", functions+"/f", "")
	if _, err := inv.Invoke(context.Background(), nil); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("invoker of a deleted function: got %v, want %v", err, record.ErrNotFound)
	}
}

func TestCodeFromABucket(t *testing.T) {
	w := newWorld(t)
	body := `{"FunctionName":"f","Runtime":"provided.al2","Handler":"b","Role":"arn:aws:iam::000000000000:role/r","Timeout":60,"Code":{"S3Bucket":"code","S3Key":%q}}`
	if r := w.call("POST", functions, fmt.Sprintf(body, "none.zip")); r.status != 400 || !strings.Contains(r.text, "GetObject") {
		t.Errorf("CreateFunction with no such object: got %d %s", r.status, r.text)
	}
	if r := w.call("POST", functions, fmt.Sprintf(body, "f.zip")); r.status != 201 || w.said("f", "said") != "fetched" {
		t.Errorf("CreateFunction: got %d %s", r.status, r.text)
	}
}

func TestListFunctions(t *testing.T) {
	w := newWorld(t)
	w.AddBuiltin(Builtin{Name: "builtin"})
	zipped := base64.StdEncoding.EncodeToString(zipOf(t, "x"))
	for i := range 60 {
		body := `{"FunctionName":"f%02d","Runtime":"provided.al2023","Handler":"b","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"%s"}}`
		if r := w.call("POST", functions, fmt.Sprintf(body, i, zipped)); r.status != 201 {
			t.Fatalf("CreateFunction: got %d %s", r.status, r.text)
		}
	}
	for _, tt := range []struct {
		items string
		pages []int
	}{{"", []int{50, 11}}, {"7", []int{7, 7, 7, 7, 7, 7, 7, 7, 5}}, {"10000", []int{50, 11}}, {"61", []int{50, 11}}} {
		seen := map[string]bool{}
		var pages []int
		for marker := ""; ; {
			r := w.call("GET", functions+"/?MaxItems="+tt.items+"&Marker="+marker, "")
			if r.status != 200 {
				t.Fatalf("ListFunctions: got %d %s", r.status, r.text)
			}
			page := r.body["Functions"].([]any)
			for _, f := range page {
				seen[f.(map[string]any)["FunctionName"].(string)] = true
			}
			pages = append(pages, len(page))
			if marker, _ = r.body["NextMarker"].(string); marker == "" {
				break
			}
			if len(pages) == 3 && tt.items == "7" { // a marker may name what is gone
				w.call("DELETE", functions+"/"+marker, "")
			}
		}
		if len(seen) < 60 || cmp.Diff(tt.pages, pages) != "" && tt.items != "61" && tt.items != "10000" {
			t.Errorf("MaxItems %s: got pages %v with %d functions", tt.items, pages, len(seen))
		}
	}
	for _, bad := range []string{"0", "10001", "x"} {
		if r := w.call("GET", functions+"?MaxItems="+bad, ""); r.status != 400 {
			t.Errorf("MaxItems %s: got %d", bad, r.status)
		}
	}
}

func TestPolicyAndTags(t *testing.T) {
	w := newWorld(t)
	w.create("f", "one")
	if r := w.call("GET", functions+"/f/policy", ""); r.status != 404 {
		t.Errorf("GetPolicy of none: got %d %s", r.status, r.text)
	}
	add := `{"StatementId":"firehose","Action":"lambda:InvokeFunction","Principal":"firehose.amazonaws.com","SourceArn":"arn:aws:firehose:us-east-1:000000000000:deliverystream/x","SourceAccount":"000000000000"}`
	want := `{"Action":"lambda:InvokeFunction","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:firehose:us-east-1:000000000000:deliverystream/x"},` +
		`"StringEquals":{"AWS:SourceAccount":"000000000000"}},"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Resource":"` + arnOfF + `","Sid":"firehose"}`
	if r := w.call("POST", functions+"/f/policy", add); r.status != 201 || r.body["Statement"] != want {
		t.Errorf("AddPermission: got %d %s", r.status, r.text)
	}
	if r := w.call("POST", functions+"/f/policy", add); r.status != 409 || r.errType != "ResourceConflictException" {
		t.Errorf("AddPermission twice: got %d %s", r.status, r.text)
	}
	w.restart()
	if r := w.call("GET", functions+"/f/policy", ""); r.status != 200 || r.body["Policy"] != `{"Version":"2012-10-17","Id":"default","Statement":[`+want+`]}` {
		t.Errorf("GetPolicy: got %d %s", r.status, r.text)
	}
	if r := w.call("DELETE", functions+"/f/policy/firehose", ""); r.status != 204 {
		t.Errorf("RemovePermission: got %d %s", r.status, r.text)
	}
	if r := w.call("DELETE", functions+"/f/policy/firehose", ""); r.status != 404 {
		t.Errorf("RemovePermission twice: got %d %s", r.status, r.text)
	}

	tags := "/2017-03-31/tags/" + strings.ReplaceAll(arnOfF, ":", "%3A")
	if r := w.call("POST", tags, `{"Tags":{"a":"1","b":"2"}}`); r.status != 204 {
		t.Errorf("TagResource: got %d %s", r.status, r.text)
	}
	if r := w.call("DELETE", tags+"?tagKeys=a&tagKeys=none", ""); r.status != 204 {
		t.Errorf("UntagResource: got %d %s", r.status, r.text)
	}
	if r := w.call("GET", tags, ""); r.status != 200 || r.text != `{"Tags":{"b":"2"}}` {
		t.Errorf("ListTags: got %d %s", r.status, r.text)
	}
	if got := w.said("f", "said"); got != "one" {
		t.Errorf("the function after its tags changed: got %s", got)
	}
}

func TestFullStoreChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.create("f", "one")
	w.store.Fail(errors.New("no space left"))
	for name, r := range map[string]reply{
		"create": w.create("g", "g"), "delete": w.call("DELETE", functions+"/f", ""),
		"configuration": w.call("PUT", functions+"/f/configuration", `{"Timeout":9}`), "tags": w.call("POST", "/2017-03-31/tags/f", `{"Tags":{"a":"1"}}`),
		"code": w.call("PUT", functions+"/f/code", `{"ZipFile":"`+base64.StdEncoding.EncodeToString(zipOf(t, "two"))+`"}`),
	} {
		if r.status != http.StatusInternalServerError || r.errType != "ServiceException" {
			t.Errorf("%s: got %d %s", name, r.status, r.text)
		}
	}
	w.store.Fail(nil)
	if doc := w.find0("f"); doc.TimeoutS != 60 || len(doc.Tags) != 0 || w.said("f", "said") != "one" {
		t.Errorf("the function changed: %+v", doc)
	}
	if r := w.call("GET", functions+"/g", ""); r.status != 404 {
		t.Errorf("the function that was not stored: got %d", r.status)
	}
}
