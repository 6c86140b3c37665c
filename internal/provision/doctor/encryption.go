package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

const awsKey = provision.AWSManagedKey

// checkEncryption examines how objects are encrypted, and whether Firehose may use the key.
func (r *run) checkEncryption(ctx context.Context, s *stream) {
	const name = "encryption"
	id, ok := r.encryptionKey(ctx, s)
	if !ok {
		return
	}
	if id == "" {
		r.out.ok(linkBucket, name, "SSE-S3: no KMS key is needed")
		return
	}
	if strings.HasSuffix(id, awsKey) {
		s.key = &provision.KMSKey{ARN: id, Managed: true}
	} else {
		s.key = provision.ReadKMSKey(ctx, r.c, s.region, id)
	}
	k := s.key
	switch {
	case k.Managed:
		r.out.ok(linkBucket, name, "SSE-KMS with the AWS managed key %s, which the account's roles can use", awsKey)
	case k.Err != nil && awserr.Is(k.Err, "NotFoundException"):
		r.out.problem(Failed, linkBucket, name, r.keyFinding(s, "the key "+id+" does not exist in "+s.region, "it was deleted, or is in another Region or account: S3 accepts only keys in the bucket's Region"))
	case !k.Enabled():
		r.out.problem(Failed, linkBucket, name, r.keyFinding(s, fmt.Sprintf("the key %s is %s", k.ARN, k.State), "the key was disabled or scheduled for deletion"))
	default:
		r.checkKeyUse(ctx, s)
	}
}

func (r *run) keyFinding(s *stream, found, cause string) finding {
	return finding{
		found: found, cause: cause,
		consequence: "no object can be put (S3.AccessDenied or KMS.DisabledException); Firehose retries for 24 hours, then the records are lost",
		fix: r.repair(s, command("s3api", "put-bucket-encryption", "--bucket", s.bucket, "--server-side-encryption-configuration",
			`{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}`)),
	}
}

// encryptionKey returns the stream's key, or else the bucket's; "" if there is none.
func (r *run) encryptionKey(ctx context.Context, s *stream) (id string, ok bool) {
	if e := s.to.EncryptionConfiguration; e != nil && e.KMSEncryptionConfig != nil {
		return aws.ToString(e.KMSEncryptionConfig.AWSKMSKeyARN), true
	}
	out, err := r.c.S3.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String(s.bucket)})
	if awserr.Is(err, "ServerSideEncryptionConfigurationNotFoundError") {
		return "", true
	}
	if err != nil {
		r.unknown(linkBucket, "encryption", "the encryption of "+s.bucket, need{"s3:GetEncryptionConfiguration", s.bucketARN()}, err)
		return "", false
	}
	for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
		by := rule.ApplyServerSideEncryptionByDefault
		if by == nil || by.SSEAlgorithm == types.ServerSideEncryptionAes256 {
			continue
		}
		s.bucketKey = aws.ToBool(rule.BucketKeyEnabled)
		if id := aws.ToString(by.KMSMasterKeyID); id != "" {
			return id, true
		}
		return awsKey, true
	}
	return "", true
}

// checkKeyUse checks that Firehose may use the key. Both the key policy and the role's policies
// must allow it, unless the key policy names the role itself.
func (r *run) checkKeyUse(ctx context.Context, s *stream) {
	const name = "encryption"
	k := s.key
	var missing []call
	for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
		c := call{action: action, resource: k.ARN, context: s.keyUse(ctx, s.account, s.bucketKey), required: true}
		own := verdict(s.role, c)
		if k.Err != nil {
			if own != policy.Allow {
				missing = append(missing, c)
			}
			continue
		}
		decision, delegated := k.Allows(s.role.ARN, action, c.context)
		if own == policy.Deny || decision != policy.Allow || delegated && own != policy.Allow {
			missing = append(missing, c)
		}
	}
	switch {
	case s.role.Err != nil || s.role.Partly != nil && len(missing) > 0:
		r.unknown(linkBucket, name, "whether Firehose may use the key "+k.ARN, lacking(s.role), cmp.Or(s.role.Err, s.role.Partly))
	case k.Err != nil && len(missing) == 0:
		r.unknown(linkBucket, name, "whether the policy of the key "+k.ARN+" allows Firehose to use it", need{k.Lacks, k.ARN}, k.Err)
	case len(missing) == 0:
		r.out.ok(linkBucket, name, "SSE-KMS with %s, which Firehose may use", k.ARN)
	default:
		f := r.keyFinding(s, fmt.Sprintf("objects are encrypted with the key %s, and the role %s lacks %s", k.ARN, s.role.Name, callText(missing)), "the key policy and the role's policies together do not allow it")
		f.fix = addToRole(s.role.Name, statementsFor(missing)) + "\nand allow the same to account " + s.account + " in the key policy: " + command("kms", "get-key-policy", "--region", s.region, "--key-id", k.ARN, "--policy-name", "default")
		status := Failed
		if k.Err != nil {
			status = Warning // the key policy, which is unknown, may name the role
		}
		r.out.problem(status, linkBucket, name, f)
	}
}

// keyUse returns the condition keys that S3 sends when it uses a key for an object on behalf of
// account. With a bucket key the encryption context is the bucket's ARN.
func (s *stream) keyUse(ctx context.Context, account string, bucketKey bool) map[string][]string {
	at := s.objectARN()
	if bucketKey {
		at = s.bucketARN()
	}
	return provision.KeyUse(ctx, s.region, account, at)
}
