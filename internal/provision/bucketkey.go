package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// judgeKey adds to state whether the pipeline's roles and readers may use the KMS key of the bucket's encryption.
func (r *Bucket) judgeKey(ctx context.Context, by types.ServerSideEncryptionByDefault, bucketKey bool, state *State) {
	id, given := aws.ToString(by.KMSMasterKeyID), r.want.Key != ""
	switch {
	case by.SSEAlgorithm == "" || by.SSEAlgorithm == types.ServerSideEncryptionAes256:
		return
	case id == "" || strings.HasSuffix(id, AWSManagedKey):
		r.judgeManagedKey(state)
		return
	case given && keyRegion(id) != r.s.Region:
		state.Refusal = fmt.Errorf("the key %s is in %s, and S3 accepts only keys in the bucket's Region, %s: change encryption: in stagelog.yaml", id, keyRegion(id), r.s.Region)
		return
	}
	k, problem := ReadKMSKey(ctx, r.all, r.s.Region, id), ""
	switch {
	case k.Lacks == "kms:DescribeKey" && awserr.Is(k.Err, "NotFoundException"):
		problem = fmt.Sprintf("the KMS key %s does not exist in %s, so no object could be put", id, r.s.Region)
	case !k.Enabled():
		problem = fmt.Sprintf("the KMS key %s is %s, so no object could be put", id, k.State)
	case k.Managed:
		r.judgeManagedKey(state)
		return
	case k.Err == nil && !k.Symmetric:
		problem = fmt.Sprintf("the KMS key %s is asymmetric or for HMAC, and S3 uses only symmetric encryption keys", id)
	case k.Err != nil:
		state.Notes = append(state.Notes, fmt.Sprintf("whether the policy of the key %s allows its use is unknown: %v; it must have these statements, or allow the same:\n%s", id, k.cause(), r.d.KeyPolicy.StatementsJSON()))
		return
	default:
		r.judgeKeyPolicy(ctx, k, bucketKey, state)
		return
	}
	if given {
		state.Refusal = fmt.Errorf("%s: change encryption: in stagelog.yaml, or enable the key", problem)
		return
	}
	state.Warnings = append(state.Warnings, problem)
}

// judgeManagedKey warns that accounts other than the bucket's cannot use the key aws/s3.
func (r *Bucket) judgeManagedKey(state *State) {
	others := slices.Clone(r.s.Pipeline.Readers)
	if r.want.Others {
		others = append(others, "the pipeline's account "+r.s.Account)
	}
	if len(others) > 0 {
		state.Warnings = append(state.Warnings, fmt.Sprintf("objects are encrypted with the AWS managed key aws/s3, which only the bucket's account can use, so %s cannot use them: its policy cannot be changed; set encryption: s3, or kms: and the ARN of a key of your own", Listed(others)))
	}
}

// judgeKeyPolicy warns of roles and readers that the key policy does not allow to use the key.
func (r *Bucket) judgeKeyPolicy(ctx context.Context, k *KMSKey, bucketKey bool, state *State) {
	encrypted := r.s.BucketARN()
	if !bucketKey {
		encrypted += "/" + r.s.Prefixes()[0] + "object"
	}
	var lacking []string
	ask := func(who, name, account string, actions ...string) {
		use := KeyUse(ctx, r.s.Region, account, encrypted)
		use["aws:PrincipalArn"], use["aws:PrincipalAccount"] = []string{who}, []string{account}
		for _, action := range actions {
			if decision, _ := k.Allows(who, action, use); decision != policy.Allow && !slices.Contains(lacking, name) {
				lacking = append(lacking, name)
			}
		}
	}
	for _, role := range []string{r.s.FirehoseRole(), r.s.FunctionRole()} {
		ask(r.s.RoleARN(role), "the role "+role, r.s.Account, "kms:GenerateDataKey", "kms:Decrypt")
	}
	for _, id := range r.s.Pipeline.Readers {
		ask("arn:"+r.s.Partition+":iam::"+id+":root", "the reader "+id, id, "kms:Decrypt")
	}
	if len(lacking) > 0 {
		state.Warnings = append(state.Warnings, fmt.Sprintf("the policy of the key %s does not allow %s to use it; its owner must add these statements, or remove the ones that deny it:\n%s", k.ARN, Listed(lacking), r.d.KeyPolicy.StatementsJSON()))
		return
	}
	if len(r.s.Pipeline.Readers) > 0 {
		state.Notes = append(state.Notes, fmt.Sprintf("the readers' own accounts must also allow their users kms:Decrypt on %s", k.ARN))
	}
}

// cause returns why the key could not be read.
func (k *KMSKey) cause() string {
	if awserr.Denied(k.Err) {
		return "these credentials lack " + k.Lacks
	}
	return Explain(k.Err).Error()
}
