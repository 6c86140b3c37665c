package provision

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// managed creates a managed policy and returns its ARN.
func managed(t *testing.T, c *Clients, name string) string {
	t.Helper()
	made, err := c.IAM.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: aws.String(everything)})
	if err != nil {
		t.Fatal(err)
	}
	return *made.Policy.Arn
}

func TestRoleBoundaryAndPath(t *testing.T) {
	m := moto.Start(t)
	c, s := NewClients(m.Config(nil)), streamSpec(t)
	boundary, other := managed(t, c, "boundary"), managed(t, c, "other")
	s.Pipeline.AWS.PermissionsBoundary, s.Pipeline.AWS.RolePath = boundary, "/delivery/"
	mustApply(t, newFunctionRole(s, c))
	now, err := newFunctionRole(s, c).get(t.Context())
	if err != nil || *now.Path != "/delivery/" || now.PermissionsBoundary == nil || *now.PermissionsBoundary.PermissionsBoundaryArn != boundary || *now.Arn != s.FunctionRoleARN() {
		t.Fatalf("the role is %+v (%v), want one with path and boundary", now, err)
	}
	for _, tt := range []struct {
		boundary string
		call     []string
		want     string
	}{
		{boundary, nil, boundary},
		{other, []string{"PutRolePermissionsBoundary"}, other},
		{"", nil, other},
		{config.None, []string{"DeleteRolePermissionsBoundary"}, ""},
		{config.None, nil, ""},
	} {
		s.Pipeline.AWS.PermissionsBoundary = tt.boundary
		calls := &wire{}
		r := newFunctionRole(s, NewClients(m.Config(calls)))
		mustApply(t, r)
		now, err := r.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		have := ""
		if now.PermissionsBoundary != nil {
			have = aws.ToString(now.PermissionsBoundary.PermissionsBoundaryArn)
		}
		if diff := cmp.Diff(tt.call, calls.writes); have != tt.want || diff != "" {
			t.Errorf("permissions_boundary %q: the role has %q, want %q; calls (-want +got):\n%s", tt.boundary, have, tt.want, diff)
		}
	}
	s.Pipeline.AWS.RolePath = ""
	if _, err := newFunctionRole(s, c).Read(t.Context()); err == nil || cannotBeOurs(err) || !strings.Contains(err.Error(), "set role_path: /delivery/ in stagelog.yaml") {
		t.Errorf("Read with another path = %v, want an error that names role_path", err)
	}
}

func TestGivenRoleIsNotChanged(t *testing.T) {
	m := moto.Start(t)
	c, s := NewClients(m.Config(nil)), streamSpec(t)
	s.Pipeline.AWS.FunctionRole = "arn:aws:iam::" + moto.Account + ":role/shared/function"
	role := func() Resource { return PartsOf(wantOf(s), c).Function[1] }
	if _, err := role().Read(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") || !strings.Contains(err.Error(), "apigateway:GET") {
		t.Errorf("Read without the role = %v, want an error with the policy that it needs", err)
	}
	create := func(trust string) {
		t.Helper()
		if _, err := c.IAM.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("function"), Path: aws.String("/shared/"), AssumeRolePolicyDocument: &trust}); err != nil {
			t.Fatal(err)
		}
	}
	create(theirTrust)
	found := readOf(t, role())
	if len(found.Changed()) > 0 || found.RequiredFlag != NoFlag || len(found.Notes) != 1 {
		t.Fatalf("Read = %+v, want a note only", found)
	}
	for _, want := range []string{"lacks trust in lambda.amazonaws.com, apigateway:GET", "s3:PutObject", `"Service": "lambda.amazonaws.com"`, `"Action": "apigateway:GET"`} {
		if !strings.Contains(found.Notes[0], want) {
			t.Errorf("the note does not contain %q:\n%s", want, found.Notes[0])
		}
	}
	for _, change := range []error{
		func() error {
			_, err := c.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("function"), PolicyDocument: aws.String(wantOf(s).FunctionRole.Trust.JSON())})
			return err
		}(),
		func() error {
			_, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("function"), PolicyName: aws.String("p"), PolicyDocument: aws.String(wantOf(s).FunctionRole.Permissions.JSON())})
			return err
		}(),
	} {
		if change != nil {
			t.Fatal(change)
		}
	}
	if found := readOf(t, role()); len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "has the trust and the permissions") {
		t.Errorf("Read of a role with all it needs = %+v", found)
	}
	s.Account = "999999999999"
	if _, err := role().Read(t.Context()); err == nil || !strings.Contains(err.Error(), "own account") {
		t.Errorf("Read in another account = %v", err)
	}
}

// destroy leaves a given role, and deletes the one that an earlier deploy created.
func TestDestroyLeavesGivenRole(t *testing.T) {
	m := moto.Start(t)
	c, s := NewClients(m.Config(nil)), streamSpec(t)
	mustApply(t, newFirehoseRole(s, c))
	if _, err := c.IAM.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("theirs"), AssumeRolePolicyDocument: aws.String(theirTrust)}); err != nil {
		t.Fatal(err)
	}
	s.Pipeline.AWS.FirehoseRole = "arn:aws:iam::" + moto.Account + ":role/theirs"
	removals, err := FindRemovals(t.Context(), s, c)
	if err != nil || len(removals) != 1 || removals[0].Name != s.FirehoseRole() || !removals[0].Ours {
		t.Fatalf("FindRemovals = %+v, %v, want the role that deploy created", removals, err)
	}
	if err := Remove(t.Context(), removals, func(Event) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.IAM.GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("theirs")}); err != nil {
		t.Errorf("the given role after destroy: %v", err)
	}
}

func TestLogGroupKeyAndRetention(t *testing.T) {
	m := moto.Start(t)
	s := streamSpec(t)
	const key = "arn:aws:kms:eu-west-1:123456789012:key/k"
	s.Pipeline.AWS.LogKey, s.Pipeline.AWS.LogDays = key, 0
	var calls []string
	// moto has no operations for the key of an existing group.
	c := NewClients(m.Config(roundTrip(func(r *http.Request) (*http.Response, error) {
		_, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if !strings.HasPrefix(call, "Describe") && !strings.HasPrefix(call, "List") {
			calls = append(calls, call)
		}
		if strings.HasSuffix(call, "KmsKey") {
			return jsonAnswer(r, 200, "{}"), nil
		}
		return http.DefaultTransport.RoundTrip(r)
	})))
	r := newLogGroup(s, wantOf(s).FunctionLog, c)
	applyTo(t, r)
	if diff := cmp.Diff([]string{"CreateLogGroup"}, calls); diff != "" || len(readOf(t, r).Changed()) > 0 {
		t.Errorf("calls to create a group with a key and without retention (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		key, field, call string
	}{{config.None, key, "DisassociateKmsKey"}, {"arn:aws:kms:eu-west-1:123456789012:key/other", key, "AssociateKmsKey"}, {"", "", ""}} {
		calls, s.Pipeline.AWS.LogKey = nil, tt.key
		r := newLogGroup(s, wantOf(s).FunctionLog, c)
		if found := readOf(t, r); found.have(fieldKey) != tt.field {
			t.Errorf("kms_key %q: Read has the key %q, want %q", tt.key, found.have(fieldKey), tt.field)
		}
		applyTo(t, r)
		if got := strings.Join(calls, " "); got != tt.call {
			t.Errorf("kms_key %q: calls %q, want %q", tt.key, got, tt.call)
		}
	}
	s.Pipeline.AWS.LogDays = 90
	applyTo(t, newLogGroup(s, wantOf(s).FunctionLog, c))
	s.Pipeline.AWS.LogDays = 30
	if found := readOf(t, newLogGroup(s, wantOf(s).FunctionLog, c)); len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "log_days: keep") {
		t.Errorf("Read with another retention = %+v, want a note about log_days: keep", found)
	}
}

func TestFunctionKeyIsSetOnlyIfGiven(t *testing.T) {
	for _, tt := range []struct {
		key  string
		want *string
	}{{"", nil}, {config.None, aws.String("")}, {"arn", aws.String("arn")}} {
		r := &function{s: streamSpec(t), want: desired.Function{Key: tt.key}}
		if diff := cmp.Diff(tt.want, r.key()); diff != "" {
			t.Errorf("kms_key %q (-want +got):\n%s", tt.key, diff)
		}
	}
}
