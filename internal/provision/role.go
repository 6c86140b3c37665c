package provision

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// role is an IAM role with one inline policy. It is tagged on creation, so a role without a tag is
// never the pipeline's.
type role struct {
	s    *desired.Spec
	want desired.Role
	c    *iam.Client

	created, updated bool // by Apply
}

// KeepRoles returns s with the roles that an earlier version of stagelog made for the pipeline, without the Region in their
// names. They are kept, because a change of roles can fail records: Firehose uses an updated destination within a few minutes
// (API reference of UpdateDestination) and cannot tell when, and it sends records to the error output while the permission
// to call the function has not reached every part of IAM. With an error the result has no old roles.
func KeepRoles(ctx context.Context, s *desired.Spec, c *Clients) (*desired.Spec, error) {
	kept := *s
	given := []string{s.Pipeline.AWS.FunctionRole, s.Pipeline.AWS.FirehoseRole}
	for i, name := range s.OldRoles() {
		now, err := newRole(s, desired.Role{Name: name}, c).get(ctx)
		if awserr.Denied(err) && given[i] != "" { // the pipeline uses another role
			continue
		}
		if err != nil {
			return s, fmt.Errorf("IAM role %s, the name that earlier versions of stagelog used: %w", name, Explain(err))
		}
		if now != nil && roleTags(now.Tags)[desired.OwnerTag] == s.Owner() {
			kept.KeptRoles = append(kept.KeptRoles, name)
		}
	}
	return &kept, nil
}

// DropOldRoles deletes the roles that KeepRoles would keep. The pipeline must not use them any more.
func DropOldRoles(ctx context.Context, s *desired.Spec, c *Clients) error {
	kept, err := KeepRoles(ctx, s, c)
	if err != nil {
		return err
	}
	for _, name := range kept.KeptRoles {
		if _, err := newRole(s, desired.Role{Name: name}, c).Destroy(ctx, State{Exists: true}, quietly); err != nil {
			return fmt.Errorf("IAM role %s: %w", name, Explain(err))
		}
	}
	return nil
}

func newRole(s *desired.Spec, want desired.Role, c *Clients) *role {
	return &role{s: s, want: want, c: c.IAM}
}

const (
	fieldTrust       = "trust policy"
	fieldPermissions = "policy " + desired.RolePolicy
	fieldBoundary    = "permissions boundary"
)

func (r *role) Kind() string { return "IAM role" }
func (r *role) Name() string { return r.want.Name }

// Read compares the trust policy and the permissions. Policies attached by others are noted and
// kept.
func (r *role) Read(ctx context.Context) (State, error) {
	trust := Field{Name: fieldTrust, Want: r.want.Trust.Show()}
	permissions := Field{Name: fieldPermissions, Want: r.want.Permissions.Show()}
	now, err := r.get(ctx)
	if err != nil {
		return State{}, err
	}
	if now == nil {
		fields := append([]Field{{Name: fieldTag, Want: r.s.Owner()}}, tagFields(nil, r.s.Tags())...)
		return State{Fields: append(append(fields, trust, permissions), r.boundary(nil)...)}, nil
	}
	tags := roleTags(now.Tags)
	if err := r.checkPath(aws.ToString(now.Path), tags[desired.OwnerTag]); err != nil {
		return State{}, err
	}
	state := State{Exists: true}
	state.ownedBy(tags[desired.OwnerTag], r.s.Owner())
	state.Fields = append(state.Fields, tagFields(tags, r.s.Tags())...)
	trust.Have = r.want.Trust.ShowOther(aws.ToString(now.AssumeRolePolicyDocument))
	if permissions.Have, err = r.inline(ctx); err != nil {
		return State{}, err
	}
	state.Fields = append(append(state.Fields, trust, permissions), r.boundary(now.PermissionsBoundary)...)
	others, err := r.others(ctx)
	if err != nil {
		return State{}, err
	}
	if len(others) > 0 {
		state.Notes = append(state.Notes, "it also has policies not managed by stagelog: "+strings.Join(policyNames(others), ", "))
	}
	if b := now.PermissionsBoundary; b != nil && r.want.Boundary == "" {
		state.Notes = append(state.Notes, "its permissions boundary "+aws.ToString(b.PermissionsBoundaryArn)+" may limit what its policy allows")
	}
	return state, nil
}

// checkPath returns an error if a role has another path than the wanted one: IAM cannot change it.
func (r *role) checkPath(path, owner string) error {
	path = cmp.Or(path, "/")
	switch want := cmp.Or(r.want.Path, "/"); {
	case path == want:
		return nil
	case owner == r.s.Owner():
		return fmt.Errorf("it has the path %s, and IAM cannot change a role's path: set role_path: %s in stagelog.yaml, or run `stagelog destroy` with that path before you deploy with %s", path, path, want)
	default:
		return &refusal{ErrOtherKind, fmt.Sprintf("a role with that name exists with path %s, and IAM cannot change a role's path: choose another name: in stagelog.yaml, or delete that role", path)}
	}
}

// boundary compares the permissions boundary if stagelog.yaml sets or removes one.
func (r *role) boundary(have *types.AttachedPermissionsBoundary) []Field {
	f := Field{Name: fieldBoundary}
	if have != nil {
		f.Have = aws.ToString(have.PermissionsBoundaryArn)
	}
	if r.want.Boundary == "" {
		return nil
	}
	if r.want.Boundary != config.None {
		f.Want = r.want.Boundary
	}
	return []Field{f}
}

// putBoundary sets or removes the permissions boundary.
func (r *role) putBoundary(ctx context.Context) error {
	if r.want.Boundary == config.None {
		_, err := r.c.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &r.want.Name})
		if err != nil {
			return fmt.Errorf("remove its permissions boundary: %w", err)
		}
		return nil
	}
	_, err := r.c.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &r.want.Name, PermissionsBoundary: &r.want.Boundary})
	if err != nil {
		return fmt.Errorf("set its permissions boundary: %w", err)
	}
	return nil
}

// Apply creates the role or changes what differs. It tags first: if interrupted afterwards, the next
// run needs no flag.
func (r *role) Apply(ctx context.Context, found State, progress func(string)) error {
	r.created, r.updated = !found.Exists, found.Differs(fieldTrust) || found.Differs(fieldPermissions)
	if !found.Exists {
		in := &iam.CreateRoleInput{
			RoleName: &r.want.Name, Path: &r.want.Path, Description: &r.want.Description, AssumeRolePolicyDocument: aws.String(r.want.Trust.JSON()), Tags: iamTags(r.s.Tags()),
		}
		if b := r.want.Boundary; b != "" && b != config.None {
			in.PermissionsBoundary = &b
		}
		err := repeat(ctx, progress, func() error {
			_, err := r.c.CreateRole(ctx, in)
			return err
		})
		if err := ignoreOwnDuplicate(ctx, r, progress, err); err != nil {
			return err
		}
	}
	if found.Exists && found.tagsDiffer() {
		if err := repeat(ctx, progress, func() error { return setTags(ctx, r, r.s.Tags()) }); err != nil {
			return err
		}
	}
	if found.Exists && found.Differs(fieldBoundary) {
		if err := repeat(ctx, progress, func() error { return r.putBoundary(ctx) }); err != nil {
			return err
		}
	}
	if found.Exists && found.Differs(fieldTrust) {
		err := repeat(ctx, progress, func() error {
			_, err := r.c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &r.want.Name, PolicyDocument: aws.String(r.want.Trust.JSON())})
			return err
		})
		if err != nil {
			return fmt.Errorf("set its trust policy: %w", err)
		}
	}
	if !found.Differs(fieldPermissions) {
		return nil
	}
	err := repeat(ctx, progress, func() error {
		_, err := r.c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &r.want.Name, PolicyName: aws.String(desired.RolePolicy), PolicyDocument: aws.String(r.want.Permissions.JSON())})
		return err
	})
	if err != nil {
		return fmt.Errorf("set its inline policy: %w", err)
	}
	return nil
}

// Destroy deletes the role's policies, as IAM requires, and then the role.
func (r *role) Destroy(ctx context.Context, found State, _ func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	others, err := r.others(ctx)
	if err != nil {
		return "", err
	}
	did := "deleted"
	if len(others) > 0 {
		did += ", with the policies " + strings.Join(policyNames(others), ", ")
	}
	for _, p := range append(others, types.AttachedPolicy{PolicyName: aws.String(desired.RolePolicy)}) {
		if err := r.remove(ctx, p); err != nil {
			return "", fmt.Errorf("remove policy %s: %w", aws.ToString(p.PolicyName), err)
		}
	}
	_, err = r.c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &r.want.Name})
	if err = ignoreNotFound(err); err != nil {
		return "", err
	}
	return did, nil
}

func (r *role) remove(ctx context.Context, p types.AttachedPolicy) error {
	if p.PolicyArn != nil {
		_, err := r.c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &r.want.Name, PolicyArn: p.PolicyArn})
		return ignoreNotFound(err)
	}
	_, err := r.c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &r.want.Name, PolicyName: p.PolicyName})
	return ignoreNotFound(err)
}

// get returns the role, or nil if it does not exist.
func (r *role) get(ctx context.Context) (*types.Role, error) {
	out, err := r.c.GetRole(ctx, &iam.GetRoleInput{RoleName: &r.want.Name})
	if awserr.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out.Role, nil
}

// inline returns the normal form of the inline policy, "" without one.
func (r *role) inline(ctx context.Context) (string, error) {
	out, err := r.c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &r.want.Name, PolicyName: aws.String(desired.RolePolicy)})
	if awserr.NotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read its inline policy: %w", err)
	}
	return r.want.Permissions.ShowOther(aws.ToString(out.PolicyDocument)), nil
}

// policyNames returns the names of policies.
func policyNames(all []types.AttachedPolicy) (names []string) {
	for _, p := range all {
		names = append(names, aws.ToString(p.PolicyName))
	}
	return names
}

// others returns the role's policies that are not the pipeline's. Inline ones have no ARN.
func (r *role) others(ctx context.Context) (all []types.AttachedPolicy, err error) {
	for page, err := range Pages(ctx, iam.NewListRolePoliciesPaginator(r.c, &iam.ListRolePoliciesInput{RoleName: &r.want.Name})) {
		if err != nil {
			return nil, fmt.Errorf("list its policies: %w", err)
		}
		for _, name := range page.PolicyNames {
			if name != desired.RolePolicy {
				all = append(all, types.AttachedPolicy{PolicyName: &name})
			}
		}
	}
	for page, err := range Pages(ctx, iam.NewListAttachedRolePoliciesPaginator(r.c, &iam.ListAttachedRolePoliciesInput{RoleName: &r.want.Name})) {
		if err != nil {
			return nil, fmt.Errorf("list its attached policies: %w", err)
		}
		all = append(all, page.AttachedPolicies...)
	}
	return all, nil
}

// tags returns the role's tags.
func (r *role) tags(ctx context.Context) (map[string]string, error) {
	now, err := r.get(ctx)
	if err == nil && now == nil {
		err = errDeletedByOther
	}
	if err != nil {
		return nil, err
	}
	return roleTags(now.Tags), nil
}

func (r *role) tag(ctx context.Context, tags map[string]string) error {
	_, err := r.c.TagRole(ctx, &iam.TagRoleInput{RoleName: &r.want.Name, Tags: iamTags(tags)})
	return err
}

func (r *role) untag(ctx context.Context, keys []string) error {
	_, err := r.c.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &r.want.Name, TagKeys: keys})
	return err
}

func iamTags(tags map[string]string) (all []types.Tag) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	return all
}

func roleTags(all []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, t := range all {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags
}
