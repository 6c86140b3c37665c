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

	"github.com/stagelog/stagelog/internal/awserr"
)

// Lifecycle rules with these IDs are the pipeline's. Others are left as they are, whatever else their
// IDs begin with.
const (
	abortRule        = "stagelog-abort-uploads"
	expireRule       = "stagelog-expire"
	expireErrorsRule = "stagelog-expire-errors"
)

// abortDays is after how long the parts of an upload that was never completed are deleted:
// they cost as objects do, and no list shows them. Firehose tries for a day at most.
const abortDays = 7

// expiry is what is deleted after some time: all that begins with a text.
type expiry struct {
	id     string
	option string // of stagelog.yaml
	prefix string // as Firehose has it
	days   int
}

func (r *Bucket) expiries() []expiry {
	p := r.s.Pipeline
	failed := p.Deliver.ErrorPrefix
	if failed == "" {
		failed = p.Deliver.Prefix + "processing-failed/" // where Firehose puts them then
	}
	return []expiry{
		{expireRule, "expire_days", p.Deliver.Prefix, p.AWS.ExpireDays},
		{expireErrorsRule, "error_days", failed, p.AWS.ErrorDays},
	}
}

// fixed is the part of every object's key that a rule can name.
func (e expiry) fixed() string {
	fixed, _, _ := strings.Cut(e.prefix, "!{")
	return fixed
}

// expirable refuses a pipeline whose rules would delete what stagelog keeps in the bucket, and
// everybody else's objects with it.
func (r *Bucket) expirable() error {
	for _, e := range r.expiries() {
		if e.days > 0 && strings.HasPrefix(statePrefix, e.fixed()) {
			return fmt.Errorf("aws: %s would delete all objects that begin with %q, and so what stagelog keeps below %s: give the prefix %q a beginning of its own, such as logs/, or leave out %s",
				e.option, e.fixed(), statePrefix, e.prefix, e.option)
		}
	}
	return nil
}

// wantedRules are the pipeline's own.
func (r *Bucket) wantedRules() []types.LifecycleRule {
	rule := func(id, prefix string) types.LifecycleRule {
		return types.LifecycleRule{ID: aws.String(id), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String(prefix)}}
	}
	abort := rule(abortRule, "")
	abort.AbortIncompleteMultipartUpload = &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(abortDays)}
	rules := []types.LifecycleRule{abort}
	for _, e := range r.expiries() {
		if e.days > 0 {
			expire := rule(e.id, e.fixed())
			expire.Expiration = &types.LifecycleExpiration{Days: aws.Int32(int32(e.days))}
			rules = append(rules, expire)
		}
	}
	return rules
}

// lifecycle is the bucket's; one without rules where it has none.
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

// putLifecycle replaces the pipeline's rules. S3 takes all rules at once, so the others are
// said again.
func (r *Bucket) putLifecycle(ctx context.Context) error {
	now, err := r.lifecycle(ctx)
	if err != nil {
		return err
	}
	rules := slices.DeleteFunc(now.Rules, isOwnRule)
	for i := range rules {
		withFilter(&rules[i])
	}
	_, err = r.c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket:                             aws.String(r.Name()),
		LifecycleConfiguration:             &types.BucketLifecycleConfiguration{Rules: append(rules, r.wantedRules()...)},
		TransitionDefaultMinimumObjectSize: now.TransitionDefaultMinimumObjectSize,
	})
	return err
}

// withFilter writes a rule of the old form in the new one, which means the same: S3 takes no
// mixture of the two.
func withFilter(rule *types.LifecycleRule) {
	old := rule.Prefix //lint:ignore SA1019 rules of this form are still in people's buckets
	if old != nil && rule.Filter == nil {
		rule.Filter = &types.LifecycleRuleFilter{Prefix: old}
	}
	if rule.Filter != nil {
		rule.Prefix = nil //lint:ignore SA1019 see above
	}
}

func isOwnRule(rule types.LifecycleRule) bool {
	return slices.Contains([]string{abortRule, expireRule, expireErrorsRule}, aws.ToString(rule.ID))
}

// rulesText is the normal form of the pipeline's rules among rules: a line for each, in the
// order of their IDs.
func rulesText(rules []types.LifecycleRule) string {
	own := slices.DeleteFunc(slices.Clone(rules), func(rule types.LifecycleRule) bool { return !isOwnRule(rule) })
	slices.SortFunc(own, func(a, b types.LifecycleRule) int { return cmp.Compare(aws.ToString(a.ID), aws.ToString(b.ID)) })
	var lines []string
	for _, rule := range own {
		lines = append(lines, ruleText(rule))
	}
	return strings.Join(lines, "\n")
}

// ruleText says all that a rule of the pipeline's can have, and whether there is more.
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
		text += ", and more"
	}
	if rule.Status != types.ExpirationStatusEnabled {
		text += ", switched off"
	}
	return text
}

// lifecycleNotes says where one rule decides for the objects of another.
func (r *Bucket) lifecycleNotes() []string {
	var notes []string
	all := r.expiries()
	for i, inner := range all {
		outer := all[1-i]
		within := strings.HasPrefix(inner.fixed(), outer.fixed()) && inner.fixed() != outer.fixed()
		if within && outer.days > 0 && (inner.days == 0 || inner.days > outer.days) {
			notes = append(notes, fmt.Sprintf("%s is below %s, so %s (%d days) counts there, too", inner.fixed(), outer.fixed(), outer.option, outer.days))
		}
	}
	return notes
}
