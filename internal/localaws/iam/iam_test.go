package iam_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	iamsdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/stagelog/stagelog/internal/localaws/iam"
	"github.com/stagelog/stagelog/internal/localaws/wire/wiretest"
	"github.com/stagelog/stagelog/internal/record/recordtest"
	"github.com/stagelog/stagelog/internal/testenv"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"123456789012"}}}]}`
const permissions = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject"],"Resource":"arn:aws:s3:::b/*"}]}`

// serve opens IAM over a store behind an AWS endpoint and returns its client.
func serve(t *testing.T, store *recordtest.Store) *iamsdk.Client {
	t.Helper()
	s, err := iam.Open(t.Context(), wiretest.Account, store)
	if err != nil {
		t.Fatal(err)
	}
	return iamsdk.New(iamsdk.Options{Region: wiretest.Region, BaseEndpoint: aws.String(wiretest.Serve(t, "iam", s)), RetryMaxAttempts: 1, HTTPClient: testenv.SDKClient(nil), Credentials: wiretest.Credentials()})
}

func TestRoles(t *testing.T) {
	store := &recordtest.Store{}
	c := serve(t, store)
	ctx, name := t.Context(), aws.String("stagelog-acme-firehose")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.GetRole(ctx, &iamsdk.GetRoleInput{RoleName: name})
	if none := (*types.NoSuchEntityException)(nil); !errors.As(err, &none) {
		t.Errorf("GetRole of none: %v, want NoSuchEntity", err)
	}
	if _, err := c.ListAttachedRolePolicies(ctx, &iamsdk.ListAttachedRolePoliciesInput{RoleName: name}); wiretest.Code(err) != "NoSuchEntity" {
		t.Errorf("ListAttachedRolePolicies of no role: %v, want NoSuchEntity", err)
	}
	tags := []types.Tag{{Key: aws.String("stagelog"), Value: aws.String("eu-west-1/acme")}}
	_, err = c.CreateRole(ctx, &iamsdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust), Tags: tags, Description: aws.String("for a test")})
	ok(err)
	_, err = c.CreateRole(ctx, &iamsdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust)})
	if there := (*types.EntityAlreadyExistsException)(nil); !errors.As(err, &there) {
		t.Errorf("CreateRole twice: %v, want EntityAlreadyExists", err)
	}
	_, err = c.UpdateAssumeRolePolicy(ctx, &iamsdk.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: aws.String("{")})
	if bad := (*types.MalformedPolicyDocumentException)(nil); !errors.As(err, &bad) {
		t.Errorf("a trust that is no JSON: %v, want MalformedPolicyDocument", err)
	}
	_, err = c.PutRolePolicy(ctx, &iamsdk.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("stagelog"), PolicyDocument: aws.String(permissions)})
	ok(err)
	store.Fail(errors.New("a full disk"))
	if _, err := c.UntagRole(ctx, &iamsdk.UntagRoleInput{RoleName: name, TagKeys: []string{"stagelog"}}); wiretest.Code(err) != "ServiceFailure" {
		t.Errorf("a change that cannot be stored: %v, want ServiceFailure", err)
	}
	store.Fail(nil)

	c = serve(t, store) // what was made is there after a restart
	role, err := c.GetRole(ctx, &iamsdk.GetRoleInput{RoleName: name})
	ok(err)
	if arn := aws.ToString(role.Role.Arn); arn != "arn:aws:iam::123456789012:role/stagelog-acme-firehose" {
		t.Errorf("the role's ARN is %s", arn)
	}
	if len(role.Role.Tags) != 1 || aws.ToString(role.Role.Tags[0].Value) != "eu-west-1/acme" {
		t.Errorf("the role's tags are %v", role.Role.Tags)
	}
	policy, err := c.GetRolePolicy(ctx, &iamsdk.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("stagelog")})
	ok(err)
	if text, err := url.PathUnescape(aws.ToString(policy.PolicyDocument)); text != permissions || err != nil {
		t.Errorf("the policy is %s (%v)", text, err)
	}
	attached, err := c.ListAttachedRolePolicies(ctx, &iamsdk.ListAttachedRolePoliciesInput{RoleName: name})
	ok(err)
	if len(attached.AttachedPolicies) != 0 || attached.IsTruncated {
		t.Errorf("attached policies: %+v, want none", attached)
	}
	if _, err := c.DeleteRole(ctx, &iamsdk.DeleteRoleInput{RoleName: name}); wiretest.Code(err) != "DeleteConflict" {
		t.Errorf("DeleteRole with a policy: %v, want DeleteConflict", err)
	}
	_, err = c.DeleteRolePolicy(ctx, &iamsdk.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("stagelog")})
	ok(err)
	_, err = c.DeleteRole(ctx, &iamsdk.DeleteRoleInput{RoleName: name})
	ok(err)
	if _, err := c.CreateUser(ctx, &iamsdk.CreateUserInput{UserName: aws.String("eva")}); wiretest.Code(err) != "InvalidAction" {
		t.Errorf("CreateUser: %v, want InvalidAction", err)
	}
}
