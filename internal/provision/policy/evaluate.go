package policy

import (
	"path"
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
	case !s.NotPrincipal.isZero() && s.spares(r.Principal):
		return false
	case !s.Principal.isZero() && !s.Principal.holds(r.Principal):
		return false
	}
	alone := *s
	alone.Sid, alone.Effect, alone.Principal, alone.NotPrincipal = "", "Allow", Principal{}, Principal{}
	if len(alone.Resources)+len(alone.NotResources) == 0 { // a trust has none
		alone.Resources = []string{"*"}
	}
	alone.Actions, alone.NotActions = plainActions(s.Actions), plainActions(s.NotActions)
	resource, ok := alone.inOnePartition(r.Resource)
	if !ok {
		return false
	}
	// The engine does not match a * of a name with one of a pattern, as it matches any other
	// character.
	resource = strings.ReplaceAll(resource, "*", "\x1a")
	document := Document{Version: version, Statements: []Statement{alone}}
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

// plainActions writes *:* as the engine knows it.
func plainActions(actions []string) []string {
	actions = slices.Clone(actions)
	for i, a := range actions {
		if a == "*:*" {
			actions[i] = "*"
		}
	}
	return actions
}

// inOnePartition moves the statement's resources and the request's into the partition aws,
// the only one that the engine knows. Those of a partition that is not the request's cover
// nothing, and are left out; false when none is left that could cover it.
func (s *Statement) inOnePartition(resource string) (moved string, ok bool) {
	if resource == "" {
		resource = "*"
	}
	partition, rest, isARN := cutPartition(resource)
	if !isARN {
		return resource, true
	}
	move := func(patterns []string) (kept []string) {
		for _, p := range patterns {
			theirs, rest, isARN := cutPartition(p)
			switch {
			case !isARN:
				kept = append(kept, p)
			case matches(theirs, partition):
				kept = append(kept, "arn:aws:"+rest)
			}
		}
		return kept
	}
	excepts := len(s.NotResources) > 0
	s.Resources, s.NotResources = move(s.Resources), move(s.NotResources)
	if excepts && len(s.NotResources) == 0 {
		s.Resources = []string{"*"}
	}
	return "arn:aws:" + rest, len(s.Resources)+len(s.NotResources) > 0
}

// matches says whether a pattern is of a partition: aws, *, or aws* for all of them.
func matches(pattern, partition string) bool {
	ok, err := path.Match(pattern, partition)
	return ok && err == nil
}

func cutPartition(arn string) (partition, rest string, ok bool) {
	arn, ok = strings.CutPrefix(arn, "arn:")
	if !ok {
		return "", "", false
	}
	return strings.Cut(arn, ":")
}

var assumedRole = regexp.MustCompile(`^arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([^/]+)/`)

// holds says whether a caller is one of the principals. A session of a role is also the role,
// and everybody is of his account.
func (p Principal) holds(caller string) bool {
	return p.Any || slices.Contains(p.Service, caller) || slices.Contains(p.Federated, caller) ||
		p.lists(caller) || p.hasAccountOf(caller)
}

// spares says whether NotPrincipal takes a caller out of the statement. AWS looks at the
// account first and then at who of it: a deny spares who is listed together with the account,
// and neither one alone does, but for the account's root.
func (s *Statement) spares(caller string) bool {
	p := s.NotPrincipal
	isARN := strings.HasPrefix(caller, "arn:")
	if s.Effect != "Deny" || p.Any || !isARN {
		return p.holds(caller)
	}
	_, isRoot := accountOf(caller)
	return p.hasAccountOf(caller) && (isRoot || p.lists(caller))
}

func (p Principal) hasAccountOf(caller string) bool {
	parts := strings.Split(caller, ":")
	return len(parts) > 4 && slices.ContainsFunc(p.AWS, func(a string) bool {
		id, ok := accountOf(a)
		return ok && parts[4] == id
	})
}

// lists says whether the caller is listed, or the role of his session.
func (p Principal) lists(caller string) bool {
	if slices.Contains(p.AWS, caller) {
		return true
	}
	m := assumedRole.FindStringSubmatch(caller)
	return m != nil && slices.ContainsFunc(p.AWS, func(a string) bool {
		return strings.HasPrefix(a, "arn:"+m[1]+":iam::"+m[2]+":role/") && a[strings.LastIndexByte(a, '/')+1:] == m[3]
	})
}
