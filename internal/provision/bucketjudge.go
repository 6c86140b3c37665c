package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// judge adds to state what settings that stagelog does not manage mean for the pipeline. It makes no call for a bucket with the
// settings that deploy made, so that such a bucket needs no further permission.
func (r *Bucket) judge(ctx context.Context, versioning types.BucketVersioningStatus, state *State) error {
	if err := r.judgeVersions(ctx, versioning, state); err != nil {
		return err
	}
	if err := r.judgeRules(ctx, state); err != nil {
		return err
	}
	if state.Differs(fieldOwnership) {
		if err := r.judgeACL(ctx, state); err != nil {
			return err
		}
	}
	if state.tagsDiffer() && r.abac(ctx) {
		state.Notes = append(state.Notes, "the bucket uses tags for access control (ABAC): setting tags needs s3:TagResource instead of s3:PutBucketTagging, and policies that test tags may treat the bucket differently afterwards")
	}
	if state.Differs(fieldEncryption) {
		state.Notes = append(state.Notes, "to leave the bucket's encryption unchanged, set encryption: keep under aws: in stagelog.yaml")
	}
	by, bucketKey, err := r.newEncryption(ctx)
	if err != nil {
		return err
	}
	r.judgeKey(ctx, by, bucketKey, state)
	return nil
}

// newEncryption returns the default encryption that the bucket will have.
func (r *Bucket) newEncryption(ctx context.Context) (by types.ServerSideEncryptionByDefault, bucketKey bool, err error) {
	if r.want.Encryption != "" {
		return r.wantEncryption(), r.want.Key != "", nil
	}
	rule, err := r.encryptionRule(ctx)
	if err != nil || rule == nil || rule.ApplyServerSideEncryptionByDefault == nil {
		return by, false, err
	}
	return *rule.ApplyServerSideEncryptionByDefault, aws.ToBool(rule.BucketKeyEnabled), nil
}

// judgeVersions refuses to suspend the versioning of a bucket with Object Lock or replication, and describes their consequences if
// versioning is kept. Both require versioning.
func (r *Bucket) judgeVersions(ctx context.Context, versioning types.BucketVersioningStatus, state *State) error {
	if versioning != types.BucketVersioningStatusEnabled {
		return nil
	}
	lock, err := r.objectLock(ctx)
	if err := unknown(err, state, "whether the bucket has Object Lock", "s3:GetBucketObjectLockConfiguration"); err != nil {
		return err
	}
	rules, err := r.replication(ctx)
	if err := unknown(err, state, "whether the bucket is replicated", "s3:GetReplicationConfiguration"); err != nil {
		return err
	}
	switch {
	case r.want.KeepVersioning || r.want.Others:
		state.Warnings = append(state.Warnings, r.lockedText(lock)...)
		state.Notes = append(state.Notes, r.replicatedText(rules)...)
	case lock != nil:
		state.Refusal = fmt.Errorf("%s", stateText("object lock"))
	case len(rules) > 0:
		state.Refusal = fmt.Errorf("%s", stateText("replication"))
	default:
		state.Notes = append(state.Notes, "if another bucket is replicated to this one, suspending versioning stops that replication: to leave it on, set versioning: keep under aws: in stagelog.yaml")
	}
	return nil
}

// unknown notes in state what could not be read for lack of a permission. It returns other errors.
func unknown(err error, state *State, what, action string) error {
	if awserr.Denied(err) {
		state.Notes = append(state.Notes, fmt.Sprintf("%s is unknown: these credentials lack %s", what, action))
		return nil
	}
	return err
}

// objectLock returns the bucket's Object Lock configuration, or nil.
func (r *Bucket) objectLock(ctx context.Context) (*types.ObjectLockConfiguration, error) {
	out, err := r.c.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "ObjectLockConfigurationNotFoundError") || awserr.Unsupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read its Object Lock: %w", err)
	}
	if c := out.ObjectLockConfiguration; c != nil && c.ObjectLockEnabled == types.ObjectLockEnabledEnabled {
		return c, nil
	}
	return nil, nil
}

// replication returns the bucket's enabled replication rules.
func (r *Bucket) replication(ctx context.Context) ([]types.ReplicationRule, error) {
	out, err := r.c.GetBucketReplication(ctx, &s3.GetBucketReplicationInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "ReplicationConfigurationNotFoundError") || awserr.Unsupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read its replication: %w", err)
	}
	return out.ReplicationConfiguration.Rules, nil
}

// lockedText describes what Object Lock means for the pipeline's objects.
func (r *Bucket) lockedText(lock *types.ObjectLockConfiguration) []string {
	switch {
	case lock == nil:
		return nil
	case lock.Rule == nil || lock.Rule.DefaultRetention == nil:
		return []string{"the bucket has Object Lock: objects with a retention period or a legal hold cannot be deleted, neither by a lifecycle rule nor by destroy"}
	}
	d := lock.Rule.DefaultRetention
	period := fmt.Sprintf("%d days", aws.ToInt32(d.Days))
	if aws.ToInt32(d.Years) > 0 {
		period = fmt.Sprintf("%d years", aws.ToInt32(d.Years))
	}
	// S3 requires a checksum for such objects: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
	return []string{fmt.Sprintf("Object Lock keeps each new object for %s (%s): no lifecycle rule and no destroy deletes it before, and each version of %s is kept as long. S3 accepts such objects only with a checksum, and AWS does not document whether Firehose sends one: after deploy, run `stagelog doctor`, which sends a test record",
		period, d.Mode, desired.SnapshotKey(r.s.Pipeline))}
}

// replicatedText describes which of the pipeline's objects are copied to which bucket.
func (r *Bucket) replicatedText(rules []types.ReplicationRule) (notes []string) {
	for _, rule := range rules {
		prefix := aws.ToString(rule.Prefix) //lint:ignore SA1019 existing buckets still have rules of this form
		if f := rule.Filter; f != nil {
			prefix = aws.ToString(f.Prefix)
			if f.And != nil {
				prefix = aws.ToString(f.And.Prefix)
			}
		}
		where := r.where(prefix)
		if rule.Status != types.ReplicationRuleStatusEnabled || rule.Destination == nil || len(where) == 0 {
			continue
		}
		_, to, _ := strings.Cut(aws.ToString(rule.Destination.Bucket), ":::")
		notes = append(notes, fmt.Sprintf("objects below %s are replicated to s3://%s by the rule %s: readers: and expire_days do not apply to the copies", Listed(where), to, aws.ToString(rule.ID)))
	}
	return notes
}

// where returns the pipeline's prefixes that a rule for objects below prefix covers, at least in part.
func (r *Bucket) where(prefix string) (all []string) {
	for _, own := range r.s.Prefixes() {
		if (strings.HasPrefix(own, prefix) || strings.HasPrefix(prefix, own)) && !slices.Contains(all, own) {
			all = append(all, own)
		}
	}
	return all
}

// judgeRules warns of lifecycle rules of others that delete or archive the pipeline's objects.
func (r *Bucket) judgeRules(ctx context.Context, state *State) error {
	now, err := r.lifecycle(ctx)
	if awserr.Unsupported(err) {
		return nil
	}
	if err == nil {
		state.Warnings = append(state.Warnings, RuleWarnings(now.Rules, r.s.Prefixes())...)
	}
	return unknown(err, state, "whether lifecycle rules delete or archive the pipeline's objects", "s3:GetLifecycleConfiguration")
}

// RuleWarnings describes the enabled lifecycle rules, other than the pipeline's, that delete or move objects below any of prefixes.
func RuleWarnings(rules []types.LifecycleRule, prefixes []string) (warnings []string) {
	for _, rule := range rules {
		if desired.IsOwnRule(rule) || rule.Status != types.ExpirationStatusEnabled {
			continue
		}
		where := ruleCovers(rule, prefixes)
		for _, effect := range ruleEffects(rule) {
			if len(where) > 0 {
				warnings = append(warnings, fmt.Sprintf("the lifecycle rule %q, which is not stagelog's, also applies to objects below %s: it %s", aws.ToString(rule.ID), Listed(where), effect))
			}
		}
	}
	return warnings
}

// ruleCovers returns the prefixes with objects that a rule applies to. A rule for tagged objects applies to none: Firehose and
// stagelog set no tags on objects.
func ruleCovers(rule types.LifecycleRule, prefixes []string) (where []string) {
	withFilter(&rule)
	prefix := ""
	if f := rule.Filter; f != nil {
		if f.Tag != nil || f.And != nil && len(f.And.Tags) > 0 {
			return nil
		}
		prefix = aws.ToString(f.Prefix)
		if f.And != nil {
			prefix = aws.ToString(f.And.Prefix)
		}
	}
	for _, p := range prefixes {
		if (strings.HasPrefix(p, prefix) || strings.HasPrefix(prefix, p)) && !slices.Contains(where, p) {
			where = append(where, p)
		}
	}
	return where
}

// ruleEffects describes what a rule does to current objects.
func ruleEffects(rule types.LifecycleRule) (effects []string) {
	if e := rule.Expiration; e != nil && e.Date != nil {
		effects = append(effects, "deletes them from "+e.Date.Format("2006-01-02")+" on")
	} else if e != nil && e.Days != nil {
		effects = append(effects, fmt.Sprintf("deletes them after %d days", *e.Days))
	}
	for _, t := range rule.Transitions {
		effect := fmt.Sprintf("moves them to %s after %d days", t.StorageClass, aws.ToInt32(t.Days))
		if t.Date != nil {
			effect = fmt.Sprintf("moves them to %s from %s on", t.StorageClass, t.Date.Format("2006-01-02"))
		}
		if t.StorageClass == types.TransitionStorageClassGlacier || t.StorageClass == types.TransitionStorageClassDeepArchive {
			effect += ", where readers, reports and destroy cannot read them until they are restored"
		}
		effects = append(effects, effect)
	}
	return effects
}

// judgeACL refuses to turn off the ACLs of a bucket whose ACL grants something to others, as S3 does.
func (r *Bucket) judgeACL(ctx context.Context, state *State) error {
	out, err := r.c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: aws.String(r.Name())})
	if awserr.Unsupported(err) {
		return nil
	}
	if err != nil {
		return unknown(err, state, "whether the bucket's ACL grants access to others", "s3:GetBucketAcl")
	}
	owner := ""
	if out.Owner != nil {
		owner = aws.ToString(out.Owner.ID)
	}
	for _, g := range out.Grants {
		if g.Grantee == nil || g.Grantee.Type != types.TypeCanonicalUser || aws.ToString(g.Grantee.ID) != owner {
			state.Refusal = fmt.Errorf("%s", r.aclText())
		}
	}
	return nil
}

// wrongNamespace refuses a new bucket with a name in the namespace of another account or Region.
func (r *Bucket) wrongNamespace() error {
	account, region := desired.NamespaceOf(r.Name())
	if account == "" || r.want.AccountRegional {
		return nil
	}
	return fmt.Errorf("a bucket name with this ending can only be created by account %s in %s, and the pipeline is in account %s in %s: change the ending, or choose another bucket: in stagelog.yaml", account, region, r.s.Account, r.s.Region)
}

// keyRegion returns the Region in a key's ARN, "" if there is none.
func keyRegion(key string) string {
	at, err := arn.Parse(key)
	if err != nil {
		return ""
	}
	return at.Region
}
