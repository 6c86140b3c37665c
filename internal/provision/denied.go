package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/durable/awserr"
)

// denialText matches AWS's denials: "User: ARN is not authorized to perform: ACTION on resource:
// ARN because …". Some services omit the resource or the reason.
var denialText = regexp.MustCompile(`(?s)^User: (\S+) is not authorized to perform: (\S+?)(?: on resource: ("?[^\s"]+"?))?(?: (?:because|with) (.*))?$`)

// explainDenied names the action, the resource and the statement that would allow it.
func explainDenied(err error) string {
	who, action, resource, why := "these credentials", deniedAction(err), "", ""
	if m := denialText.FindStringSubmatch(strings.TrimSpace(awserr.Message(err))); m != nil {
		who, action, resource, why = m[1], m[2], strings.Trim(m[3], `"`), m[4]
	}
	if action == "" {
		return "access denied: " + plainAnswer(err)
	}
	var about interface{ Resource() string }
	if resource == "" && action == deniedAction(err) && errors.As(err, &about) {
		resource = about.Resource()
	}
	text := fmt.Sprintf("access denied: %s may not %s", who, action)
	if resource != "" {
		text += " on " + resource
	}
	if strings.Contains(why, "explicit deny") {
		return fmt.Sprintf("%s: an explicit deny overrides all permissions; ask the administrator of that policy\nAWS error: %s", text, why)
	}
	if resource == "" {
		resource = "*"
	}
	if strings.Contains(why, "no resource-based policy") {
		return text + "\nThe resource's owner must add this statement to its policy, with a Principal:\n" + allowStatement(action, resource)
	}
	text += "\nAdd this statement to a policy of that user or role, or use other credentials (--profile):\n" + allowStatement(action, resource)
	if why == "" && denialHints[action] != "" {
		text += "\nIf the bucket belongs to another account, the bucket policy must allow it as well."
	}
	return strings.TrimRight(text+"\n"+denialHints[action], "\n")
}

// denialHints are further causes of a denial, by action.
var denialHints = map[string]string{
	"s3:ListBucket": "If the policy allows listing only below a prefix, request that prefix.",
	"s3:GetObject":  "A statement on the bucket's ARN without /* does not cover its objects.",
}

func allowStatement(action, resource string) string {
	statement, err := json.MarshalIndent(struct{ Effect, Action, Resource string }{"Allow", action, resource}, "  ", "  ")
	if err != nil {
		return err.Error() // strings can always be marshalled
	}
	return "  " + string(statement)
}

// deniedAction returns the IAM action of the failed call, "" if it is not known. Not every
// response names it.
func deniedAction(err error) string {
	op := (*smithy.OperationError)(nil)
	if !errors.As(err, &op) {
		return ""
	}
	if action, ok := otherActions[op.ServiceID+" "+op.OperationName]; ok {
		return action
	}
	prefix, ok := actionPrefixes[op.ServiceID]
	if !ok {
		return ""
	}
	return prefix + ":" + op.OperationName
}

// actionPrefixes lists the services whose actions are named like their operations. API Gateway's
// actions are HTTP methods, and its responses always name them.
var actionPrefixes = map[string]string{
	"CloudWatch": "cloudwatch", "CloudWatch Logs": "logs", "Firehose": "firehose", "Glue": "glue", "IAM": "iam", "Lambda": "lambda", "S3": "s3", "STS": "sts",
}

// otherActions lists the actions not named like their operation, from the pages of the S3 API
// reference.
var otherActions = map[string]string{
	"S3 HeadBucket":                      "s3:ListBucket",
	"S3 ListObjectsV2":                   "s3:ListBucket",
	"S3 ListObjectVersions":              "s3:ListBucketVersions",
	"S3 ListMultipartUploads":            "s3:ListBucketMultipartUploads",
	"S3 HeadObject":                      "s3:GetObject",
	"S3 DeleteObjects":                   "s3:DeleteObject",
	"S3 GetPublicAccessBlock":            "s3:GetBucketPublicAccessBlock",
	"S3 PutPublicAccessBlock":            "s3:PutBucketPublicAccessBlock",
	"S3 GetBucketEncryption":             "s3:GetEncryptionConfiguration",
	"S3 PutBucketEncryption":             "s3:PutEncryptionConfiguration",
	"S3 GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
	"S3 PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
	"S3 DeleteBucketLifecycle":           "s3:PutLifecycleConfiguration",
}
