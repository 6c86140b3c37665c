// Package iam is IAM's control API for one machine, as far as roles and their inline policies
// go. Roles are kept and checked as IAM does, and grant nothing here: functions run with the
// administrator's credentials, and Firehose is this process. It is there so that what builds a
// pipeline in AWS builds it here as well.
package iam

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// IAM's quotas: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxRoles       = 1000
	maxTrust       = 2048  // characters of a trust policy
	maxPermissions = 10240 // characters of all inline policies of a role, without white space
	maxTags        = 50
)

// Service is IAM.
type Service struct {
	account string
	store   record.Store
	now     func() time.Time

	mu    sync.Mutex // guards roles, and keeps the order of writes
	roles map[string]*role
}

// role is a role as it is stored.
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

const keyPrefix = "role/"

// Open reads the roles. account is of 12 digits and stands in their ARNs.
func Open(ctx context.Context, account string, store record.Store) (*Service, error) {
	s := &Service{account: account, store: store, now: time.Now, roles: map[string]*role{}}
	err := store.All(ctx, keyPrefix, func(key string, value []byte, _ uint64) error {
		var r role
		if err := json.Unmarshal(value, &r); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		s.roles[r.Name] = &r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open IAM's state: %w", err)
	}
	return s, nil
}

// ServeHTTP answers a request that awswire has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		var err error
		if form, err = url.ParseQuery(string(wire.Body(r))); err != nil {
			wire.WriteError(w, wire.Query, &wire.Error{Code: "MalformedQueryString", Message: "The request's body is not a well-formed query string."})
			return
		}
	}
	action := form.Get("Action")
	serve, ok := actions[action]
	if !ok {
		wire.WriteError(w, wire.Query, &wire.Error{Code: "InvalidAction", Message: "Could not find operation " + action +
			" for version 2010-05-08: stagelog serves IAM's actions on roles and their inline policies."})
		return
	}
	s.mu.Lock()
	result, refused := serve(s, r.Context(), form)
	s.mu.Unlock()
	if refused != nil {
		wire.WriteError(w, wire.Query, refused)
		return
	}
	writeAnswer(w, action, result)
}

// actions are what is served. Each runs with s.mu held.
var actions = map[string]func(*Service, context.Context, url.Values) (any, *wire.Error){
	"CreateRole":                  (*Service).createRole,
	"GetRole":                     (*Service).getRole,
	"ListRoles":                   (*Service).listRoles,
	"DeleteRole":                  (*Service).deleteRole,
	"UpdateAssumeRolePolicy":      (*Service).updateTrust,
	"TagRole":                     (*Service).tagRole,
	"UntagRole":                   (*Service).untagRole,
	"ListRoleTags":                (*Service).listTags,
	"PutRolePolicy":               (*Service).putPolicy,
	"GetRolePolicy":               (*Service).getPolicy,
	"DeleteRolePolicy":            (*Service).deletePolicy,
	"ListRolePolicies":            (*Service).listPolicies,
	"ListAttachedRolePolicies":    (*Service).listAttached,
	"ListInstanceProfilesForRole": (*Service).listProfiles,
}

var (
	nameForm = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	pathForm = regexp.MustCompile(`^/([!-~]*/)?$`)
)

func (s *Service) createRole(ctx context.Context, form url.Values) (any, *wire.Error) {
	r := &role{Name: form.Get("RoleName"), Path: form.Get("Path"), Description: form.Get("Description"), Trust: form.Get("AssumeRolePolicyDocument"), Created: s.now().UTC().Truncate(time.Second), ID: newID()}
	if r.Path == "" {
		r.Path = "/"
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
	case s.roles[r.Name] != nil:
		return nil, &wire.Error{Code: "EntityAlreadyExists", Message: "Role with name " + r.Name + " already exists.", Status: http.StatusConflict}
	case len(s.roles) >= maxRoles:
		return nil, limit("RolesPerAccount", maxRoles)
	}
	if refused := checkDocument(r.Trust, maxTrust, true); refused != nil {
		return nil, refused
	}
	r.Tags = tags
	if refused := s.save(ctx, r); refused != nil {
		return nil, refused
	}
	return struct{ Role roleXML }{s.xml(r)}, nil
}

func (s *Service) getRole(_ context.Context, form url.Values) (any, *wire.Error) {
	r, refused := s.find(form)
	if refused != nil {
		return nil, refused
	}
	return struct{ Role roleXML }{s.xml(r)}, nil
}

func (s *Service) listRoles(_ context.Context, form url.Values) (any, *wire.Error) {
	all := []roleXML{}
	for _, name := range slices.Sorted(maps.Keys(s.roles)) {
		if r := s.roles[name]; strings.HasPrefix(r.Path, form.Get("PathPrefix")) {
			listed := s.xml(r)
			listed.Tags = nil // a list has none, as in AWS
			all = append(all, listed)
		}
	}
	return struct {
		IsTruncated bool
		Roles       []roleXML `xml:"Roles>member"`
	}{Roles: all}, nil
}

func (s *Service) deleteRole(ctx context.Context, form url.Values) (any, *wire.Error) {
	r, refused := s.find(form)
	switch {
	case refused != nil:
		return nil, refused
	case len(r.Policies) > 0:
		return nil, &wire.Error{Code: "DeleteConflict", Message: "Cannot delete entity, must delete policies first.", Status: http.StatusConflict}
	}
	if err := s.store.Delete(ctx, keyPrefix+r.Name); err != nil {
		return nil, notStored
	}
	delete(s.roles, r.Name)
	return nil, nil
}

func (s *Service) updateTrust(ctx context.Context, form url.Values) (any, *wire.Error) {
	return s.change(ctx, form, func(r *role) *wire.Error {
		r.Trust = form.Get("PolicyDocument")
		return checkDocument(r.Trust, maxTrust, true)
	})
}

func (s *Service) tagRole(ctx context.Context, form url.Values) (any, *wire.Error) {
	return s.change(ctx, form, func(r *role) *wire.Error {
		tags, refused := tagsOf(form)
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		maps.Copy(r.Tags, tags)
		if len(r.Tags) > maxTags {
			return limit("TagsPerRole", maxTags)
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

func (s *Service) listTags(_ context.Context, form url.Values) (any, *wire.Error) {
	r, refused := s.find(form)
	if refused != nil {
		return nil, refused
	}
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
		return checkDocument(text, 1<<20, false)
	})
}

func (s *Service) getPolicy(_ context.Context, form url.Values) (any, *wire.Error) {
	r, refused := s.find(form)
	if refused != nil {
		return nil, refused
	}
	name := form.Get("PolicyName")
	text, ok := r.Policies[name]
	if !ok {
		return nil, noPolicy(name)
	}
	return struct{ RoleName, PolicyName, PolicyDocument string }{r.Name, name, encoded(text)}, nil
}

func (s *Service) deletePolicy(ctx context.Context, form url.Values) (any, *wire.Error) {
	return s.change(ctx, form, func(r *role) *wire.Error {
		name := form.Get("PolicyName")
		if _, ok := r.Policies[name]; !ok {
			return noPolicy(name)
		}
		delete(r.Policies, name)
		return nil
	})
}

func (s *Service) listPolicies(_ context.Context, form url.Values) (any, *wire.Error) {
	r, refused := s.find(form)
	if refused != nil {
		return nil, refused
	}
	return struct {
		IsTruncated bool
		PolicyNames []string `xml:"PolicyNames>member"`
	}{PolicyNames: slices.Sorted(maps.Keys(r.Policies))}, nil
}

// listAttached answers none: there are no managed policies here.
func (s *Service) listAttached(_ context.Context, form url.Values) (any, *wire.Error) {
	_, refused := s.find(form)
	return struct {
		IsTruncated      bool
		AttachedPolicies struct{}
	}{}, refused
}

func (s *Service) listProfiles(_ context.Context, form url.Values) (any, *wire.Error) {
	_, refused := s.find(form)
	return struct {
		IsTruncated      bool
		InstanceProfiles struct{}
	}{}, refused
}

func (s *Service) find(form url.Values) (*role, *wire.Error) {
	name := form.Get("RoleName")
	if r := s.roles[name]; r != nil {
		return r, nil
	}
	return nil, &wire.Error{Code: "NoSuchEntity", Message: "The role with name " + name + " cannot be found.", Status: http.StatusNotFound}
}

// change stores a changed copy of a role, and keeps it once it is durable.
func (s *Service) change(ctx context.Context, form url.Values, do func(*role) *wire.Error) (any, *wire.Error) {
	found, refused := s.find(form)
	if refused != nil {
		return nil, refused
	}
	r := *found
	r.Tags, r.Policies = maps.Clone(r.Tags), maps.Clone(r.Policies)
	if refused := do(&r); refused != nil {
		return nil, refused
	}
	return nil, s.save(ctx, &r)
}

func (s *Service) save(ctx context.Context, r *role) *wire.Error {
	value, err := json.Marshal(r)
	if err == nil {
		_, err = s.store.Set(ctx, keyPrefix+r.Name, value)
	}
	if err != nil {
		return notStored
	}
	s.roles[r.Name] = r
	return nil
}
