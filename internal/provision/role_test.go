package provision

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

const (
	everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	theirTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
)

func TestRoleLifecycle(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	for _, r := range []*role{newFunctionRole(streamSpec(t), c), newFirehoseRole(streamSpec(t), c)} {
		mustApply(t, r)
		tests := []struct {
			field string
			call  string // that repairs it
			by    func() error
		}{
			{"policy stagelog", "PutRolePolicy", func() error {
				_, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &r.want.Name, PolicyName: aws.String(desired.RolePolicy), PolicyDocument: aws.String(everything)})
				return err
			}},
			{"policy stagelog", "PutRolePolicy", func() error {
				_, err := c.IAM.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: &r.want.Name, PolicyName: aws.String(desired.RolePolicy)})
				return err
			}},
			{"trust policy", "UpdateAssumeRolePolicy", func() error {
				_, err := c.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &r.want.Name, PolicyDocument: aws.String(theirTrust)})
				return err
			}},
			{"tag stagelog", "TagRole", func() error {
				_, err := c.IAM.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: &r.want.Name, TagKeys: []string{desired.OwnerTag}})
				return err
			}},
		}
		for _, tt := range tests {
			if err := tt.by(); err != nil {
				t.Fatal(err)
			}
			found := mustRead(t, r)
			if diff := cmp.Diff([]string{tt.field}, changedNames(found)); diff != "" {
				t.Errorf("%s: after a manual change of the %s, Read differs in (-want +got):\n%s", r.want.Name, tt.field, diff)
			}
			if (found.RequiredFlag == AdoptFlag) != (tt.field == "tag stagelog") {
				t.Errorf("%s: after a manual change of the %s Read requires %q", r.want.Name, tt.field, found.RequiredFlag)
			}
			calls := &wire{}
			through := *r
			through.c = NewClients(m.Config(calls)).IAM
			mustApply(t, &through)
			if diff := cmp.Diff([]string{tt.call}, calls.writes); diff != "" {
				t.Errorf("%s: calls to repair the %s (-want +got):\n%s", r.want.Name, tt.field, diff)
			}
		}
		_, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &r.want.Name, PolicyName: aws.String("theirs"), PolicyDocument: aws.String(everything)})
		if err != nil {
			t.Fatal(err)
		}
		found := mustRead(t, r)
		if len(found.Changed()) > 0 || len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "theirs") {
			t.Errorf("%s: another policy: Read = %+v, want a note and no change", r.want.Name, found)
		}
		did, err := r.Destroy(t.Context(), found, quiet)
		if err != nil || did != "deleted, with the policies theirs" || mustRead(t, r).Exists {
			t.Errorf("%s: Destroy = %q, %v", r.want.Name, did, err)
		}
	}
}

func TestRoleAdoption(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	r := newFirehoseRole(streamSpec(t), c)
	given := func(in iam.CreateRoleInput) {
		t.Helper()
		m.Reset()
		in.RoleName, in.AssumeRolePolicyDocument = &r.want.Name, aws.String(theirTrust)
		if _, err := c.IAM.CreateRole(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		tags []types.Tag
		flag Flag
		why  string
	}{
		{"no tag", nil, AdoptFlag, "not created by stagelog"},
		{"another tag", []types.Tag{{Key: aws.String("team"), Value: aws.String("theirs")}}, AdoptFlag, "not created by stagelog"},
		{"a tag that names no pipeline", []types.Tag{{Key: aws.String(desired.OwnerTag), Value: aws.String("yes")}}, AdoptFlag, "its tag stagelog has the value yes"},
		{"the same name in another Region", []types.Tag{{Key: aws.String(desired.OwnerTag), Value: aws.String("us-east-1/acme")}}, TakeFrom("us-east-1/acme"), "us-east-1/acme"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			given(iam.CreateRoleInput{Tags: tt.tags})
			found := mustRead(t, r)
			if found.RequiredFlag != tt.flag || !strings.Contains(found.Reason, tt.why) {
				t.Errorf("Read = %+v, want the flag %s because of %q", found, tt.flag, tt.why)
			}
			if did, err := r.Destroy(t.Context(), found, quiet); did != "" || err != nil || !mustRead(t, r).Exists {
				t.Errorf("Destroy of it = %q, %v, want nothing done", did, err)
			}
			if err := r.Apply(t.Context(), State{}, quiet); !errors.Is(err, ErrChanged) {
				t.Errorf("Apply to a role created in the meantime: %v, want ErrChanged", err)
			}
			mustApply(t, r)
			now, err := r.get(t.Context())
			if want := max(1, len(tt.tags)); err != nil || len(now.Tags) < want {
				t.Errorf("after adoption its tags are %v (%v), want foreign ones kept", now.Tags, err)
			}
		})
	}

	given(iam.CreateRoleInput{Path: aws.String("/service-role/")})
	if _, err := r.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "/service-role/") {
		t.Errorf("Read of a role with another path: %v, want an error with the path", err)
	}
}

// Read notes foreign policies and a permissions boundary. Destroy detaches them, as IAM requires.
func TestRoleWithManagedPolicies(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	r := newFunctionRole(streamSpec(t), c)
	mustApply(t, r)
	made, err := c.IAM.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("audit"), PolicyDocument: aws.String(everything)})
	if err == nil {
		_, err = c.IAM.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &r.want.Name, PolicyArn: made.Policy.Arn})
	}
	if err == nil {
		_, err = c.IAM.PutRolePermissionsBoundary(t.Context(), &iam.PutRolePermissionsBoundaryInput{RoleName: &r.want.Name, PermissionsBoundary: made.Policy.Arn})
	}
	if err != nil {
		t.Fatal(err)
	}
	found := mustRead(t, r)
	if len(found.Changed()) > 0 || len(found.Notes) != 2 || !strings.Contains(found.Notes[0], "audit") || !strings.Contains(found.Notes[1], "boundary") {
		t.Errorf("Read = %+v, want notes about the policy and the boundary, and no change", found)
	}
	did, err := r.Destroy(t.Context(), found, quiet)
	if err != nil || did != "deleted, with the policies audit" || mustRead(t, r).Exists {
		t.Errorf("Destroy = %q, %v", did, err)
	}
	if _, err := c.IAM.GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: made.Policy.Arn}); err != nil {
		t.Errorf("Destroy deleted the attached policy: %v", err)
	}
}
