package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// readRole reads a role with all its policies.
func (r *run) readRole(ctx context.Context, roleARN string) *provision.RolePolicies {
	return provision.ReadRole(ctx, r.c, roleARN)
}

// lacking returns the permission that was missing to read a role or one of its policies.
func lacking(ro *provision.RolePolicies) need { return need{ro.LacksAction, ro.LacksResource} }

// call is an API call that a role must be allowed to make.
type call struct {
	action, resource string
	context          map[string][]string
	required         bool   // the chain fails without it; otherwise it is only documented by AWS
	consequence      string // of a denial
}

// verdict evaluates a role's own policies for a call. others are resource policies that can also
// allow it.
func verdict(ro *provision.RolePolicies, c call, others ...policy.Document) policy.Decision {
	return ro.Decide(policy.Request{Action: c.action, Resource: c.resource, Context: c.context}, others...)
}

// actor is a part of the chain that makes calls with a role.
type actor struct {
	link, who string
	role      *provision.RolePolicies
	others    []policy.Document // resource policies that can also allow the role
}

const checkedPermissions = "role permissions"

// checkPermissions evaluates the calls of an actor, and reports all missing permissions together.
func (r *run) checkPermissions(s *stream, a actor, calls []call) {
	link, name, ro := a.link, checkedPermissions, a.role
	switch {
	case ro.Missing:
		return // reported by checkTrust
	case ro.Err != nil:
		r.unknown(link, name, "the permissions of the role "+ro.Name, lacking(ro), ro.Err)
		return
	}
	var required, documented []call
	denied := false
	for _, c := range calls {
		switch decision := verdict(ro, c, a.others...); {
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
		r.out.ok(link, name, "%s has all %d permissions it needs, from the role %s", a.who, len(calls), ro.Name)
	case ro.Partly != nil && !denied: // a policy that could not be read may allow it
		r.unknown(link, name, fmt.Sprintf("whether %s has %s, because not all of its policies can be read", ro.Name, callText(append(required, documented...))), lacking(ro), ro.Partly)
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
		found: fmt.Sprintf("the role %s lacks %s", ro.Name, callText(calls)),
		cause: "no statement of its policies allows it",
		fix:   r.repairRole(s, ro, addToRole(ro.Name, statementsFor(calls))),
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
		f.fix = r.repairRole(s, ro, "remove the Deny from its policies: "+command("iam", "list-role-policies", "--role-name", ro.Name))
	case len(ro.Boundary) > 0:
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
func (r *run) checkTrust(s *stream, link, service string, ro *provision.RolePolicies, given map[string][]string) bool {
	const name = "role trust"
	switch {
	case ro.Missing:
		r.out.problem(Failed, link, name, finding{
			found: "the role " + ro.ARN + " does not exist", cause: "it was deleted, or created again with another path",
			consequence: service + " cannot assume it, so records get no further", fix: r.repairRole(s, ro, command("iam", "create-role", "--role-name", ro.Name, "--assume-role-policy-document", r.trustText(service))),
		})
		return false
	case ro.Err != nil:
		r.unknown(link, name, "the role "+ro.Name, lacking(ro), ro.Err)
		return false
	}
	ask := func(context map[string][]string) policy.Decision {
		d, _ := policy.Evaluate([]policy.Document{ro.Trust}, policy.Request{Principal: service, Action: "sts:AssumeRole", Resource: ro.ARN, Context: context})
		return d
	}
	fix := r.repairRole(s, ro, command("iam", "update-assume-role-policy", "--role-name", ro.Name, "--policy-document", r.trustText(service)))
	account := map[string][]string{"sts:ExternalId": {r.t.Account}, "aws:SourceAccount": {r.t.Account}, "aws:SourceArn": {s.arn}}
	switch {
	case ask(given) == policy.Allow:
		if len(given) > 0 && ask(nil) == policy.Allow {
			r.out.problem(Warning, link, name, finding{
				found: fmt.Sprintf("the role %s trusts %s on behalf of every account", ro.Name, service), cause: "its trust policy has no condition on sts:ExternalId, which Firehose sets to the account of the stream",
				consequence: "anyone who can pass the role could make Firehose use it for a stream of another account (confused deputy)", fix: fix,
			})
			return true
		}
		r.out.ok(link, name, "%s can assume %s", service, ro.Name)
		return true
	case ask(account) == policy.Allow:
		r.out.problem(Warning, link, name, finding{
			found: fmt.Sprintf("the role %s trusts %s with a condition on aws:SourceAccount or aws:SourceArn", ro.Name, service), cause: "Firehose documents only sts:ExternalId, and may not send them",
			consequence: "if it does not send them, it cannot assume the role, and nothing is delivered", fix: fix,
		})
		return true
	}
	r.out.problem(Failed, link, name, finding{
		found: fmt.Sprintf("%s cannot assume the role %s", service, ro.Name), cause: r.trustCause(service, ro),
		consequence: "it cannot deliver or call anything; the failure appears only in its error log, if that is enabled", fix: fix,
	})
	return false
}

func (r *run) trustCause(service string, ro *provision.RolePolicies) string {
	var trusted []string
	for _, st := range ro.Trust.Statements {
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
