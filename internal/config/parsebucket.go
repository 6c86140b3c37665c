package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
)

// BucketSettings are the settings of a bucket that others own or set up. With the zero value, new objects are encrypted with
// SSE-S3, versioning is off, and the bucket belongs to the pipeline's account.
type BucketSettings struct {
	KMSKey         string // ARN of the key that encrypts new objects; "" if none is set
	KeepEncryption bool   // leaves the bucket's default encryption unchanged
	KeepVersioning bool   // leaves the bucket's versioning unchanged
	BucketAccount  string // account that owns the bucket, 12 digits; "" for the pipeline's own
}

// The ARN of a key, not of an alias: Firehose accepts no alias.
var keyPattern = regexp.MustCompile(`^arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+$`)

// OthersBucket reports whether the bucket belongs to another account than the pipeline, which cannot change its settings.
func (p *Pipeline) OthersBucket() bool {
	return p.AWS.BucketAccount != "" && p.AWS.BucketAccount != p.Account
}

func readBucketSettings(p *Pipeline, m map[string]yamlfile.Value) {
	a := &p.AWS
	readEncryption(p, m["encryption"])
	a.KeepVersioning = m["versioning"].OneOf("keep", "off") == "keep"
	owner := m["bucket_account"]
	a.BucketAccount = owner.Matching(accountPattern, expectedAccount)
	if !p.OthersBucket() {
		return
	}
	if !p.AccountGiven || !p.RegionGiven { // they are part of the names of objects in that bucket
		owner.Problemf("`aws sts get-caller-identity` and `aws configure get region` show them", "with bucket_account, the file must have account: and region: too")
	}
	if slices.Contains(p.Readers, a.BucketAccount) {
		owner.Problemf("remove it from readers", "%s owns the bucket, so it can already read everything", a.BucketAccount)
	}
	for _, days := range []string{"expire_days", "error_days"} {
		if v := m[days]; v.Exists() && v.Shown() != "0" {
			v.Problemf("remove it, and let that account set the rule", "the lifecycle of a bucket in another account (bucket_account) can only be set by that account")
		}
	}
}

// readEncryption reads keep, s3 or kms: and the ARN of a key.
func readEncryption(p *Pipeline, v yamlfile.Value) {
	text, ok := v.Literal()
	key, isKMS := strings.CutPrefix(text, "kms:")
	switch {
	case !ok || text == "s3":
	case text == "keep":
		p.AWS.KeepEncryption = true
	case !isKMS:
		v.Problemf(yamlfile.DidYouMean(text, []string{"keep", "s3", "kms"}), "expected keep, s3 or kms: and the ARN of a key, found %s", v.Shown())
	case strings.Contains(key, "alias/"):
		v.Problemf("`aws kms describe-key --key-id ALIAS` shows the key's ARN", "expected the ARN of a key after kms:, not of an alias, found %s", v.Shown())
	case !keyPattern.MatchString(key):
		v.Problemf("write it like kms:arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "expected the ARN of a key after kms:, found %s", v.Shown())
	case p.RegionGiven && keyPattern.FindStringSubmatch(key)[1] != p.Region:
		v.Problemf("use a key in "+p.Region, "the key is in %s, and S3 accepts only keys in the bucket's Region, %s", keyPattern.FindStringSubmatch(key)[1], p.Region)
	default:
		p.AWS.KMSKey = key
	}
}
