package discover

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// readers sets the stream's readers. arn is the stream's.
func (l *finder) readers(ctx context.Context, arn string, st *Stream) error {
	out, err := l.c.S3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &st.Bucket})
	if awserr.Is(err, "NoSuchBucketPolicy", "NoSuchBucket") {
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
	if parts := strings.Split(arn, ":"); len(parts) > 4 {
		owner, bucket = parts[4], "arn:"+parts[1]+":s3:::"+st.Bucket
	}
	for _, s := range doc.Statements {
		if s.Effect != "Allow" || len(s.Conditions) > 0 || !slices.ContainsFunc(s.Actions, gets) || !reaches(s, bucket, st.Deliver.Prefix) {
			continue
		}
		for _, principal := range s.Principal.AWS {
			if id := accountOf(principal); id != "" && id != owner && !slices.Contains(st.Readers, id) {
				st.Readers = append(st.Readers, id)
			}
		}
	}
	return nil
}

// reaches reports whether a statement covers the objects below the prefix, or the bucket itself: statements meant for
// objects often name only the bucket, a mistake that doctor reports.
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

// gets reports whether an action of a policy includes s3:GetObject.
func gets(action string) bool {
	begin, _, open := strings.Cut(strings.ToLower(action), "*")
	return begin == "s3:getobject" || open && strings.HasPrefix("s3:getobject", begin)
}

// accountOf returns the account id of a principal that represents a whole account, or "" for a user or a role.
func accountOf(principal string) string {
	if parts := strings.Split(principal, ":"); len(parts) == 6 && parts[2] == "iam" && parts[5] == "root" {
		principal = parts[4]
	}
	if len(principal) != 12 || strings.Trim(principal, "0123456789") != "" {
		return ""
	}
	return principal
}
