package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// RolePolicies holds what an IAM role may do, and who may assume it.
type RolePolicies struct {
	ARN, Name string
	Missing   bool
	Err       error // reading the role failed

	Trust    policy.Document
	Policies []policy.Document
	Boundary []policy.Document // nil without a permissions boundary
	Partly   error             // reading some of its policies failed

	LacksAction, LacksResource string // the permission that was missing if Err or Partly is set

	c *iam.Client
}

// ReadRole reads a role with all its policies.
func ReadRole(ctx context.Context, c *Clients, roleARN string) *RolePolicies {
	ro := &RolePolicies{ARN: roleARN, Name: roleName(roleARN), c: c.IAM}
	out, err := ro.c.GetRole(ctx, &iam.GetRoleInput{RoleName: &ro.Name})
	if awserr.NotFound(err) {
		ro.Missing = true
		return ro
	}
	if err != nil {
		ro.Err, ro.LacksAction, ro.LacksResource = err, "iam:GetRole", roleARN
		return ro
	}
	if at := aws.ToString(out.Role.Arn); at != roleARN && sameAccount(at, roleARN) {
		ro.Missing = true // a role with this name exists, but with another path
		return ro
	}
	ro.Trust, err = policy.Parse(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err != nil {
		ro.Err = fmt.Errorf("read the trust policy of %s: %w", ro.Name, err)
		return ro
	}
	if b := out.Role.PermissionsBoundary; b != nil {
		if doc, ok := ro.readManaged(ctx, aws.ToString(b.PermissionsBoundaryArn)); ok {
			ro.Boundary = []policy.Document{doc}
		}
	}
	ro.readInline(ctx)
	ro.readAttached(ctx)
	return ro
}

// roleName returns the name in a role's ARN, without its path.
func roleName(roleARN string) string { return roleARN[strings.LastIndexByte(roleARN, '/')+1:] }

func sameAccount(a, b string) bool {
	x, err1 := arn.Parse(a)
	y, err2 := arn.Parse(b)
	return err1 == nil && err2 == nil && x.AccountID == y.AccountID
}

func (ro *RolePolicies) lacks(err error, action, resource string) {
	if ro.Partly == nil {
		ro.Partly, ro.LacksAction, ro.LacksResource = err, action, resource
	}
}

func (ro *RolePolicies) readInline(ctx context.Context) {
	for page, err := range Pages(ctx, iam.NewListRolePoliciesPaginator(ro.c, &iam.ListRolePoliciesInput{RoleName: &ro.Name})) {
		if err != nil {
			ro.lacks(err, "iam:ListRolePolicies", ro.ARN)
			return
		}
		for _, name := range page.PolicyNames {
			out, err := ro.c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &ro.Name, PolicyName: &name})
			if err != nil {
				ro.lacks(err, "iam:GetRolePolicy", ro.ARN)
				continue
			}
			doc, err := policy.Parse(aws.ToString(out.PolicyDocument))
			if err != nil {
				ro.lacks(fmt.Errorf("read a policy of %s: %w", ro.Name, err), "iam:GetRolePolicy", ro.ARN)
				continue
			}
			ro.Policies = append(ro.Policies, doc)
		}
	}
}

func (ro *RolePolicies) readAttached(ctx context.Context) {
	for page, err := range Pages(ctx, iam.NewListAttachedRolePoliciesPaginator(ro.c, &iam.ListAttachedRolePoliciesInput{RoleName: &ro.Name})) {
		if awserr.Unsupported(err) {
			return // the endpoint does not support managed policies
		}
		if err != nil {
			ro.lacks(err, "iam:ListAttachedRolePolicies", ro.ARN)
			return
		}
		for _, p := range page.AttachedPolicies {
			if doc, ok := ro.readManaged(ctx, aws.ToString(p.PolicyArn)); ok {
				ro.Policies = append(ro.Policies, doc)
			}
		}
	}
}

// readManaged returns the default version of a managed policy.
func (ro *RolePolicies) readManaged(ctx context.Context, policyARN string) (policy.Document, bool) {
	out, err := ro.c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &policyARN})
	if err != nil {
		ro.lacks(err, "iam:GetPolicy", policyARN)
		return policy.Document{}, false
	}
	version, err := ro.c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &policyARN, VersionId: out.Policy.DefaultVersionId})
	if err != nil {
		ro.lacks(err, "iam:GetPolicyVersion", policyARN)
		return policy.Document{}, false
	}
	doc, err := policy.Parse(aws.ToString(version.PolicyVersion.Document))
	if err != nil {
		ro.lacks(err, "iam:GetPolicyVersion", policyARN)
	}
	return doc, err == nil
}

// Decide evaluates the role's own policies for a request. others are resource policies that can also allow it.
func (ro *RolePolicies) Decide(req policy.Request, others ...policy.Document) policy.Decision {
	req.Principal = ro.ARN
	own, _ := policy.Evaluate(ro.Policies, req)
	if own == policy.Deny {
		return policy.Deny
	}
	if len(ro.Boundary) > 0 {
		if limit, _ := policy.Evaluate(ro.Boundary, req); limit != policy.Allow {
			return limit
		}
	}
	if own == policy.NoMatch {
		if given, _ := policy.Evaluate(others, req); given == policy.Allow {
			return policy.Allow
		}
	}
	return own
}
