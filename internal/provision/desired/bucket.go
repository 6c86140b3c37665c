package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Bucket is the settings of the bucket that objects are delivered to. Versioning is off.
type Bucket struct {
	Account      string // that must own the bucket; "" when it is not known
	PublicAccess types.PublicAccessBlockConfiguration
	Ownership    types.ObjectOwnership
	// Encryption is the default one. SSE-KMS would deny readers of other accounts: with the key aws/s3 for good, with another
	// until its key policy names them.
	Encryption types.ServerSideEncryption
	Rules      []types.LifecycleRule // the pipeline's; the rules of others stay
	Notes      []string              // where one rule decides for the objects of another
}

// Lifecycle rules with these IDs are the pipeline's. Others are left as they are, whatever else their
// IDs begin with.
const (
	abortRule        = "stagelog-abort-uploads"
	expireRule       = "stagelog-expire"
	expireErrorsRule = "stagelog-expire-errors"
)

// IsOwnRule reports whether a lifecycle rule is a pipeline's.
func IsOwnRule(rule types.LifecycleRule) bool {
	return slices.Contains([]string{abortRule, expireRule, expireErrorsRule}, aws.ToString(rule.ID))
}

// AbortDays is after how long the parts of an upload that was never completed are deleted:
// they cost as objects do, and no list shows them. Firehose tries for a day at most.
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

// expiry is what is deleted after some time: all that begins with a text.
type expiry struct {
	id     string
	option string // of stagelog.yaml
	prefix string // as Firehose has it
	days   int
}

func expiries(s *Spec) []expiry {
	p := s.Pipeline
	failed := p.Deliver.ErrorPrefix
	if failed == "" {
		failed = p.Deliver.Prefix + "processing-failed/" // where Firehose puts them then
	}
	return []expiry{
		{expireRule, "expire_days", p.Deliver.Prefix, p.AWS.ExpireDays},
		{expireErrorsRule, "error_days", failed, p.AWS.ErrorDays},
	}
}

// fixed returns the part of every object's key that a rule can name.
func (e expiry) fixed() string {
	fixed, _, _ := strings.Cut(e.prefix, "!{")
	return fixed
}

// checkExpiries refuses a pipeline whose rules would delete what stagelog keeps in the bucket, and
// the objects of others with it.
func checkExpiries(s *Spec) error {
	for _, e := range expiries(s) {
		if e.days > 0 && strings.HasPrefix(StatePrefix, e.fixed()) {
			return fmt.Errorf("aws: %s would delete all objects that begin with %q, and so what stagelog keeps below %s: give the prefix %q a beginning of its own, such as logs/, or leave out %s",
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

// lifecycleNotes names the rules that decide for the objects of another rule.
func lifecycleNotes(s *Spec) []string {
	var notes []string
	all := expiries(s)
	for i, inner := range all {
		outer := all[1-i]
		within := strings.HasPrefix(inner.fixed(), outer.fixed()) && inner.fixed() != outer.fixed()
		if within && outer.days > 0 && (inner.days == 0 || inner.days > outer.days) {
			notes = append(notes, fmt.Sprintf("%s is below %s, so %s (%d days) counts there, too", inner.fixed(), outer.fixed(), outer.option, outer.days))
		}
	}
	return notes
}
