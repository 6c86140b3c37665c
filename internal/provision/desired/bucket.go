package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Bucket holds the settings of the bucket that receives the objects. Versioning is off.
type Bucket struct {
	Account      string // that must own the bucket; "" if unknown
	PublicAccess types.PublicAccessBlockConfiguration
	Ownership    types.ObjectOwnership
	// Encryption is the default encryption. With SSE-KMS, readers in other accounts would be denied: always with the key aws/s3,
	// and with another key until its policy names them.
	Encryption types.ServerSideEncryption
	Rules      []types.LifecycleRule // only the pipeline's own rules
	Notes      []string              // cases where one rule also applies to the objects of another
}

// Lifecycle rules with these IDs belong to the pipeline. All others are left unchanged, even if their
// IDs start the same.
const (
	abortRule        = "stagelog-abort-uploads"
	expireRule       = "stagelog-expire"
	expireErrorsRule = "stagelog-expire-errors"
)

// IsOwnRule reports whether a lifecycle rule was created by stagelog.
func IsOwnRule(rule types.LifecycleRule) bool {
	return slices.Contains([]string{abortRule, expireRule, expireErrorsRule}, aws.ToString(rule.ID))
}

// AbortDays is the age at which the parts of an incomplete upload are deleted: they cost as much
// as objects, but are not listed. Firehose retries for at most a day.
const AbortDays = 7

func (s *Spec) bucket() Bucket {
	on := aws.Bool(true)
	b := Bucket{
		Account:      s.Account,
		PublicAccess: types.PublicAccessBlockConfiguration{BlockPublicAcls: on, IgnorePublicAcls: on, BlockPublicPolicy: on, RestrictPublicBuckets: on},
		Ownership:    types.ObjectOwnershipBucketOwnerEnforced,
		Encryption:   types.ServerSideEncryptionAes256,
		Rules:        lifecycleRules(s),
		Notes:        lifecycleNotes(s),
	}
	if s.ForeignBucket {
		b.Account = ""
	}
	return b
}

// expiry describes objects that are deleted after some time, by their prefix.
type expiry struct {
	id     string
	option string // of stagelog.yaml
	prefix string // as configured in Firehose, with expressions
	days   int
}

func expiries(s *Spec) []expiry {
	p := s.Pipeline
	failed := p.Deliver.ErrorPrefix
	if failed == "" {
		failed = p.Deliver.Prefix + "processing-failed/" // Firehose's default
	}
	return []expiry{
		{expireRule, "expire_days", p.Deliver.Prefix, p.AWS.ExpireDays},
		{expireErrorsRule, "error_days", failed, p.AWS.ErrorDays},
	}
}

// fixed returns the constant part of the prefix, which a rule can name.
func (e expiry) fixed() string {
	fixed, _, _ := strings.Cut(e.prefix, "!{")
	return fixed
}

// checkExpiries rejects a pipeline whose rules would also delete stagelog's own objects in the
// bucket.
func checkExpiries(s *Spec) error {
	for _, e := range expiries(s) {
		if e.days > 0 && strings.HasPrefix(StatePrefix, e.fixed()) {
			return fmt.Errorf("aws: %s would delete all objects whose keys start with %q, including stagelog's own objects below %s: change the prefix %q, for example to logs/, or remove %s",
				e.option, e.fixed(), StatePrefix, e.prefix, e.option)
		}
	}
	return nil
}

func lifecycleRules(s *Spec) []types.LifecycleRule {
	rule := func(id, prefix string) types.LifecycleRule {
		return types.LifecycleRule{ID: aws.String(id), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String(prefix)}}
	}
	abort := rule(abortRule, "")
	abort.AbortIncompleteMultipartUpload = &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(AbortDays)}
	rules := []types.LifecycleRule{abort}
	for _, e := range expiries(s) {
		if e.days > 0 {
			expire := rule(e.id, e.fixed())
			expire.Expiration = &types.LifecycleExpiration{Days: aws.Int32(int32(e.days))}
			rules = append(rules, expire)
		}
	}
	return rules
}

// lifecycleNotes describes the rules that also apply to the objects of another rule.
func lifecycleNotes(s *Spec) []string {
	var notes []string
	all := expiries(s)
	for i, inner := range all {
		outer := all[1-i]
		within := strings.HasPrefix(inner.fixed(), outer.fixed()) && inner.fixed() != outer.fixed()
		if within && outer.days > 0 && (inner.days == 0 || inner.days > outer.days) {
			notes = append(notes, fmt.Sprintf("%s is below %s, so %s (%d days) also applies there", inner.fixed(), outer.fixed(), outer.option, outer.days))
		}
	}
	return notes
}
