package lambda

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.create("taken", "x")
	good := base64.StdEncoding.EncodeToString(zipOf(t, "x"))
	create := func(change string) string {
		members := map[string]string{"FunctionName": `"f"`, "Runtime": `"provided.al2023"`, "Handler": `"b"`, "Role": `"arn:aws:iam::000000000000:role/r"`,
			"Code": `{"ZipFile":"` + good + `"}`}
		if name, value, ok := strings.Cut(change, "="); ok {
			members[name] = value
			if value == "" {
				delete(members, name)
			}
		}
		var parts []string
		for name, value := range members {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	zipFile := func(z []byte) string { return `Code={"ZipFile":"` + base64.StdEncoding.EncodeToString(z) + `"}` }
	const invalidValue, validationError = "InvalidParameterValueException", "ValidationException"
	for _, tt := range []struct {
		change, errType, want string
	}{
		{"FunctionName=", validationError, "functionName"},
		{`FunctionName="a b"`, validationError, "functionName"},
		{`FunctionName="taken"`, "ResourceConflictException", "Function already exist: taken"},
		{`FunctionName="arn:aws:lambda:eu-west-1:000000000000:function:f"`, "ResourceNotFoundException", ""},
		{"Runtime=", invalidValue, "Runtime"},
		{`Runtime="python3.12"`, invalidValue, "provided.al2023"},
		{`Runtime="go1.x"`, invalidValue, "provided.al2023"},
		{"Handler=", invalidValue, "Handler"},
		{`Handler="a b"`, validationError, "handler"},
		{"Role=", validationError, "role"},
		{`Role="admin"`, validationError, "role"},
		{"Code=", validationError, "code"},
		{"Code={}", invalidValue, "ZipFile"},
		{`Code={"ImageUri":"x"}`, invalidValue, "zip"},
		{`Code={"S3Bucket":"code","S3Key":"f.zip","S3ObjectVersion":"1"}`, invalidValue, "S3ObjectVersion"},
		{`Code={"S3Bucket":"code"}`, invalidValue, "S3Key"},
		{`Code={"ZipFile":"UEs=","S3Bucket":"code","S3Key":"f.zip"}`, invalidValue, "ZipFile"},
		{`Code={"ZipFile":"not base64!"}`, "InvalidRequestContentException", "json"},
		{zipFile([]byte("no zip")), invalidValue, "Could not unzip uploaded file"},
		{zipFile(otherZip(t, "main")), invalidValue, "bootstrap"},
		{zipFile(otherZip(t, "bootstrap")), invalidValue, "not executable"},
		{zipFile(otherZip(t, "../bootstrap")), invalidValue, "outside the directory"},
		{"Timeout=0", validationError, "timeout"},
		{"Timeout=901", validationError, "timeout"},
		{"MemorySize=64", validationError, "memorySize"},
		{"MemorySize=10241", validationError, "memorySize"},
		{`EphemeralStorage={"Size":100}`, validationError, "ephemeralStorage"},
		{`Architectures=["mips"]`, invalidValue, "x86_64"},
		{`Architectures=["x86_64","arm64"]`, invalidValue, "one of"},
		{`Description="` + strings.Repeat("d", 257) + `"`, validationError, "description"},
		{`Environment={"Variables":{"1A":"x"}}`, validationError, "environment"},
		{`Environment={"Variables":{"AWS_REGION":"x"}}`, invalidValue, "AWS_REGION"},
		{`Environment={"Variables":{"AWS_LAMBDA_RUNTIME_API":"x"}}`, invalidValue, "reserved"},
		{`Environment={"Variables":{"A_B":"` + strings.Repeat("x", 4096) + `"}}`, invalidValue, "4KB"},
		{`Environment={"Variables":{"A_B":"\u0000"}}`, invalidValue, "A_B"},
		{`TracingConfig={"Mode":"Active"}`, invalidValue, "TracingConfig"},
		{`Tags={"":"x"}`, invalidValue, "tag"},
		{`Publish=true`, invalidValue, "Publish"},
		{`PackageType="Image"`, invalidValue, "PackageType"},
		{`VpcConfig={"SubnetIds":["subnet-1"]}`, invalidValue, "VpcConfig"},
		{`Layers=["arn"]`, invalidValue, "Layers"},
		{`KMSKeyArn="arn"`, invalidValue, "KMSKeyArn"},
		{`DeadLetterConfig={"TargetArn":"arn"}`, invalidValue, "DeadLetterConfig"},
		{`FileSystemConfigs=[{}]`, invalidValue, "FileSystemConfigs"},
		{`SnapStart={"ApplyOn":"PublishedVersions"}`, invalidValue, "SnapStart"},
		{`ImageConfig={"Command":["x"]}`, invalidValue, "ImageConfig"},
	} {
		r := w.call("POST", functions, create(tt.change))
		if r.errType != tt.errType || !strings.Contains(r.text, tt.want) || r.body["Type"] != "User" {
			t.Errorf("%.100s: got %d %s %.300s, want %s with %q", tt.change, r.status, r.errType, r.text, tt.errType, tt.want)
		}
		if strings.Contains(r.text, "xxxxxxxx") {
			t.Errorf("%.60s: the answer quotes a value", tt.change)
		}
	}
	if _, ok := w.Invoker("f"); ok {
		t.Error("a refused function was made")
	}
	for _, harmless := range []string{`Publish=false`, `Layers=[]`, `VpcConfig={"SubnetIds":[],"SecurityGroupIds":[]}`, `SnapStart={"ApplyOn":"None"}`,
		`DeadLetterConfig={}`, `KMSKeyArn=""`, `PackageType="Zip"`, `TracingConfig={"Mode":"PassThrough"}`, `Architectures=["x86_64"]`, `EphemeralStorage={"Size":512}`} {
		if r := w.call("POST", functions, create(harmless)); r.status != 201 {
			t.Errorf("%s: got %d %s", harmless, r.status, r.text)
		}
		w.call("DELETE", functions+"/f", "")
	}
}

func TestUnknownRoutes(t *testing.T) {
	w := newWorld(t)
	w.create("f", "x")
	for _, tt := range []struct{ method, path string }{
		{"GET", "/"}, {"GET", "/2015-03-31/event-source-mappings/"}, {"POST", functions + "/f/versions"}, {"PUT", functions + "/f"}, {"PATCH", functions},
		{"GET", functions + "/f/invocations"}, {"PUT", "/2017-10-31/functions/f/concurrency"}, {"GET", functions + "/f/policy/x/y"},
	} {
		if r := w.call(tt.method, tt.path, ""); r.status != 404 || r.errType != "UnknownOperationException" {
			t.Errorf("%s %s: got %d %s", tt.method, tt.path, r.status, r.text)
		}
	}
	for _, path := range []string{functions + "/f/code", functions + "/f/configuration"} {
		if r := w.call("PUT", path, "no json"); r.status != 400 {
			t.Errorf("PUT %s without JSON: got %d %s", path, r.status, r.text)
		}
		if r := w.call("PUT", strings.Replace(path, "/f/", "/unknown/", 1), "{}"); r.status != 404 {
			t.Errorf("PUT of an unknown function: got %d %s", r.status, r.text)
		}
	}
}

func TestNewChecks(t *testing.T) {
	store := &recordtest.Store{}
	for _, cfg := range []Config{{}, {Region: "r", Account: "a"}, {Region: "r", Dir: t.TempDir()}} {
		if _, err := New(context.Background(), cfg, store); err == nil {
			t.Errorf("New(%+v): got no error", cfg)
		}
	}
	ok := Config{Region: "r", Account: "a", Dir: t.TempDir()}
	for _, doc := range []string{"no json", `{"Version":2,"Name":"f"}`} {
		store := recordtest.StoreOf(map[string]string{"function/f": doc})
		if _, err := New(context.Background(), ok, store); err == nil {
			t.Errorf("New with document %s: got no error", doc)
		}
	}
}
