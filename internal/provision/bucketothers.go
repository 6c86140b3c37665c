package provision

import (
	"context"
	"fmt"

	"github.com/stagelog/stagelog/internal/durable/awserr"
)

// readOthers returns the state of a bucket of another account. Nothing in it can be changed, and its policy cannot be read: S3
// answers such requests only to the owner.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
func (r *Bucket) readOthers(ctx context.Context) (State, error) {
	state := State{Exists: true}
	state.Notes = append(state.Notes, fmt.Sprintf("it belongs to account %s, so deploy does not change it; its policy, which only that account can read, must have these statements:\n%s", r.want.Account, r.d.BucketPolicy.StatementsJSON()))
	versioning, err := r.versioning(ctx)
	if err := unknown(err, &state, "whether the bucket has versioning and Object Lock", "s3:GetBucketVersioning"); err != nil {
		return State{}, err
	}
	if err := r.judgeVersions(ctx, versioning, &state); err != nil {
		return State{}, err
	}
	if err := r.judgeRules(ctx, &state); err != nil {
		return State{}, err
	}
	by, bucketKey, err := r.newEncryption(ctx)
	if awserr.Denied(err) && r.want.Encryption == "" || err == nil {
		r.judgeKey(ctx, by, bucketKey, &state)
	}
	return state, unknown(err, &state, "how the bucket encrypts objects", "s3:GetEncryptionConfiguration")
}

// othersMissing reports that a bucket of another account does not exist.
func (r *Bucket) othersMissing() error {
	return &refusal{ErrElsewhere, fmt.Sprintf("the bucket %s does not exist; account %s, which is its bucket_account: in stagelog.yaml, must create it in %s, with a policy that has these statements:\n%s",
		r.Name(), r.want.Account, r.s.Region, r.ownersStatements())}
}

// othersDenied reports that a bucket of another account cannot be accessed.
func (r *Bucket) othersDenied() error {
	return &refusal{errPerhapsElsewhere, fmt.Sprintf("no permission to access the bucket %s: it does not belong to account %s, which is its bucket_account: in stagelog.yaml, or its policy lacks these statements, which that account must add, or these credentials lack s3:ListBucket on %s:\n%s",
		r.Name(), r.want.Account, r.s.BucketARN(), r.ownersStatements())}
}

// ownersStatements returns the statements that the bucket's owner must add to its policy.
func (r *Bucket) ownersStatements() string {
	if r.d == nil {
		return "`stagelog plan` shows them"
	}
	return r.d.BucketPolicy.StatementsJSON()
}
