package desired

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Bucket holds the settings of the bucket that receives the objects.
type Bucket struct {
	Account      string // that must own the bucket; "" if unknown
	Others       bool   // the bucket belongs to another account: no setting can be changed
	PublicAccess types.PublicAccessBlockConfiguration
	Ownership    types.ObjectOwnership
	// Encryption is the default encryption; "" keeps what the bucket has. With SSE-KMS, readers in other accounts are denied:
	// always with the key aws/s3, and with another key until its policy names them.
	Encryption     types.ServerSideEncryption
	Key            string // ARN of the KMS key of Encryption; "" for none
	KeepVersioning bool   // otherwise versioning is off
	// AccountRegional means that the name is in the account's own namespace in the Region, where no other account can take it.
	AccountRegional bool
	Rules           []types.LifecycleRule // only the pipeline's own rules
	Notes           []string              // cases where one rule also applies to the objects of another
}

// Lifecycle rules with these IDs belong to the pipeline. All others are left unchanged, even if their
// IDs start the same.
const (
	abortRule        = "stagelog-abort-uploads"
	expireRule       = "stagelog-expire"
	expireErrorsRule = "stagelog-expire-errors"
	snapshotRule     = "stagelog-expire-snapshots"
)

// IsOwnRule reports whether a lifecycle rule was created by stagelog.
func IsOwnRule(rule types.LifecycleRule) bool {
	return slices.Contains([]string{abortRule, expireRule, expireErrorsRule, snapshotRule}, aws.ToString(rule.ID))
}

// AbortDays is the age at which the parts of an incomplete upload are deleted: they cost as much
// as objects, but are not listed. Firehose retries for at most a day.
const AbortDays = 7

func (s *Spec) bucket() Bucket {
	on, settings := aws.Bool(true), s.Pipeline.AWS.BucketSettings
	b := Bucket{
		Account:      s.BucketAccount(),
		Others:       s.OthersBucket(),
		PublicAccess: types.PublicAccessBlockConfiguration{BlockPublicAcls: on, IgnorePublicAcls: on, BlockPublicPolicy: on, RestrictPublicBuckets: on},
		Ownership:    types.ObjectOwnershipBucketOwnerEnforced,
		Encryption:   types.ServerSideEncryptionAes256,
		Rules:        lifecycleRules(s),
		Notes:        lifecycleNotes(s),

		KeepVersioning:  settings.KeepVersioning,
		AccountRegional: strings.HasSuffix(s.Bucket(), "-"+s.Account+"-"+s.Region+accountRegionalSuffix),
	}
	switch {
	case settings.KeepEncryption:
		b.Encryption = ""
	case settings.KMSKey != "":
		b.Encryption, b.Key = types.ServerSideEncryptionAwsKms, settings.KMSKey
	}
	if s.ForeignBucket {
		b.Account = ""
	}
	return b
}

// accountRegionalSuffix ends the names of buckets in an account's own namespace, like logs-111122223333-eu-west-1-an.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html#account-regional-naming-rules
const accountRegionalSuffix = "-an"

var accountRegionalName = regexp.MustCompile(`-([0-9]{12})-([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2})` + accountRegionalSuffix + `$`)

// NamespaceOf returns the account and the Region in whose namespace a bucket's name is; "" for a name in the global namespace.
func NamespaceOf(bucket string) (account, region string) {
	if m := accountRegionalName.FindStringSubmatch(bucket); m != nil {
		return m[1], m[2]
	}
	return "", ""
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
		if e.days > 0 && strings.HasPrefix(s.StatePrefix(), e.fixed()) {
			return fmt.Errorf("aws: %s would delete all objects whose keys start with %q, including stagelog's own objects below %s: change the prefix %q, for example to logs/, or remove %s",
				e.option, e.fixed(), s.StatePrefix(), e.prefix, e.option)
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
	if s.Pipeline.AWS.KeepVersioning { // the snapshot is the one object that is replaced
		old := rule(snapshotRule, SnapshotKey(s.Pipeline))
		old.NoncurrentVersionExpiration = &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)}
		rules = append(rules, old)
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
