package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/versity/versitygw/iamapi/policy"
	"github.com/versity/versitygw/iamapi/types"
)

// Request is a call that policies decide about.
type Request struct {
	// Principal is who calls: an ARN, or a service like firehose.amazonaws.com. It counts
	// for statements that name principals.
	Principal string
	Action    string // like s3:GetObject
	Resource  string // ARN
	// Context are the condition keys that the request has, like s3:prefix.
	Context map[string][]string
}

// Decision is what policies say to a request.
type Decision int

const (
	NoMatch Decision = iota // no statement is about it: it is denied, unless others allow it
	Allow
	Deny // a statement denies it, whatever others allow
)

// Evaluate is what documents of one kind decide, and the statement that decided; nil where
// none did. A statement that cannot be evaluated, as its condition is of an unknown kind, is
// taken to match when it denies, and not to when it allows.
func Evaluate(documents []Document, r Request) (Decision, *Statement) {
	var allowed *Statement
	for _, d := range documents {
		for i := range d.Statements {
			s := &d.Statements[i]
			if !s.about(d.Version, r) {
				continue
			}
			if s.Effect == "Deny" {
				return Deny, s
			}
			if allowed == nil {
				allowed = s
			}
		}
	}
	if allowed != nil {
		return Allow, allowed
	}
	return NoMatch, nil
}

// about says whether the statement is about the request. Principals are matched here; action,
// resource and conditions are left to the S3 server's engine, one statement at a time and as
// if it allowed, so that its answer says whether the statement covers the request.
func (s *Statement) about(version string, r Request) bool {
	switch {
	case !s.NotPrincipal.isZero() && s.NotPrincipal.holds(r.Principal):
		return false
	case !s.Principal.isZero() && !s.Principal.holds(r.Principal):
		return false
	}
	alone := *s
	alone.Sid, alone.Effect, alone.Principal, alone.NotPrincipal = "", "Allow", Principal{}, Principal{}
	if len(alone.Resources)+len(alone.NotResources) == 0 { // a trust has none
		alone.Resources = []string{"*"}
	}
	document := Document{Version: version, Statements: []Statement{alone}}
	resource := r.Resource
	if resource == "" {
		resource = "*"
	}
	switch policy.EvaluateIdentityPolicies(
		[]types.PolicyEntry{{PolicyDocument: document.JSON()}},
		policy.RequestContext{Action: r.Action, Resource: resource, Condition: r.Context}) {
	case policy.DecisionAllow:
		return true
	case policy.DecisionDeny: // it cannot be evaluated
		return s.Effect == "Deny"
	}
	return false
}

var assumedRole = regexp.MustCompile(`^arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([^/]+)/`)

// holds says whether a caller is one of the principals. A session of a role is also the role,
// and everybody is of his account.
func (p Principal) holds(caller string) bool {
	if p.Any || slices.Contains(p.Service, caller) || slices.Contains(p.AWS, caller) {
		return true
	}
	parts := strings.Split(caller, ":")
	for _, a := range p.AWS {
		if id, ok := accountOf(a); ok && len(parts) > 4 && parts[4] == id {
			return true
		}
	}
	m := assumedRole.FindStringSubmatch(caller)
	if m == nil {
		return false
	}
	return slices.ContainsFunc(p.AWS, func(a string) bool {
		return strings.HasPrefix(a, "arn:"+m[1]+":iam::"+m[2]+":role/") && a[strings.LastIndexByte(a, '/')+1:] == m[3]
	})
}
