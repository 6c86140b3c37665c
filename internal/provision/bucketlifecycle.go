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
