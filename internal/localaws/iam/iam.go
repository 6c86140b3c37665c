// Package iam serves the part of IAM's control API that a pipeline needs on one machine: roles and their
// inline policies. Roles are validated as in IAM, but grant nothing here: functions run with the
// administrator's credentials, and Firehose is this process.
package iam

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// IAM's quotas: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxRoles       = 1000
	maxTrust       = 2048  // characters of a trust policy
	maxPermissions = 10240 // characters of all inline policies of a role, without white space
)

// Service serves IAM of one account. It is safe for concurrent use.
type Service struct {
	account string
	now     func() time.Time
	roles   *documents.Set[role]
	actions map[string]action
}

// action serves one action of the API. Its result is nil if the response has no result.
type action func(context.Context, url.Values) (any, *wire.Error)

// role is the stored form of a role.
type role struct {
	Name        string            `json:"name"`
	Path        string            `json:"path"`
	ID          string            `json:"id"`
	Description string            `json:"description,omitempty"`
	Trust       string            `json:"trust"`
	Created     time.Time         `json:"created"`
	Tags        map[string]string `json:"tags,omitempty"`
	Policies    map[string]string `json:"policies,omitempty"`
}

// Open reads the roles. account has 12 digits and is part of their ARNs.
func Open(ctx context.Context, account string, store record.Store) (*Service, error) {
	s := &Service{account: account, now: time.Now}
	var err error
	s.roles, err = documents.Open[role](ctx, store, documents.Config{Prefix: "role/", Max: maxRoles, Errors: documents.Errors{
		NotFound: func(name string) *wire.Error { return noEntity("role with name " + name) },
		Exists: func(name string) *wire.Error {
			return &wire.Error{Code: "EntityAlreadyExists", Message: "Role with name " + name + " already exists.", Status: http.StatusConflict}
		},
		Limit:     limit("RolesPerAccount", maxRoles),
		TooLarge:  limit("size of a role", documents.MaxBytes),
		NotStored: &wire.Error{Code: "ServiceFailure", Message: "The request processing has failed because of an unknown error.", Fault: true},
	}})
	if err != nil {
		return nil, fmt.Errorf("open IAM's state: %w", err)
	}
	s.actions = map[string]action{
		"CreateRole":                  s.createRole,
		"GetRole":                     s.reading(s.getRole),
		"ListRoles":                   s.listRoles,
		"DeleteRole":                  s.deleteRole,
		"UpdateAssumeRolePolicy":      s.updateTrust,
		"TagRole":                     s.tagRole,
		"UntagRole":                   s.untagRole,
		"ListRoleTags":                s.reading(listTags),
		"PutRolePolicy":               s.putPolicy,
		"GetRolePolicy":               s.reading(getPolicy),
		"DeleteRolePolicy":            s.deletePolicy,
		"ListRolePolicies":            s.reading(listPolicies),
		"ListAttachedRolePolicies":    s.reading(listAttached),
		"ListInstanceProfilesForRole": s.reading(listProfiles),
	}
	return s, nil
}

// Follow applies the changes of other processes of the cluster until ctx ends.
func (s *Service) Follow(ctx context.Context) error { return s.roles.Follow(ctx) }

// ServeHTTP serves a request that a wire.Mux has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form, malformed := wire.QueryForm(r)
	if malformed != nil {
		wire.WriteError(w, wire.Query, malformed)
		return
	}
	name := form.Get("Action")
	serve, ok := s.actions[name]
	if !ok {
		wire.WriteError(w, wire.Query, &wire.Error{Code: "InvalidAction", Message: "Could not find operation " + name +
			" for version 2010-05-08: stagelog serves IAM's actions on roles and their inline policies."})
		return
	}
	result, refused := serve(r.Context(), form)
	if refused != nil {
		wire.WriteError(w, wire.Query, refused)
		return
	}
	wire.WriteQuery(w, namespace, name, result)
}

var (
	nameForm = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	pathForm = regexp.MustCompile(`^/([!-~]*/)?$`)
)

func (s *Service) createRole(ctx context.Context, form url.Values) (any, *wire.Error) {
	r := &role{
		Name: form.Get("RoleName"), Path: cmp.Or(form.Get("Path"), "/"), ID: newID(), Description: form.Get("Description"),
		Trust: form.Get("AssumeRolePolicyDocument"), Created: s.now().UTC().Truncate(time.Second),
	}
	tags, refused := tagsOf(form)
	switch {
	case refused != nil:
		return nil, refused
	case !nameForm.MatchString(r.Name):
		return nil, invalid("The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-, and at most 64 of them.")
	case !pathForm.MatchString(r.Path) || len(r.Path) > 512:
		return nil, invalid("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	case len(r.Description) > 1000:
		return nil, invalid("The specified value for description has more than 1000 characters.")
	}
	if refused := checkDocument(r.Trust, maxTrust, trustProblem); refused != nil {
		return nil, refused
	}
	r.Tags = tags
	return struct{ Role roleXML }{s.xml(r)}, s.roles.Create(ctx, r.Name, r)
}

// reading returns the action that calls read with the role that a request names.
func (s *Service) reading(read func(*role, url.Values) (any, *wire.Error)) action {
	return func(_ context.Context, form url.Values) (any, *wire.Error) {
		r, refused := s.roles.Get(form.Get("RoleName"))
		if refused != nil {
			return nil, refused
		}
		return read(r, form)
	}
}

func (s *Service) getRole(r *role, _ url.Values) (any, *wire.Error) {
	return struct{ Role roleXML }{s.xml(r)}, nil
}

func (s *Service) listRoles(_ context.Context, form url.Values) (any, *wire.Error) {
	all := []roleXML{}
	for _, r := range s.roles.All() {
		if strings.HasPrefix(r.Path, form.Get("PathPrefix")) {
			listed := s.xml(r)
			listed.Tags = nil // lists omit tags, as in AWS
			all = append(all, listed)
		}
	}
	return struct {
		IsTruncated bool
		Roles       []roleXML `xml:"Roles>member"`
	}{Roles: all}, nil
}

func (s *Service) deleteRole(ctx context.Context, form url.Values) (any, *wire.Error) {
	return nil, s.roles.Delete(ctx, form.Get("RoleName"), func(r *role) *wire.Error {
		if len(r.Policies) > 0 {
			return &wire.Error{Code: "DeleteConflict", Message: "Cannot delete entity, must delete policies first.", Status: http.StatusConflict}
		}
		return nil
	})
}

func (s *Service) updateTrust(ctx context.Context, form url.Values) (any, *wire.Error) {
	return s.change(ctx, form, func(r *role) *wire.Error {
		r.Trust = form.Get("PolicyDocument")
		return checkDocument(r.Trust, maxTrust, trustProblem)
	})
}

func (s *Service) tagRole(ctx context.Context, form url.Values) (any, *wire.Error) {
	return s.change(ctx, form, func(r *role) *wire.Error {
		tags, refused := tagsOf(form)
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		maps.Copy(r.Tags, tags)
		if len(r.Tags) > wire.MaxTags {
			return limit("TagsPerRole", wire.MaxTags)
		}
		return refused
	})
}

func (s *Service) untagRole(ctx context.Context, form url.Values) (any, *wire.Error) {
	return s.change(ctx, form, func(r *role) *wire.Error {
		for n := 1; form.Has(fmt.Sprintf("TagKeys.member.%d", n)); n++ {
			delete(r.Tags, form.Get(fmt.Sprintf("TagKeys.member.%d", n)))
		}
		return nil
	})
}

func listTags(r *role, _ url.Values) (any, *wire.Error) {
	return struct {
		IsTruncated bool
		Tags        []tagXML `xml:"Tags>member"`
	}{Tags: tagsXML(r.Tags)}, nil
}

func (s *Service) putPolicy(ctx context.Context, form url.Values) (any, *wire.Error) {
	name, text := form.Get("PolicyName"), form.Get("PolicyDocument")
	if !nameForm.MatchString(name) {
		return nil, invalid("The specified value for policyName is invalid.")
	}
	return s.change(ctx, form, func(r *role) *wire.Error {
		if r.Policies == nil {
			r.Policies = map[string]string{}
		}
		r.Policies[name] = text
		all := 0
		for _, p := range r.Policies {
			all += len(strings.Join(strings.Fields(p), ""))
		}
		if all > maxPermissions {
			return limit("size of all inline policies", maxPermissions)
		}
		return checkDocument(text, 1<<20, permissionProblem)
	})
}

func getPolicy(r *role, form url.Values) (any, *wire.Error) {
	name := form.Get("PolicyName")
	text, ok := r.Policies[name]
	if !ok {
		return nil, noEntity("role policy with name " + name)
	}
	return struct{ RoleName, PolicyName, PolicyDocument string }{r.Name, name, encoded(text)}, nil
}

func (s *Service) deletePolicy(ctx context.Context, form url.Values) (any, *wire.Error) {
	return s.change(ctx, form, func(r *role) *wire.Error {
		name := form.Get("PolicyName")
		if _, ok := r.Policies[name]; !ok {
			return noEntity("role policy with name " + name)
		}
		delete(r.Policies, name)
		return nil
	})
}

func listPolicies(r *role, _ url.Values) (any, *wire.Error) {
	return struct {
		IsTruncated bool
		PolicyNames []string `xml:"PolicyNames>member"`
	}{PolicyNames: slices.Sorted(maps.Keys(r.Policies))}, nil
}

// listAttached returns an empty list: there are no managed policies.
func listAttached(*role, url.Values) (any, *wire.Error) {
	return struct {
		IsTruncated      bool
		AttachedPolicies struct{}
	}{}, nil
}

func listProfiles(*role, url.Values) (any, *wire.Error) {
	return struct {
		IsTruncated      bool
		InstanceProfiles struct{}
	}{}, nil
}

// change applies change to the role that a request names.
func (s *Service) change(ctx context.Context, form url.Values, change func(*role) *wire.Error) (any, *wire.Error) {
	return nil, s.roles.Change(ctx, form.Get("RoleName"), change)
}
