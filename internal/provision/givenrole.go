package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// givenRole is an existing role that stagelog.yaml names. It is only read.
type givenRole struct {
	want    desired.Role
	service string // that assumes it
	account string
	c       *Clients
}

// newRoles returns a role for each: one to create, or the given one.
func roleResource(d *desired.Resources, want desired.Role, service string, c *Clients) Resource {
	if want.Given {
		return &givenRole{want, service, d.Spec.Account, c}
	}
	return newRole(d.Spec, want, c)
}

// The services that assume the pipeline's roles.
const (
	firehoseService = "firehose.amazonaws.com"
	lambdaService   = "lambda.amazonaws.com"
)

func (r *givenRole) Kind() string { return "IAM role" }
func (r *givenRole) Name() string { return roleName(r.want.ARN) }

// Read notes what the role lacks. It fails if the role does not exist or is in another account.
func (r *givenRole) Read(ctx context.Context) (State, error) {
	if strings.Split(r.want.ARN, ":")[4] != r.account {
		return State{}, fmt.Errorf("the role %s is not in account %s: a service can only use a role of its own account", r.want.ARN, r.account)
	}
	ro := ReadRole(ctx, r.c, r.want.ARN)
	if ro.Missing {
		return State{}, fmt.Errorf("the role %s does not exist: create it, or correct the ARN in stagelog.yaml\n%s", r.want.ARN, r.required())
	}
	state := State{Exists: true}
	if ro.Err != nil {
		state.Notes = []string{fmt.Sprintf("it is used as it is, and was not checked: %v; reading it needs %s", Explain(ro.Err), ro.LacksAction)}
		return state, nil
	}
	lacks := r.lacks(ro)
	switch {
	case len(lacks) == 0:
		state.Notes = []string{"it is used as it is, and has the trust and the permissions that it needs"}
	case ro.Partly != nil:
		state.Notes = []string{fmt.Sprintf("it is used as it is; whether it allows %s is unknown, because not all of its policies can be read: these credentials lack %s on %s", Listed(lacks), ro.LacksAction, ro.LacksResource)}
	default:
		state.Notes = []string{"it is used as it is, and lacks " + Listed(lacks) + "; until its owner adds that, the pipeline does not work\n" + r.required()}
	}
	return state, nil
}

// required returns the trust policy and the policy that the role needs.
func (r *givenRole) required() string {
	return "it needs this trust policy:\n" + r.want.Trust.JSON() + "\nand this policy:\n" + r.want.Permissions.JSON()
}

// lacks returns what the role's trust and policies do not allow.
func (r *givenRole) lacks(ro *RolePolicies) (lacks []string) {
	trusted, _ := policy.Evaluate([]policy.Document{ro.Trust}, policy.Request{
		Principal: r.service, Action: "sts:AssumeRole", Resource: ro.ARN, Context: map[string][]string{"sts:ExternalId": {r.account}},
	})
	if trusted != policy.Allow {
		lacks = append(lacks, "trust in "+r.service)
	}
	for _, st := range r.want.Permissions.Statements {
		for _, action := range st.Actions {
			for _, resource := range st.Resources {
				req := policy.Request{Action: action, Resource: sample(resource), Context: map[string][]string{"aws:SecureTransport": {"true"}, "aws:ResourceAccount": {r.account}, "s3:ResourceAccount": {r.account}}}
				if ro.Decide(req) != policy.Allow && !slices.Contains(lacks, action) {
					lacks = append(lacks, action)
				}
			}
		}
	}
	return lacks
}

// sample returns a resource that a pattern matches.
func sample(pattern string) string { return strings.ReplaceAll(pattern, "*", "stagelog-sample") }

// Apply changes nothing.
func (r *givenRole) Apply(context.Context, State, func(string)) error { return nil }

// Destroy changes nothing.
func (r *givenRole) Destroy(context.Context, State, func(string)) (string, error) { return "", nil }
