package discover

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

// readers fills in the chain's readers. stream is the ARN of its delivery stream.
func (l *look) readers(ctx context.Context, stream string, c *Chain) error {
	out, err := l.c.S3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &c.Bucket})
	if answered(err, "NoSuchBucketPolicy", "NoSuchBucket") {
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := policy.Parse(aws.ToString(out.Policy))
	if err != nil {
		return err
	}
	owner, bucket := "", ""
	if parts := strings.Split(stream, ":"); len(parts) > 4 {
		owner, bucket = parts[4], "arn:"+parts[1]+":s3:::"+c.Bucket
	}
	for _, s := range doc.Statements {
		if s.Effect != "Allow" || len(s.Conditions) > 0 || !slices.ContainsFunc(s.Actions, gets) || !reaches(s, bucket, c.Deliver.Prefix) {
			continue
		}
		for _, principal := range s.Principal.AWS {
			if id := accountOf(principal); id != "" && id != owner && !slices.Contains(c.Readers, id) {
				c.Readers = append(c.Readers, id)
			}
		}
	}
	return nil
}

// reaches says whether a statement is about what is delivered below the prefix of a bucket, or about
// the bucket alone: who means its objects often writes that, and doctor says so.
func reaches(s policy.Statement, bucket, prefix string) bool {
	if slices.Contains(s.Resources, bucket) {
		return true
	}
	prefix, _, _ = strings.Cut(prefix, "!{")
	s.Principal = policy.Principal{}
	decision, _ := policy.Evaluate([]policy.Document{{Version: policy.Version, Statements: []policy.Statement{s}}},
		policy.Request{Action: "s3:GetObject", Resource: bucket + "/" + prefix + "2026/01/31/12/object"})
	return decision == policy.Allow
}

// gets says whether an action of a policy has s3:GetObject in it.
func gets(action string) bool {
	begin, _, open := strings.Cut(strings.ToLower(action), "*")
	return begin == "s3:getobject" || open && strings.HasPrefix("s3:getobject", begin)
}

// accountOf is the account that a principal stands for as a whole; "" for one of its users or roles.
func accountOf(principal string) string {
	if parts := strings.Split(principal, ":"); len(parts) == 6 && parts[2] == "iam" && parts[5] == "root" {
		principal = parts[4]
	}
	if len(principal) != 12 || strings.Trim(principal, "0123456789") != "" {
		return ""
	}
	return principal
}
