package lambda

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// statement is one AddPermission. It is stored and returned, but not enforced: all callers are the account itself.
type statement struct {
	ID, Action, Principal, SourceARN, SourceAccount string
}

var (
	statementExpression = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,100}$`)
	actionExpression    = regexp.MustCompile(`^(lambda:[*]|lambda:[a-zA-Z]+|[*])$`)
	accountExpression   = regexp.MustCompile(`^\d{12}$`)
)

func (s *Service) addPermission(r *request) (any, *wire.Error) {
	var in struct {
		StatementID                                             string `json:"StatementId"`
		Action, Principal, SourceArn, SourceAccount, RevisionId string
		EventSourceToken, PrincipalOrgID, FunctionUrlAuthType   string
	}
	if apiErr := r.decode(&in); apiErr != nil {
		return nil, apiErr
	}
	switch {
	case !statementExpression.MatchString(in.StatementID):
		return nil, validation(in.StatementID, "statementId", "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)")
	case !actionExpression.MatchString(in.Action):
		return nil, validation(in.Action, "action", "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])")
	case in.Principal == "" || strings.ContainsAny(in.Principal, " \t\r\n"):
		return nil, validation(in.Principal, "principal", `Member must satisfy regular expression pattern: [^\s]+`)
	case in.EventSourceToken != "" || in.PrincipalOrgID != "" || in.FunctionUrlAuthType != "":
		return nil, invalid("EventSourceToken, PrincipalOrgID and FunctionUrlAuthType are not supported here.")
	}
	st := statement{in.StatementID, in.Action, in.Principal, in.SourceArn, in.SourceAccount}
	apiErr := s.annotate(r, in.RevisionId, func(doc *document) *wire.Error {
		if slices.ContainsFunc(doc.Statements, func(have statement) bool { return have.ID == st.ID }) {
			return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.ID)
		}
		doc.Statements = append(slices.Clone(doc.Statements), st)
		return nil
	})
	return map[string]string{"Statement": encoded(s.policyStatement(r.name, st))}, apiErr
}

// encoded returns a part of a policy as JSON.
func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode policy: " + err.Error())
	}
	return string(text)
}

func (s *Service) removePermission(r *request) (any, *wire.Error) {
	id := r.PathValue("statement")
	return nil, s.annotate(r, r.URL.Query().Get("RevisionId"), func(doc *document) *wire.Error {
		kept := slices.DeleteFunc(slices.Clone(doc.Statements), func(st statement) bool { return st.ID == id })
		if len(kept) == len(doc.Statements) {
			return notFound("Statement %s is not found in resource policy.", id)
		}
		doc.Statements = kept
		return nil
	})
}

func (s *Service) getPolicy(r *request) (any, *wire.Error) {
	doc, _, apiErr := s.find(r.name)
	if apiErr != nil {
		return nil, apiErr
	}
	if len(doc.Statements) == 0 {
		return nil, notFound("The resource you requested does not exist.")
	}
	policy := struct {
		Version   string
		ID        string `json:"Id"`
		Statement []map[string]any
	}{Version: "2012-10-17", ID: "default"}
	for _, st := range doc.Statements {
		policy.Statement = append(policy.Statement, s.policyStatement(r.name, st))
	}
	return map[string]string{"Policy": encoded(policy), "RevisionId": doc.RevisionID}, nil
}

// policyStatement returns a statement in IAM's format.
func (s *Service) policyStatement(name string, st statement) map[string]any {
	principal := any(st.Principal)
	switch {
	case strings.HasSuffix(st.Principal, ".amazonaws.com"):
		principal = map[string]string{"Service": st.Principal}
	case accountExpression.MatchString(st.Principal):
		principal = map[string]string{"AWS": "arn:aws:iam::" + st.Principal + ":root"}
	case st.Principal != "*":
		principal = map[string]string{"AWS": st.Principal}
	}
	out := map[string]any{"Sid": st.ID, "Effect": "Allow", "Principal": principal, "Action": st.Action, "Resource": s.arn(name)}
	condition := map[string]any{}
	if st.SourceARN != "" {
		condition["ArnLike"] = map[string]string{"AWS:SourceArn": st.SourceARN}
	}
	if st.SourceAccount != "" {
		condition["StringEquals"] = map[string]string{"AWS:SourceAccount": st.SourceAccount}
	}
	if len(condition) > 0 {
		out["Condition"] = condition
	}
	return out
}

func checkTags(tags map[string]string) *wire.Error {
	if len(tags) > wire.MaxTags {
		return invalid("A function can have at most %d tags.", wire.MaxTags)
	}
	for key, value := range tags {
		if !wire.ValidTag(key, value) {
			return invalid("A tag's key must have 1 to %d characters, its value at most %d.", wire.MaxTagKey, wire.MaxTagValue)
		}
	}
	return nil
}

func (s *Service) listTags(r *request) (any, *wire.Error) {
	doc, _, apiErr := s.find(r.name)
	if apiErr != nil {
		return nil, apiErr
	}
	tags := doc.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return map[string]any{"Tags": tags}, nil
}

func (s *Service) tagResource(r *request) (any, *wire.Error) {
	var in struct{ Tags map[string]string }
	if apiErr := r.decode(&in); apiErr != nil {
		return nil, apiErr
	}
	return nil, s.annotate(r, "", func(doc *document) *wire.Error {
		tags := maps.Clone(doc.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, in.Tags)
		doc.Tags = tags
		return checkTags(tags)
	})
}

func (s *Service) untagResource(r *request) (any, *wire.Error) {
	return nil, s.annotate(r, "", func(doc *document) *wire.Error {
		doc.Tags = maps.Clone(doc.Tags)
		for _, key := range r.URL.Query()["tagKeys"] {
			delete(doc.Tags, key)
		}
		return nil
	})
}
