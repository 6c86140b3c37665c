package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// role holds the trust and permissions of an IAM role.
type role struct {
	arn, name string
	missing   bool
	err       error // reading the role failed
	need      need  // the permission that was missing if err or partly is set

	trust    policy.Document
	policies []policy.Document
	boundary []policy.Document // nil without a permissions boundary
	partly   error             // reading some of its policies failed
}

// readRole reads a role with all its policies.
func (r *run) readRole(ctx context.Context, roleARN string) *role {
	ro := &role{arn: roleARN, name: roleARN[strings.LastIndexByte(roleARN, '/')+1:]}
	out, err := r.c.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &ro.name})
	if awserr.NotFound(err) {
		ro.missing = true
		return ro
	}
	if err != nil {
		ro.err, ro.need = err, need{"iam:GetRole", roleARN}
		return ro
	}
	if at := aws.ToString(out.Role.Arn); at != roleARN && sameAccount(at, roleARN) {
		ro.missing = true // a role with this name exists, but with another path
		return ro
	}
	ro.trust, err = policy.Parse(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err != nil {
		ro.err = fmt.Errorf("read the trust policy of %s: %w", ro.name, err)
		return ro
	}
	if b := out.Role.PermissionsBoundary; b != nil {
		if doc, ok := r.readManaged(ctx, ro, aws.ToString(b.PermissionsBoundaryArn)); ok {
			ro.boundary = []policy.Document{doc}
		}
	}
	r.readInline(ctx, ro)
	r.readAttached(ctx, ro)
	return ro
}

func sameAccount(a, b string) bool {
	x, err1 := arn.Parse(a)
	y, err2 := arn.Parse(b)
	return err1 == nil && err2 == nil && x.AccountID == y.AccountID
}

func (ro *role) lacks(err error, action, resource string) {
	if ro.partly == nil {
		ro.partly, ro.need = err, need{action, resource}
	}
}

func (r *run) readInline(ctx context.Context, ro *role) {
	for page, err := range provision.Pages(ctx, iam.NewListRolePoliciesPaginator(r.c.IAM, &iam.ListRolePoliciesInput{RoleName: &ro.name})) {
		if err != nil {
			ro.lacks(err, "iam:ListRolePolicies", ro.arn)
			return
		}
		for _, name := range page.PolicyNames {
			out, err := r.c.IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &ro.name, PolicyName: &name})
			if err != nil {
				ro.lacks(err, "iam:GetRolePolicy", ro.arn)
				continue
			}
			ro.add(aws.ToString(out.PolicyDocument))
		}
	}
}

func (r *run) readAttached(ctx context.Context, ro *role) {
	for page, err := range provision.Pages(ctx, iam.NewListAttachedRolePoliciesPaginator(r.c.IAM, &iam.ListAttachedRolePoliciesInput{RoleName: &ro.name})) {
		if awserr.Unsupported(err) {
			return // the endpoint does not support managed policies
		}
		if err != nil {
			ro.lacks(err, "iam:ListAttachedRolePolicies", ro.arn)
			return
		}
		for _, p := range page.AttachedPolicies {
			if doc, ok := r.readManaged(ctx, ro, aws.ToString(p.PolicyArn)); ok {
				ro.policies = append(ro.policies, doc)
			}
		}
	}
}

// readManaged returns the default version of a managed policy.
func (r *run) readManaged(ctx context.Context, ro *role, policyARN string) (policy.Document, bool) {
	out, err := r.c.IAM.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &policyARN})
	if err != nil {
		ro.lacks(err, "iam:GetPolicy", policyARN)
		return policy.Document{}, false
	}
	version, err := r.c.IAM.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &policyARN, VersionId: out.Policy.DefaultVersionId})
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

func (ro *role) add(text string) {
	doc, err := policy.Parse(text)
	if err != nil {
		ro.lacks(fmt.Errorf("read a policy of %s: %w", ro.name, err), "iam:GetRolePolicy", ro.arn)
		return
	}
	ro.policies = append(ro.policies, doc)
}

// call is an API call that a role must be allowed to make.
type call struct {
	action, resource string
	context          map[string][]string
	required         bool   // the chain fails without it; otherwise it is only documented by AWS
	consequence      string // of a denial
}

// verdict evaluates a role's own policies for a call. others are resource policies that can also
// allow it.
func (ro *role) verdict(c call, others ...policy.Document) policy.Decision {
	req := policy.Request{Principal: ro.arn, Action: c.action, Resource: c.resource, Context: c.context}
	own, _ := policy.Evaluate(ro.policies, req)
	if own == policy.Deny {
		return policy.Deny
	}
	if len(ro.boundary) > 0 {
		if limit, _ := policy.Evaluate(ro.boundary, req); limit != policy.Allow {
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

// actor is a part of the chain that makes calls with a role.
type actor struct {
	link, who string
	role      *role
	others    []policy.Document // resource policies that can also allow the role
}

const checkedPermissions = "role permissions"

// checkPermissions evaluates the calls of an actor, and reports all missing permissions together.
func (r *run) checkPermissions(s *stream, a actor, calls []call) {
	link, name, ro := a.link, checkedPermissions, a.role
	switch {
	case ro.missing:
		return // reported by checkTrust
	case ro.err != nil:
		r.unknown(link, name, "the permissions of the role "+ro.name, ro.need, ro.err)
		return
	}
	var required, documented []call
	denied := false
	for _, c := range calls {
		switch decision := ro.verdict(c, a.others...); {
		case decision == policy.Allow:
		case decision == policy.Deny:
			denied = true
			required = append(required, c)
		case c.required:
			required = append(required, c)
		default:
			documented = append(documented, c)
		}
	}
	switch {
	case len(required)+len(documented) == 0:
		r.out.ok(link, name, "%s has all %d permissions it needs, from the role %s", a.who, len(calls), ro.name)
	case ro.partly != nil && !denied: // a policy that could not be read may allow it
		r.unknown(link, name, fmt.Sprintf("whether %s has %s, because not all of its policies can be read", ro.name, callText(append(required, documented...))), ro.need, ro.partly)
	default:
		r.reportDenied(s, a, Failed, required, denied)
		r.reportDenied(s, a, Warning, documented, false)
	}
}

// reportDenied adds a check for calls that are not allowed. denied means that a statement denies at least one.
func (r *run) reportDenied(s *stream, a actor, status Status, calls []call, denied bool) {
	if len(calls) == 0 {
		return
	}
	ro := a.role
	f := finding{
		found: fmt.Sprintf("the role %s lacks %s", ro.name, callText(calls)),
		cause: "no statement of its policies allows it",
		fix:   r.repair(s, addToRole(ro.name, statementsFor(calls))),
	}
	var consequences []string
	for _, c := range calls {
		if !slices.Contains(consequences, c.consequence) {
			consequences = append(consequences, c.consequence)
		}
	}
	f.consequence = a.who + ": " + strings.Join(consequences, "; ")
	switch {
	case denied:
		f.cause = "a statement of its policies denies it, which overrides any Allow"
		f.fix = r.repair(s, "remove the Deny from its policies: "+command("iam", "list-role-policies", "--role-name", ro.name))
	case len(ro.boundary) > 0:
		f.cause = "no statement of its policies allows it, or its permissions boundary does not"
	}
	r.out.problem(status, a.link, checkedPermissions, f)
}

func callText(calls []call) string {
	var all []string
	for _, c := range calls {
		all = append(all, c.action+" on "+c.resource)
	}
	return listed(all)
}

// statementsFor returns the statements that allow calls, one for each resource.
func statementsFor(calls []call) (all []statement) {
	at := map[string]int{}
	for _, c := range calls {
		resource := c.grant()
		i, ok := at[resource]
		if !ok {
			i = len(all)
			at[resource] = i
			all = append(all, statement{Effect: "Allow", Resource: []string{resource}})
		}
		if !slices.Contains(all[i].Action, c.action) {
			all[i].Action = append(all[i].Action, c.action)
		}
	}
	return all
}

// grant returns the resource for a statement that allows the call and similar ones.
func (c call) grant() string {
	if group, _, ok := strings.Cut(c.resource, ":log-stream:"); ok {
		return group + ":log-stream:*"
	}
	bucket, _, ok := strings.Cut(c.resource, "/")
	if ok && strings.Contains(bucket, ":s3:::") {
		return bucket + "/*"
	}
	if plans, ok := planGrant(c.resource); ok {
		return plans
	}
	return c.resource
}

// checkTrust checks that a service can assume a role, and reports whether the trust allows it.
func (r *run) checkTrust(s *stream, link, service string, ro *role, given map[string][]string) bool {
	const name = "role trust"
	switch {
	case ro.missing:
		r.out.problem(Failed, link, name, finding{
			found: "the role " + ro.arn + " does not exist", cause: "it was deleted, or created again with another path",
			consequence: service + " cannot assume it, so records get no further", fix: r.repair(s, command("iam", "create-role", "--role-name", ro.name, "--assume-role-policy-document", r.trustText(service))),
		})
		return false
	case ro.err != nil:
		r.unknown(link, name, "the role "+ro.name, ro.need, ro.err)
		return false
	}
	ask := func(context map[string][]string) policy.Decision {
		d, _ := policy.Evaluate([]policy.Document{ro.trust}, policy.Request{Principal: service, Action: "sts:AssumeRole", Resource: ro.arn, Context: context})
		return d
	}
	fix := r.repair(s, command("iam", "update-assume-role-policy", "--role-name", ro.name, "--policy-document", r.trustText(service)))
	account := map[string][]string{"sts:ExternalId": {r.t.Account}, "aws:SourceAccount": {r.t.Account}, "aws:SourceArn": {s.arn}}
	switch {
	case ask(given) == policy.Allow:
		if len(given) > 0 && ask(nil) == policy.Allow {
			r.out.problem(Warning, link, name, finding{
				found: fmt.Sprintf("the role %s trusts %s on behalf of every account", ro.name, service), cause: "its trust policy has no condition on sts:ExternalId, which Firehose sets to the account of the stream",
				consequence: "anyone who can pass the role could make Firehose use it for a stream of another account (confused deputy)", fix: fix,
			})
			return true
		}
		r.out.ok(link, name, "%s can assume %s", service, ro.name)
		return true
	case ask(account) == policy.Allow:
		r.out.problem(Warning, link, name, finding{
			found: fmt.Sprintf("the role %s trusts %s with a condition on aws:SourceAccount or aws:SourceArn", ro.name, service), cause: "Firehose documents only sts:ExternalId, and may not send them",
			consequence: "if it does not send them, it cannot assume the role, and nothing is delivered", fix: fix,
		})
		return true
	}
	r.out.problem(Failed, link, name, finding{
		found: fmt.Sprintf("%s cannot assume the role %s", service, ro.name), cause: r.trustCause(service, ro),
		consequence: "it cannot deliver or call anything; the failure appears only in its error log, if that is enabled", fix: fix,
	})
	return false
}

func (r *run) trustCause(service string, ro *role) string {
	var trusted []string
	for _, st := range ro.trust.Statements {
		if slices.Contains(st.Principal.Service, service) {
			return "its trust policy names " + service + ", with a condition that is not met: the account of the stream is " + r.t.Account
		}
		trusted = append(trusted, st.Principal.Service...)
		trusted = append(trusted, st.Principal.AWS...)
	}
	if len(trusted) == 0 {
		return "its trust policy names no principal"
	}
	return "its trust policy names only " + listed(trusted)
}

func (r *run) trustText(service string) string {
	doc := policy.FunctionTrust()
	if service == firehoseService {
		doc = policy.FirehoseTrust(r.t.Account)
	}
	return oneLine(doc.JSON())
}

const (
	firehoseService = "firehose.amazonaws.com"
	lambdaService   = "lambda.amazonaws.com"
)
