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

// denialText is how AWS says who may not do what: "User: ARN is not authorized to perform:
// ACTION on resource: ARN because …". Some services leave out the resource, or the reason.
var denialText = regexp.MustCompile(`(?s)^User: (\S+) is not authorized to perform: (\S+?)(?: on resource: ("?[^\s"]+"?))?(?: (?:because|with) (.*))?$`)

// sayDenied names the action, the resource and the statement that would allow it.
func sayDenied(err error) string {
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
		return fmt.Sprintf("%s: an explicit deny forbids it, which no further permission lifts; ask whoever looks after it\nAWS says: %s", text, why)
	}
	if resource == "" {
		resource = "*"
	}
	if strings.Contains(why, "no resource-based policy") {
		return text + "\nIts owner has to allow it: with this statement in its own policy, and a Principal, who it is for:\n" + allowStatement(action, resource)
	}
	text += "\nAdd this statement to a policy of that user or role, or use other credentials (--profile):\n" + allowStatement(action, resource)
	if why == "" && besides[action] != "" {
		text += "\nWhere the bucket is another account's, its own policy has to allow it as well."
	}
	return strings.TrimRight(text+"\n"+besides[action], "\n")
}

// besides is what a denial may be about besides the statement.
var besides = map[string]string{
	"s3:ListBucket": "Who may list only what is below a prefix has to ask for that prefix.",
	"s3:GetObject":  "A statement about the bucket, without /*, is not about its objects.",
}

func allowStatement(action, resource string) string {
	statement, err := json.MarshalIndent(struct{ Effect, Action, Resource string }{"Allow", action, resource}, "  ", "  ")
	if err != nil {
		return err.Error() // strings always can be marshalled
	}
	return "  " + string(statement)
}

// deniedAction is the IAM action of a call whose answer does not name it, as S3's did not
// for long; "" when it is not known.
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

// actionPrefixes are of services whose actions have the names of their operations. API
// Gateway's are HTTP methods, and its answers always name them.
var actionPrefixes = map[string]string{
	"CloudWatch": "cloudwatch", "CloudWatch Logs": "logs", "Firehose": "firehose", "Glue": "glue", "IAM": "iam", "Lambda": "lambda", "S3": "s3", "STS": "sts",
}

// otherActions are those with another name than their operation: the S3 API's reference has
// one on each operation's page.
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
