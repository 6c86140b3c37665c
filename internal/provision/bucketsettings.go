package provision

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// bucketSetting is one setting of the bucket: the actual and the wanted value in the same normal
// form, and the call that sets it.
type bucketSetting struct {
	name      string
	want      string
	have      func(context.Context) (string, error)
	put       func(context.Context) error
	refusable bool // S3 may refuse it because of another setting of the bucket
}

const (
	fieldOwnership  = "object ownership"
	fieldEncryption = "encryption"
	fieldVersioning = "versioning"
)

func (r *Bucket) settings() []bucketSetting {
	all := []bucketSetting{
		{"public access block", publicAccessText(&r.want.PublicAccess), r.publicAccess, r.putPublicAccess, false},
		{fieldOwnership, string(r.want.Ownership), r.ownership, r.putOwnership, true},
	}
	if r.want.Encryption != "" {
		all = append(all, bucketSetting{fieldEncryption, encryptedText(r.wantEncryption()), r.encryption, r.putEncryption, false})
	}
	if !r.want.KeepVersioning {
		all = append(all, bucketSetting{fieldVersioning, "off", r.versioningField, r.suspendVersioning, true})
	}
	return append(all, bucketSetting{"lifecycle", rulesText(r.want.Rules), r.lifecycleField, r.putLifecycle, false})
}

// publicAccessText lists the blocks that are on.
func publicAccessText(c *types.PublicAccessBlockConfiguration) string {
	if c == nil {
		return ""
	}
	var on []string
	for _, b := range []struct {
		name string
		on   *bool
	}{
		{"BlockPublicAcls", c.BlockPublicAcls}, {"IgnorePublicAcls", c.IgnorePublicAcls},
		{"BlockPublicPolicy", c.BlockPublicPolicy}, {"RestrictPublicBuckets", c.RestrictPublicBuckets},
	} {
		if aws.ToBool(b.on) {
			on = append(on, b.name)
		}
	}
	return strings.Join(on, ", ")
}

func (r *Bucket) publicAccess(ctx context.Context) (string, error) {
	out, err := r.c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "NoSuchPublicAccessBlockConfiguration") {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return publicAccessText(out.PublicAccessBlockConfiguration), nil
}

func (r *Bucket) putPublicAccess(ctx context.Context) error {
	_, err := r.c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: aws.String(r.Name()), PublicAccessBlockConfiguration: &r.want.PublicAccess,
	})
	return err
}

func (r *Bucket) ownership(ctx context.Context) (string, error) {
	out, err := r.c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "OwnershipControlsNotFoundError") {
		return "", nil
	}
	if err != nil || out.OwnershipControls == nil || len(out.OwnershipControls.Rules) == 0 {
		return "", err
	}
	return string(out.OwnershipControls.Rules[0].ObjectOwnership), nil
}

func (r *Bucket) putOwnership(ctx context.Context) error {
	_, err := r.c.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{
		Bucket: aws.String(r.Name()),
		OwnershipControls: &types.OwnershipControls{
			Rules: []types.OwnershipControlsRule{{ObjectOwnership: r.want.Ownership}},
		},
	})
	if awserr.Is(err, "InvalidBucketAclWithObjectOwnership") {
		return &explained{r.aclText(), err}
	}
	return err
}

func (r *Bucket) aclText() string {
	return fmt.Sprintf("the bucket's ACL grants access to others, which BucketOwnerEnforced does not allow: check it with `aws s3api get-bucket-acl --bucket %s`, then remove the grants with `aws s3api put-bucket-acl --bucket %s --acl private`", r.Name(), r.Name())
}

// encryptionRule returns the default encryption, or nil if none is set.
func (r *Bucket) encryptionRule(ctx context.Context) (*types.ServerSideEncryptionRule, error) {
	out, err := r.c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "ServerSideEncryptionConfigurationNotFoundError") {
		return nil, nil
	}
	if err != nil || out.ServerSideEncryptionConfiguration == nil || len(out.ServerSideEncryptionConfiguration.Rules) == 0 {
		return nil, err
	}
	return &out.ServerSideEncryptionConfiguration.Rules[0], nil
}

func (r *Bucket) encryption(ctx context.Context) (string, error) {
	rule, err := r.encryptionRule(ctx)
	if err != nil || rule == nil || rule.ApplyServerSideEncryptionByDefault == nil {
		return "", err
	}
	return encryptedText(*rule.ApplyServerSideEncryptionByDefault), nil
}

func encryptedText(by types.ServerSideEncryptionByDefault) string {
	text := string(by.SSEAlgorithm)
	if by.SSEAlgorithm != types.ServerSideEncryptionAes256 {
		key := aws.ToString(by.KMSMasterKeyID)
		if key == "" {
			key = "aws/s3"
		}
		text += ", key " + key
	}
	return text
}

func (r *Bucket) wantEncryption() types.ServerSideEncryptionByDefault {
	by := types.ServerSideEncryptionByDefault{SSEAlgorithm: r.want.Encryption}
	if r.want.Key != "" {
		by.KMSMasterKeyID = aws.String(r.want.Key)
	}
	return by
}

// putEncryption sets the default encryption and keeps the list of blocked encryption types. A bucket key saves most of the requests
// to KMS.
func (r *Bucket) putEncryption(ctx context.Context) error {
	by := r.wantEncryption()
	rule := types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &by}
	if r.want.Key != "" {
		rule.BucketKeyEnabled = aws.Bool(true)
	}
	now, err := r.encryptionRule(ctx)
	if err != nil {
		return err
	}
	if now != nil {
		rule.BlockedEncryptionTypes = now.BlockedEncryptionTypes
	}
	_, err = r.c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
		Bucket:                            aws.String(r.Name()),
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{rule}},
	})
	return err
}

// versioning returns the versioning status, empty for a bucket that never had versioning.
func (r *Bucket) versioning(ctx context.Context) (types.BucketVersioningStatus, error) {
	out, err := r.c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String(r.Name())})
	if err != nil {
		return "", err
	}
	return out.Status, nil
}

// versioningField reports Suspended as "off": versioning cannot be turned off once it was on.
func (r *Bucket) versioningField(ctx context.Context) (string, error) {
	status, err := r.versioning(ctx)
	if err == nil && status == types.BucketVersioningStatusEnabled {
		return string(status), nil
	}
	return "off", err
}

func (r *Bucket) suspendVersioning(ctx context.Context) error {
	_, err := r.c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket:                  aws.String(r.Name()),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended},
	})
	if awserr.Is(err, "InvalidBucketState") {
		return &explained{stateText(awserr.Message(err)), err}
	}
	return err
}

const keepVersioning = ": set versioning: keep under aws: in stagelog.yaml, or choose another bucket:"

// stateText explains why S3 does not suspend versioning. Both reasons have the code InvalidBucketState; only the message differs.
func stateText(message string) string {
	switch message = strings.ToLower(message); {
	case strings.Contains(message, "replication"):
		return "the bucket is replicated, so its versioning cannot be suspended" + keepVersioning
	case strings.Contains(message, "object lock"):
		return "the bucket has Object Lock, so its versioning cannot be suspended" + keepVersioning
	}
	return "S3 does not suspend the bucket's versioning in its present state, usually because of Object Lock or replication" + keepVersioning
}

func (r *Bucket) notes(versioning types.BucketVersioningStatus) []string {
	var notes []string
	if versioning != "" {
		notes = append(notes, "versioning was on before: objects that expire or are deleted stay as old versions until those are deleted too")
	}
	return append(notes, r.want.Notes...)
}

// lifecycle returns the bucket's lifecycle configuration, empty if none is set.
func (r *Bucket) lifecycle(ctx context.Context) (*s3.GetBucketLifecycleConfigurationOutput, error) {
	out, err := r.c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "NoSuchLifecycleConfiguration") {
		return &s3.GetBucketLifecycleConfigurationOutput{}, nil
	}
	return out, err
}

func (r *Bucket) lifecycleField(ctx context.Context) (string, error) {
	now, err := r.lifecycle(ctx)
	if err != nil {
		return "", err
	}
	return rulesText(now.Rules), nil
}

// putLifecycle replaces the pipeline's rules. The API replaces all rules at once, so the other
// rules are sent unchanged.
func (r *Bucket) putLifecycle(ctx context.Context) error {
	now, err := r.lifecycle(ctx)
	if err != nil {
		return err
	}
	rules := slices.DeleteFunc(now.Rules, desired.IsOwnRule)
	for i := range rules {
		withFilter(&rules[i])
	}
	_, err = r.c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket:                             aws.String(r.Name()),
		LifecycleConfiguration:             &types.BucketLifecycleConfiguration{Rules: append(rules, r.want.Rules...)},
		TransitionDefaultMinimumObjectSize: now.TransitionDefaultMinimumObjectSize,
	})
	return err
}

// withFilter converts a rule from the deprecated Prefix form to the equivalent Filter form: S3
// rejects a mixture of the two.
func withFilter(rule *types.LifecycleRule) {
	old := rule.Prefix //lint:ignore SA1019 existing buckets still have rules of this form
	if old != nil && rule.Filter == nil {
		rule.Filter = &types.LifecycleRuleFilter{Prefix: old}
	}
	if rule.Filter != nil {
		rule.Prefix = nil //lint:ignore SA1019 see above
	}
}

// rulesText formats the pipeline's own rules among rules, one per line, sorted by ID.
func rulesText(rules []types.LifecycleRule) string {
	own := slices.DeleteFunc(slices.Clone(rules), func(rule types.LifecycleRule) bool { return !desired.IsOwnRule(rule) })
	slices.SortFunc(own, func(a, b types.LifecycleRule) int { return cmp.Compare(aws.ToString(a.ID), aws.ToString(b.ID)) })
	var lines []string
	for _, rule := range own {
		lines = append(lines, ruleText(rule))
	}
	return strings.Join(lines, "\n")
}

// ruleText formats the properties that the pipeline sets in a rule, and notes any others.
func ruleText(rule types.LifecycleRule) string {
	withFilter(&rule)
	text := aws.ToString(rule.ID) + ":"
	known := types.LifecycleRule{ID: rule.ID, Status: rule.Status, Filter: rule.Filter}
	if a := rule.AbortIncompleteMultipartUpload; a != nil {
		known.AbortIncompleteMultipartUpload = a
		text += fmt.Sprintf(" abort uploads after %d days", aws.ToInt32(a.DaysAfterInitiation))
	}
	if e := rule.Expiration; e != nil && e.Days != nil && e.Date == nil && !aws.ToBool(e.ExpiredObjectDeleteMarker) {
		known.Expiration = e
		text += fmt.Sprintf(" delete objects after %d days", *e.Days)
	}
	where := ""
	if f := rule.Filter; f != nil {
		where = aws.ToString(f.Prefix)
		if f.And != nil || f.Tag != nil || f.ObjectSizeGreaterThan != nil || f.ObjectSizeLessThan != nil {
			known.Filter = nil
		}
	}
	if where != "" {
		text += " below " + where
	}
	if !reflect.DeepEqual(known, rule) {
		text += ", and other settings"
	}
	if rule.Status != types.ExpirationStatusEnabled {
		text += ", disabled"
	}
	return text
}
