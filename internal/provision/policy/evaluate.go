package policy

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/versity/versitygw/iamapi/policy"
	"github.com/versity/versitygw/iamapi/types"
)

// Request is a call to be authorized.
type Request struct {
	// Principal is the caller: an ARN, or a service like firehose.amazonaws.com. It only matters
	// for statements that name principals.
	Principal string
	Action    string // like s3:GetObject
	Resource  string // ARN
	// Context holds the condition keys of the request, like s3:prefix.
	Context map[string][]string
}

// Decision is the result of evaluating policies for a request.
type Decision int

const (
	NoMatch Decision = iota // no statement applies: denied unless another policy allows it
	Allow
	Deny // a statement denies it, which overrides any Allow
)

// Evaluate returns the decision of documents of one kind, and the statement that determined it, or
// nil if none applies. A statement with an unknown condition operator applies if it denies, and
// does not apply if it allows.
func Evaluate(documents []Document, r Request) (Decision, *Statement) {
	var allowed *Statement
	for _, d := range documents {
		for i := range d.Statements {
			s := &d.Statements[i]
			if !s.appliesTo(d.Version, r) {
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

// appliesTo reports whether the statement applies to the request. It matches principals itself.
// Action, resource and conditions are matched by the S3 server's engine, which evaluates one
// statement at a time with the effect Allow, so that its result shows whether the statement applies.
func (s *Statement) appliesTo(version string, r Request) bool {
	switch {
	case !s.NotPrincipal.IsZero() && s.exempts(r.Principal):
		return false
	case !s.Principal.IsZero() && !s.Principal.matches(r.Principal):
		return false
	}
	alone := *s
	alone.Sid, alone.Effect, alone.Principal, alone.NotPrincipal = "", "Allow", Principal{}, Principal{}
	if len(alone.Resources)+len(alone.NotResources) == 0 { // a trust policy has none
		alone.Resources = []string{"*"}
	}
	alone.Actions, alone.NotActions = plainActions(s.Actions), plainActions(s.NotActions)
	resource, ok := alone.inOnePartition(r.Resource)
	if !ok {
		return false
	}
	// In the engine the pattern * does not match a literal * in a name, so it is replaced by
	// another character.
	resource = strings.ReplaceAll(resource, "*", "\x1a")
	document := Document{Version: version, Statements: []Statement{alone}}
	switch policy.EvaluateIdentityPolicies(
		[]types.PolicyEntry{{PolicyDocument: document.JSON()}},
		policy.RequestContext{Action: r.Action, Resource: resource, Condition: r.Context}) {
	case policy.DecisionAllow:
		return true
	case policy.DecisionDeny: // the statement cannot be evaluated
		return s.Effect == "Deny"
	}
	return false
}

// plainActions replaces *:* by *, which the engine supports.
func plainActions(actions []string) []string {
	actions = slices.Clone(actions)
	for i, a := range actions {
		if a == "*:*" {
			actions[i] = "*"
		}
	}
	return actions
}

// inOnePartition moves the statement's resources and the request's to the partition aws, the only
// one that the engine supports. It drops resources of partitions other than the request's, and
// returns false if none is left.
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
			case matchesPartition(theirs, partition):
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

// matchesPartition reports whether a pattern such as aws, * or aws* matches a partition.
func matchesPartition(pattern, partition string) bool {
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

// matches reports whether a caller is one of the principals. A role session also matches the role,
// and every caller matches its account.
func (p Principal) matches(caller string) bool {
	return p.Any || slices.Contains(p.Service, caller) || slices.Contains(p.Federated, caller) ||
		p.lists(caller) || p.hasAccountOf(caller)
}

// exempts reports whether NotPrincipal exempts a caller from the statement. AWS checks the account
// first and then the caller: a deny exempts a caller only if both the caller and its account are
// listed, except for the account's root.
func (s *Statement) exempts(caller string) bool {
	p := s.NotPrincipal
	isARN := strings.HasPrefix(caller, "arn:")
	if s.Effect != "Deny" || p.Any || !isARN {
		return p.matches(caller)
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

// lists reports whether the caller, or the role of its session, is listed.
func (p Principal) lists(caller string) bool {
	if slices.Contains(p.AWS, caller) {
		return true
	}
	m := assumedRole.FindStringSubmatch(caller)
	return m != nil && slices.ContainsFunc(p.AWS, func(a string) bool {
		return strings.HasPrefix(a, "arn:"+m[1]+":iam::"+m[2]+":role/") && a[strings.LastIndexByte(a, '/')+1:] == m[3]
	})
}
