package provision

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

// KMSKey is the present state of an AWS KMS key.
type KMSKey struct {
	ARN       string
	Managed   bool // by AWS, for one account only; its policy cannot be edited
	State     string
	Symmetric bool // S3 can use no other
	Policy    []policy.Document
	Err       error  // reading the key or its policy failed
	Lacks     string // the action that failed with Err, like kms:DescribeKey
}

// AWSManagedKey is the alias of the key that S3 uses if the encryption settings name none.
const AWSManagedKey = "alias/aws/s3"

// ReadKMSKey describes a key by its id, ARN or alias.
func ReadKMSKey(ctx context.Context, c *Clients, region, id string) *KMSKey {
	k := &KMSKey{ARN: id}
	at := func(o *kms.Options) { o.Region = region }
	described, err := c.KMS.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id}, at)
	if err != nil {
		k.Err, k.Lacks = err, "kms:DescribeKey"
		return k
	}
	m := described.KeyMetadata
	k.ARN, k.State, k.Managed = aws.ToString(m.Arn), string(m.KeyState), m.KeyManager == types.KeyManagerTypeAws
	k.Symmetric = m.KeySpec == "" || m.KeySpec == types.KeySpecSymmetricDefault
	if k.Managed {
		return k
	}
	has, err := c.KMS.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &k.ARN, PolicyName: aws.String("default")}, at)
	if err != nil {
		k.Err, k.Lacks = err, "kms:GetKeyPolicy"
		return k
	}
	doc, err := policy.Parse(aws.ToString(has.Policy))
	if err != nil {
		k.Err, k.Lacks = &smithy.GenericAPIError{Code: "MalformedPolicyDocument", Message: err.Error()}, "kms:GetKeyPolicy"
		return k
	}
	k.Policy = []policy.Document{doc}
	return k
}

// Enabled reports whether the key can be used. It reports true if the state is unknown.
func (k *KMSKey) Enabled() bool { return k.State == "" || k.State == string(types.KeyStateEnabled) }

// Allows evaluates the key policy for a principal. delegated reports whether the key policy
// leaves the decision to IAM policies of the principal's account.
func (k *KMSKey) Allows(principal, action string, context map[string][]string) (decision policy.Decision, delegated bool) {
	decision, by := policy.Evaluate(k.Policy, policy.Request{Principal: principal, Action: action, Resource: k.ARN, Context: context})
	if decision != policy.Allow {
		return decision, false
	}
	return decision, !by.Principal.Any && !slices.Contains(by.Principal.AWS, principal)
}

// KeyUse returns the condition keys that S3 sends when it uses a key on behalf of account. encrypted is the encryption context: the
// object's ARN, or with a bucket key the bucket's.
func KeyUse(ctx context.Context, region, account, encrypted string) map[string][]string {
	return map[string][]string{
		"kms:ViaService":                   {s3Host(ctx, region)},
		"kms:EncryptionContext:aws:s3:arn": {encrypted},
		"kms:CallerAccount":                {account},
		"aws:SecureTransport":              {"true"},
	}
}

// s3Host returns the host name of S3 in a Region, which is also the name of the service in kms:ViaService.
func s3Host(ctx context.Context, region string) string {
	at, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, s3.EndpointParameters{Region: &region})
	if err != nil {
		return ""
	}
	return at.URI.Host
}
