package provision

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// someZip returns a deployment package with the text as its content.
func someZip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("bootstrap")
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// functionSpec returns a pipeline with a zip and creates the function's role if c is not nil.
func functionSpec(t *testing.T, c *Clients) *desired.Spec {
	t.Helper()
	s := streamSpec(t)
	s.Zip = someZip(t, "one")
	if c == nil {
		return s
	}
	r := newFunctionRole(s, c)
	if err := r.Apply(t.Context(), State{Fields: []Field{{fieldPermissions, "", "x"}}}, quiet); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustRead(t *testing.T, r Resource) State {
	t.Helper()
	s, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustApply(t *testing.T, r Resource) {
	t.Helper()
	if err := r.Apply(t.Context(), mustRead(t, r), quiet); err != nil {
		t.Fatal(err)
	}
	if s := mustRead(t, r); !s.Exists || s.RequiredFlag != NoFlag || len(s.Changed()) > 0 {
		t.Fatalf("after Apply Read = %+v, with the changes %v", s, s.Changed())
	}
}

func TestFunctionLifecycle(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	r := newFunction(wantOf(s), c)
	if mustRead(t, r).Exists {
		t.Fatal("an empty account has a function")
	}
	mustApply(t, r)
	name := aws.String(r.Name())
	configure := func(in lambda.UpdateFunctionConfigurationInput) func() error {
		in.FunctionName = name
		return func() error { _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &in); return err }
	}
	withRefresh := wantOf(s).Function.Environment
	withRefresh["STAGELOG_REFRESH"] = "24h"
	recode := func(in lambda.UpdateFunctionCodeInput) func() error {
		in.FunctionName = name
		return func() error { _, err := c.Lambda.UpdateFunctionCode(t.Context(), &in); return err }
	}
	tests := []struct {
		field string
		call  string // that repairs it
		by    func() error
	}{
		{"memory", callConfigure, configure(lambda.UpdateFunctionConfigurationInput{MemorySize: aws.Int32(128)})},
		{"timeout", callConfigure, configure(lambda.UpdateFunctionConfigurationInput{Timeout: aws.Int32(3)})},
		{"handler", callConfigure, configure(lambda.UpdateFunctionConfigurationInput{Handler: aws.String("main")})},
		{"runtime", callConfigure, configure(lambda.UpdateFunctionConfigurationInput{Runtime: types.RuntimeProvidedal2})},
		{"role", callConfigure, configure(lambda.UpdateFunctionConfigurationInput{Role: aws.String("arn:aws:iam::123456789012:role/other")})},
		{"environment", callConfigure, configure(lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: map[string]string{"STAGELOG_API_KEY": "keep"}}})},
		{"environment", callConfigure, configure(lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: withRefresh}})},
		{"code", callCode, recode(lambda.UpdateFunctionCodeInput{ZipFile: someZip(t, "two")})},
		{"tag stagelog", "POST tags", func() error {
			_, err := c.Lambda.UntagResource(t.Context(), &lambda.UntagResourceInput{Resource: aws.String(s.FunctionARN()), TagKeys: []string{desired.OwnerTag}})
			return err
		}},
	}
	for _, tt := range tests {
		if err := tt.by(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{tt.field}, changedNames(mustRead(t, r))); diff != "" {
			t.Errorf("after a manual change of the %s, Read differs in (-want +got):\n%s", tt.field, diff)
		}
		calls := &wire{}
		mustApply(t, newFunction(wantOf(s), NewClients(m.Config(calls))))
		if diff := cmp.Diff([]string{tt.call}, calls.writes); diff != "" {
			t.Errorf("calls to repair the %s (-want +got):\n%s", tt.field, diff)
		}
	}
	did, err := r.Destroy(t.Context(), mustRead(t, r), quiet)
	if err != nil || did != "deleted" || mustRead(t, r).Exists {
		t.Errorf("Destroy = %q, %v", did, err)
	}
}

func TestFunctionAdoption(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	r := newFunction(wantOf(s), c)
	_, err := c.Lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: aws.String(r.Name()), Role: aws.String(s.RoleARN(s.FunctionRole())),
		Runtime: types.RuntimePython312, Architectures: []types.Architecture{types.ArchitectureArm64}, Handler: aws.String("lambda_function.lambda_handler"), Code: &types.FunctionCode{ZipFile: someZip(t, "theirs")},
		Environment: &types.Environment{Variables: map[string]string{"THEIRS": "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	found := mustRead(t, r)
	if found.RequiredFlag != AdoptFlag {
		t.Fatalf("Read = %+v, want AdoptFlag", found)
	}
	if strings.Contains(fmt.Sprint(found), "=secret") {
		t.Errorf("Read shows the value of a variable that is not stagelog's: %+v", found)
	}
	if did, err := r.Destroy(t.Context(), found, quiet); did != "" || err != nil {
		t.Errorf("Destroy of it = %q, %v, want nothing done", did, err)
	}
	mustApply(t, r)
	now, err := r.get(t.Context())
	if err != nil || now.Configuration.Environment.Variables["THEIRS"] != "secret" {
		t.Errorf("after adoption its variables are %v (%v), want foreign ones kept", now.Configuration.Environment, err)
	}
}

// The salt is created once and never shown.
func TestSaltIsKept(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	s.Pipeline.APIKey = "hash"
	r := newFunction(wantOf(s), c)
	mustApply(t, r)
	salt := func() string {
		t.Helper()
		now, err := r.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return now.Configuration.Environment.Variables[desired.SaltVariable]
	}
	first := salt()
	s.Pipeline.AWS.Memory *= 2
	r = newFunction(wantOf(s), c)
	if found := mustRead(t, r); len(first) < 20 || strings.Contains(fmt.Sprint(found), first) {
		t.Errorf("the salt %q is short, or shown: %+v", first, found)
	}
	mustApply(t, r)
	if salt() != first {
		t.Error("a change of the memory changed the salt")
	}
	for _, how := range []string{"mask", "hash"} {
		s.Pipeline.APIKey = how
		mustApply(t, newFunction(wantOf(s), c))
		if salt() != first {
			t.Errorf("api_key: %s changed the salt", how)
		}
	}
}

func TestFunctionWithoutZip(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	r := newFunction(wantOf(s), c)
	mustApply(t, r)
	s.Zip = nil
	r = newFunction(wantOf(s), c)
	if found := mustRead(t, r); len(found.Changed()) > 0 {
		t.Errorf("without a zip Read differs in %v", found.Changed())
	}
	if _, err := r.Destroy(t.Context(), mustRead(t, r), quiet); err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(t.Context(), mustRead(t, r), quiet); err == nil || !strings.Contains(err.Error(), "--function-zip") {
		t.Errorf("Apply without a zip: %v, want the next step", err)
	}
}
