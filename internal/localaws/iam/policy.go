package iam

import (
	"encoding/json"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// statement holds the checked members of a policy statement.
type statement struct {
	Effect                string
	Principal             json.RawMessage
	NotPrincipal          json.RawMessage
	Action, NotAction     json.RawMessage
	Resource, NotResource json.RawMessage
}

// checkDocument refuses a text that is not a policy: one that is not JSON, that has no statement, or with a
// statement for which check returns a problem.
func checkDocument(text string, maxLength int, check func(statement) string) *wire.Error {
	if len(text) > maxLength {
		return limit("PolicySize", maxLength)
	}
	var document struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return malformed("This policy contains invalid Json")
	}
	var statements []statement
	if err := json.Unmarshal(document.Statement, &statements); err != nil {
		statements = make([]statement, 1)
		if err := json.Unmarshal(document.Statement, &statements[0]); err != nil {
			return malformed("Syntax errors in policy.")
		}
	}
	if len(statements) == 0 {
		return malformed("Syntax errors in policy.")
	}
	for _, st := range statements {
		switch {
		case st.Effect != "Allow" && st.Effect != "Deny":
			return malformed("Syntax error: Effect must be Allow or Deny.")
		case st.Action == nil && st.NotAction == nil:
			return malformed("Policy statement must contain actions.")
		}
		if problem := check(st); problem != "" {
			return malformed(problem)
		}
	}
	return nil
}

func malformed(message string) *wire.Error {
	return &wire.Error{Code: "MalformedPolicyDocument", Message: message}
}

// trustProblem returns the error in a statement of a trust policy, which names principals, or "".
func trustProblem(st statement) string {
	switch {
	case st.Principal == nil && st.NotPrincipal == nil:
		return "AssumeRole policy must contain principals."
	case st.Resource != nil || st.NotResource != nil:
		return "Has prohibited field Resource"
	}
	return ""
}

// permissionProblem returns the error in a statement of a role's policy, which names resources, or "".
func permissionProblem(st statement) string {
	switch {
	case st.Resource == nil && st.NotResource == nil:
		return "Policy statement must contain resources."
	case st.Principal != nil || st.NotPrincipal != nil:
		return "Policy document should not specify a principal."
	}
	return ""
}
