package provision

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/moto"
)

// someZip is a deployment package that is told from others by its text.
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

// functionSpec is a pipeline with a zip, in an account that has the function's role.
func functionSpec(t *testing.T, c *Clients) *Spec {
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
	if s := mustRead(t, r); !s.Exists || s.Needs != NoConsent || len(s.Changed()) > 0 {
		t.Fatalf("after Apply it is %+v, with the changes %v", s, s.Changed())
	}
}

func TestFunctionIsMadeMendedAndRemoved(t *testing.T) {
	fast(t)
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	r := newFunction(s, c)
	if mustRead(t, r).Exists {
		t.Fatal("there is a function in an empty account")
	}
	mustApply(t, r)
	name := aws.String(r.Name())
	configure := func(in lambda.UpdateFunctionConfigurationInput) func() error {
		in.FunctionName = name
		return func() error { _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &in); return err }
	}
	tests := []struct {
		by   func() error
		want []string
	}{
		{configure(lambda.UpdateFunctionConfigurationInput{MemorySize: aws.Int32(128)}), []string{"memory"}},
		{configure(lambda.UpdateFunctionConfigurationInput{Timeout: aws.Int32(3)}), []string{"timeout"}},
		{configure(lambda.UpdateFunctionConfigurationInput{Handler: aws.String("main")}), []string{"handler"}},
		{configure(lambda.UpdateFunctionConfigurationInput{Role: aws.String("arn:aws:iam::123456789012:role/other")}), []string{"role"}},
		{configure(lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: map[string]string{"STAGELOG_API_KEY": "keep"}}}), []string{"environment"}},
		{func() error {
			_, err := c.Lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: someZip(t, "two")})
			return err
		}, []string{"code"}},
		{func() error {
			_, err := c.Lambda.UntagResource(t.Context(), &lambda.UntagResourceInput{Resource: aws.String(s.FunctionARN()), TagKeys: []string{OwnerTag}})
			return err
		}, []string{"tag stagelog"}},
	}
	for _, tt := range tests {
		if err := tt.by(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, changedNames(mustRead(t, r))); diff != "" {
			t.Errorf("after a change of %v by hand, Read differs in (-want +got):\n%s", tt.want, diff)
		}
		mustApply(t, r)
	}
	did, err := r.Destroy(t.Context(), mustRead(t, r), quiet)
	if err != nil || did != "deleted" || mustRead(t, r).Exists {
		t.Errorf("Destroy = %q, %v", did, err)
	}
}

func TestFunctionOfOthersNeedsAConsent(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	r := newFunction(s, c)
	_, err := c.Lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: aws.String(r.Name()), Role: aws.String(s.RoleARN(s.FunctionRole())),
		Runtime: types.RuntimePython312, Architectures: []types.Architecture{types.ArchitectureArm64}, Handler: aws.String("lambda_function.lambda_handler"), Code: &types.FunctionCode{ZipFile: someZip(t, "theirs")},
		Environment: &types.Environment{Variables: map[string]string{"THEIRS": "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	found := mustRead(t, r)
	if found.Needs != Adopt {
		t.Fatalf("Read = %+v, want the consent adopt", found)
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
		t.Errorf("after it was taken over, its variables are %v (%v), want theirs to stay", now.Configuration.Environment, err)
	}
}

// The salt is drawn once and never shown.
func TestTheSaltStays(t *testing.T) {
	fast(t)
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	s.Pipeline.APIKey = "hash"
	r := newFunction(s, c)
	mustApply(t, r)
	salt := func() string {
		t.Helper()
		now, err := r.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return now.Configuration.Environment.Variables[SaltVariable]
	}
	first := salt()
	s.Pipeline.AWS.Memory *= 2
	if found := mustRead(t, r); len(first) < 20 || strings.Contains(fmt.Sprint(found), first) {
		t.Errorf("the salt %q is short, or shown: %+v", first, found)
	}
	mustApply(t, r)
	if salt() != first {
		t.Error("a change of the memory changed the salt")
	}
}

// fast makes waiting short.
func fast(t *testing.T) {
	t.Helper()
	poll := functionPoll
	functionPoll = time.Millisecond
	t.Cleanup(func() { functionPoll = poll })
}

// What Lambda does and moto does not: it does not know a new role, it takes its time, it fails.
func TestFunctionWaitsForLambda(t *testing.T) {
	fast(t)
	const pending, active = `"State":"Pending"`, `"State":"Active","LastUpdateStatus":"Successful"`
	tests := []struct {
		name    string
		create  []string // answers to CreateFunction, in order; "" is good
		states  []string // of GetFunction, in order; the last one stays
		said    string
		wantErr string
	}{
		{name: "at once", create: []string{""}, states: []string{active}},
		{name: "the role is new", states: []string{active}, said: "new role",
			create: []string{`InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda.`, `InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda.`, ""}},
		{name: "it takes its time", create: []string{""}, states: []string{pending, pending, active}, said: "until it is Active"},
		{name: "it fails", create: []string{""}, states: []string{pending, `"State":"Failed","StateReason":"no room","StateReasonCode":"InternalError"`}, wantErr: "no room (InternalError)"},
		{name: "another parameter is wrong", create: []string{`InvalidParameterValueException: Unzipped size must be smaller`}, states: []string{active}, wantErr: "Unzipped size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			creates, gets := 0, 0
			m := moto.Server{URL: "http://127.0.0.1:1"}
			c := NewClients(m.Config(roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost {
					answer := tt.create[min(creates, len(tt.create)-1)]
					creates++
					if answer == "" {
						return jsonAnswer(req, http.StatusCreated, `{}`), nil
					}
					code, message, _ := strings.Cut(answer, ": ")
					res := jsonAnswer(req, http.StatusBadRequest, fmt.Sprintf(`{"Message":%q}`, message))
					res.Header.Set("X-Amzn-Errortype", code)
					return res, nil
				}
				state := tt.states[min(gets, len(tt.states)-1)]
				gets++
				return jsonAnswer(req, http.StatusOK, `{"Configuration":{`+state+`}}`), nil
			})))
			var said []string
			err := newFunction(functionSpec(t, nil), c).Apply(t.Context(), State{}, func(s string) { said = append(said, s) })
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Apply: %v, want %q", err, tt.wantErr)
			}
			if creates != len(tt.create) || !strings.Contains(fmt.Sprint(said), tt.said) {
				t.Errorf("%d calls to create, want %d; said %q, want %q", creates, len(tt.create), said, tt.said)
			}
		})
	}
}

func TestFunctionWithoutAZip(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := functionSpec(t, c)
	r := newFunction(s, c)
	mustApply(t, r)
	s.Zip = nil
	if found := mustRead(t, r); len(found.Changed()) > 0 {
		t.Errorf("without a zip the function differs in %v", found.Changed())
	}
	if _, err := r.Destroy(t.Context(), mustRead(t, r), quiet); err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(t.Context(), mustRead(t, r), quiet); err == nil || !strings.Contains(err.Error(), "--function-zip") {
		t.Errorf("Apply without a zip: %v, want what to do", err)
	}
}

func TestRoleIsMadeMendedAndRemoved(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	for _, r := range []*role{newFunctionRole(streamSpec(t), c), newFirehoseRole(streamSpec(t), c)} {
		mustApply(t, r)
		tests := []struct {
			by   func() error
			want []string
		}{
			{func() error {
				_, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &r.name, PolicyName: aws.String(rolePolicy), PolicyDocument: aws.String(everything)})
				return err
			}, []string{"policy stagelog"}},
			{func() error {
				_, err := c.IAM.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: &r.name, PolicyName: aws.String(rolePolicy)})
				return err
			}, []string{"policy stagelog"}},
			{func() error {
				_, err := c.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &r.name,
					PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
				return err
			}, []string{"trust policy"}},
			{func() error {
				_, err := c.IAM.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: &r.name, TagKeys: []string{OwnerTag}})
				return err
			}, []string{"tag stagelog"}},
		}
		for _, tt := range tests {
			if err := tt.by(); err != nil {
				t.Fatal(err)
			}
			found := mustRead(t, r)
			if diff := cmp.Diff(tt.want, changedNames(found)); diff != "" {
				t.Errorf("%s: after a change of %v by hand, Read differs in (-want +got):\n%s", r.name, tt.want, diff)
			}
			if (found.Needs == Adopt) != (tt.want[0] == "tag stagelog") {
				t.Errorf("%s: after a change of %v it needs %q", r.name, tt.want, found.Needs)
			}
			mustApply(t, r)
		}
		_, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &r.name, PolicyName: aws.String("theirs"), PolicyDocument: aws.String(everything)})
		if err != nil {
			t.Fatal(err)
		}
		found := mustRead(t, r)
		if len(found.Changed()) > 0 || len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "theirs") {
			t.Errorf("%s: another policy: Read = %+v, want a note and no change", r.name, found)
		}
		did, err := r.Destroy(t.Context(), found, quiet)
		if err != nil || did != "deleted, with the policies theirs" || mustRead(t, r).Exists {
			t.Errorf("%s: Destroy = %q, %v", r.name, did, err)
		}
	}
}
