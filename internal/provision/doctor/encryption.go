package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

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
		own := verdict(s.role, c)
		if k.err != nil {
			if own != policy.Allow {
				missing = append(missing, c)
			}
			continue
		}
		decision, delegated := k.allows(s.role.ARN, action, c.context)
		if own == policy.Deny || decision != policy.Allow || delegated && own != policy.Allow {
			missing = append(missing, c)
		}
	}
	switch {
	case s.role.Err != nil || s.role.Partly != nil && len(missing) > 0:
		r.unknown(linkBucket, name, "whether Firehose may use the key "+k.arn, lacking(s.role), cmp.Or(s.role.Err, s.role.Partly))
	case k.err != nil && len(missing) == 0:
		r.unknown(linkBucket, name, "whether the policy of the key "+k.arn+" allows Firehose to use it", k.need, k.err)
	case len(missing) == 0:
		r.out.ok(linkBucket, name, "SSE-KMS with %s, which Firehose may use", k.arn)
	default:
		f := r.keyFinding(s, fmt.Sprintf("objects are encrypted with the key %s, and the role %s lacks %s", k.arn, s.role.Name, callText(missing)), "the key policy and the role's policies together do not allow it")
		f.fix = addToRole(s.role.Name, statementsFor(missing)) + "\nand allow the same to account " + s.account + " in the key policy: " + command("kms", "get-key-policy", "--region", s.region, "--key-id", k.arn, "--policy-name", "default")
		status := Failed
		if k.err != nil {
			status = Warning // the key policy, which is unknown, may name the role
		}
		r.out.problem(status, linkBucket, name, f)
	}
}

// kmsKey holds the present state of an AWS KMS key.
type kmsKey struct {
	arn     string
	managed bool // by AWS, for this account only; its policy cannot be edited
	state   string
	policy  []policy.Document
	err     error // reading the key or its policy failed
	need    need
}

// readKMSKey describes a key by its id, ARN or alias. Doctor needs only two KMS operations, so
// it uses the SDK's signer instead of adding the KMS client.
func (r *run) readKMSKey(ctx context.Context, region, id string) *kmsKey {
	k := &kmsKey{arn: id}
	var described struct {
		KeyMetadata struct{ Arn, KeyManager, KeyState string }
	}
	if err := r.kms(ctx, region, "DescribeKey", map[string]string{"KeyId": id}, &described); err != nil {
		k.err, k.need = err, need{"kms:DescribeKey", id}
		return k
	}
	k.arn, k.state = described.KeyMetadata.Arn, described.KeyMetadata.KeyState
	k.managed = described.KeyMetadata.KeyManager == "AWS"
	if k.managed {
		return k
	}
	var has struct{ Policy string }
	if err := r.kms(ctx, region, "GetKeyPolicy", map[string]string{"KeyId": k.arn, "PolicyName": "default"}, &has); err != nil {
		k.err, k.need = err, need{"kms:GetKeyPolicy", k.arn}
		return k
	}
	doc, err := policy.Parse(has.Policy)
	if err != nil {
		k.err, k.need = &smithy.GenericAPIError{Code: "MalformedPolicyDocument", Message: err.Error()}, need{"kms:GetKeyPolicy", k.arn}
		return k
	}
	k.policy = []policy.Document{doc}
	return k
}

// allows evaluates the key policy for a principal. delegated reports whether the key policy
// leaves the decision to IAM policies of the principal's account.
func (k *kmsKey) allows(principal, action string, context map[string][]string) (decision policy.Decision, delegated bool) {
	decision, by := policy.Evaluate(k.policy, policy.Request{Principal: principal, Action: action, Resource: k.arn, Context: context})
	if decision != policy.Allow {
		return decision, false
	}
	return decision, !by.Principal.Any && !slices.Contains(by.Principal.AWS, principal)
}

// kms calls an AWS KMS operation.
func (r *run) kms(ctx context.Context, region, operation string, in, out any) error {
	o := r.c.STS.Options()
	if o.Credentials == nil {
		return errors.New("no credentials for AWS KMS")
	}
	endpoint := "https://kms." + region + "." + dnsSuffix(r.t.Partition) + "/"
	if o.BaseEndpoint != nil {
		endpoint = *o.BaseEndpoint
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+operation)
	creds, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "kms", region, time.Now()); err != nil {
		return err
	}
	res, err := o.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	const largest = 1 << 20
	response, err := io.ReadAll(io.LimitReader(res.Body, largest))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return kmsError(operation, res.StatusCode, response)
	}
	if err := json.Unmarshal(response, out); err != nil {
		return kmsError(operation, res.StatusCode, nil)
	}
	return nil
}

// kmsError converts an error response of KMS to the SDK's error type.
func kmsError(operation string, status int, response []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(response, &e); err != nil || e.Type == "" {
		e.Type, e.Message = "UnknownOperation", fmt.Sprintf("KMS %s returned status %d", operation, status)
	}
	code := e.Type[strings.LastIndexByte(e.Type, '#')+1:]
	return &smithy.OperationError{ServiceID: "KMS", OperationName: operation, Err: &smithy.GenericAPIError{Code: code, Message: e.Message}}
}

func dnsSuffix(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// keyUse returns the condition keys that S3 sends when it uses a key for an object on behalf of
// account. With a bucket key the encryption context is the bucket's ARN.
func (s *stream) keyUse(account string, bucketKey bool) map[string][]string {
	at := s.objectARN()
	if bucketKey {
		at = s.bucketARN()
	}
	return map[string][]string{
		"kms:ViaService":                   {"s3." + s.region + "." + dnsSuffix(partition(s.arn))},
		"kms:EncryptionContext:aws:s3:arn": {at},
		"kms:CallerAccount":                {account},
		"aws:SecureTransport":              {"true"},
	}
}
