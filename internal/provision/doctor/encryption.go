package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// awsKey is the key that S3 uses if the encryption settings name none.
const awsKey = "alias/aws/s3"

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
		s.key = &kmsKey{arn: id, managed: true}
	} else {
		s.key = r.readKMSKey(ctx, s.region, id)
	}
	k := s.key
	switch {
	case k.managed:
		r.out.ok(linkBucket, name, "SSE-KMS with the AWS managed key %s, which the account's roles can use", awsKey)
	case k.err != nil && awserr.Is(k.err, "NotFoundException"):
		r.out.problem(Failed, linkBucket, name, r.keyFinding(s, "the key "+id+" does not exist in "+s.region, "it was deleted, or is in another Region or account: S3 accepts only keys in the bucket's Region"))
	case k.state != "" && k.state != "Enabled":
		r.out.problem(Failed, linkBucket, name, r.keyFinding(s, fmt.Sprintf("the key %s is %s", k.arn, k.state), "the key was disabled or scheduled for deletion"))
	default:
		r.checkKeyUse(s)
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
func (r *run) checkKeyUse(s *stream) {
	const name = "encryption"
	k := s.key
	var missing []call
	for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
		c := call{action: action, resource: k.arn, context: s.keyUse(s.account, s.bucketKey), required: true}
		own := s.role.verdict(c)
		if k.err != nil {
			if own != policy.Allow {
				missing = append(missing, c)
			}
			continue
		}
		decision, delegated := k.allows(s.role.arn, action, c.context)
		if own == policy.Deny || decision != policy.Allow || delegated && own != policy.Allow {
			missing = append(missing, c)
		}
	}
	switch {
	case s.role.err != nil || s.role.partly != nil && len(missing) > 0:
		r.unknown(linkBucket, name, "whether Firehose may use the key "+k.arn, s.role.need, firstError(s.role.err, s.role.partly))
	case k.err != nil && len(missing) == 0:
		r.unknown(linkBucket, name, "whether the policy of the key "+k.arn+" allows Firehose to use it", k.need, k.err)
	case len(missing) == 0:
		r.out.ok(linkBucket, name, "SSE-KMS with %s, which Firehose may use", k.arn)
	default:
		f := r.keyFinding(s, fmt.Sprintf("objects are encrypted with the key %s, and the role %s lacks %s", k.arn, s.role.name, callText(missing)), "the key policy and the role's policies together do not allow it")
		f.fix = addToRole(s.role.name, statementsFor(missing)) + "\nand allow the same to account " + s.account + " in the key policy: " + command("kms", "get-key-policy", "--region", s.region, "--key-id", k.arn, "--policy-name", "default")
		status := Failed
		if k.err != nil {
			status = Warning // the key policy, which is unknown, may name the role
		}
		r.out.problem(status, linkBucket, name, f)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
