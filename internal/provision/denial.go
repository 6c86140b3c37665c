package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/rights"
)

// denialText matches AWS's denials: "User: ARN is not authorized to perform: ACTION on resource:
// ARN because …". Some services omit the resource or the reason, and IAM names some roles as "role NAME".
var denialText = regexp.MustCompile(`(?s)^User: (\S+) is not authorized to perform: (\S+?)(?: on resource: (?:(role|policy) )?"?([^\s"]+)"?)?(?:\s+(?:because|with) (.*))?$`)

// denial represents a denied call as AWS describes it.
type denial struct {
	who      string
	action   string
	resource string // an ARN, or "" if not known
	role     string // the role's name if AWS names it without its ARN
	why      string // AWS's reason, or ""
}

func denialOf(err error) denial {
	d := denial{who: "these credentials", action: deniedAction(err)}
	if m := denialText.FindStringSubmatch(strings.TrimSpace(awserr.Message(err))); m != nil {
		d = denial{who: m[1], action: m[2], resource: m[4], why: m[5]}
		if m[3] == "role" && !strings.HasPrefix(d.resource, "arn:") {
			d.role, d.resource = d.resource, ""
		}
	}
	var about interface{ Resource() string }
	if d.resource == "" && d.action == deniedAction(err) && errors.As(err, &about) {
		d.resource = about.Resource()
	}
	return d
}

// statement returns the statement that would allow the call.
func (d denial) statement() string {
	resource := d.resource
	if arn := strings.Split(d.who, ":"); resource == "" && d.role != "" && len(arn) > 5 {
		resource = fmt.Sprintf("arn:%s:iam::%s:role/*%s", arn[1], arn[4], d.role) // the path is not known
	}
	if resource == "" {
		resource = "*"
	}
	return allowStatement(d.action, resource)
}

// explicit reports whether a statement denies the call, so that a statement that allows it does not help.
func (d denial) explicit() bool { return strings.Contains(d.why, "explicit deny") }

// policyKind represents the kind of policy that denies a call.
type policyKind struct {
	name  string // as in AWS's messages
	ask   string // the next step after an explicit deny
	allow string // the next step if the policy lacks the statement that follows
}

var identityPolicy = policyKind{"identity-based policy",
	"ask the administrator of that policy",
	"Add this statement to a policy of that user or role, or use other credentials (--profile):"}

const (
	vpcEndpointPolicy     = "VPC endpoint policy"
	resourcePolicy        = "resource-based policy"
	resourceControlPolicy = "resource control policy"
	askOrganisation       = "ask the administrator of the AWS organisation"
)

// policyKinds are the kinds of policies that AWS names after "with an explicit deny in a" and "because no". An ARN may follow.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var policyKinds = []policyKind{
	identityPolicy,
	{"service control policy", askOrganisation,
		"The administrator of the AWS organisation must add this statement to a service control policy at each level, from the root to the account:"},
	{resourceControlPolicy, askOrganisation,
		"The administrator of the AWS organisation must add this statement to a resource control policy:"},
	{"permissions boundary", "ask the administrator of the permissions boundary of that user or role, or use other credentials (--profile)",
		"Add this statement to the permissions boundary of that user or role, or use other credentials (--profile):"},
	{"session policy", "ask for credentials without that session policy, or use others (--profile)",
		"Add this statement to the session policy of these credentials, or use others (--profile):"},
	{vpcEndpointPolicy, "run the command from a network without this VPC endpoint, or ask the endpoint's administrator",
		"Run the command from a network without this VPC endpoint, or add this statement to the endpoint's policy, with a Principal:"},
	{resourcePolicy, "ask the administrator of that policy",
		"The resource's owner must add this statement to its policy, with a Principal:"},
}

// kind returns the kind of policy that AWS names, or an identity-based policy if it names none.
func (d denial) kind() policyKind {
	for _, k := range policyKinds {
		if strings.Contains(d.why, k.name) {
			return k
		}
	}
	return identityPolicy
}

// explainDenied names the action, the resource, the kind of policy, the statement that would allow it, and the option of
// stagelog.yaml that may make it unnecessary.
func explainDenied(err error) string {
	d := denialOf(err)
	if d.action == "" {
		return lines("access denied: "+plainAnswer(err), options[calledAction(err)])
	}
	first := fmt.Sprintf("access denied: %s may not %s", d.who, d.action)
	if d.resource != "" {
		first += " on " + d.resource
	} else if d.role != "" {
		first += " on role " + d.role
	}
	kind := d.kind()
	if d.explicit() {
		first += ": an explicit deny overrides all permissions; " + kind.ask
		return lines(first, "AWS error: "+d.why, d.option(kind), d.tagOption(kind), d.perimeter(kind))
	}
	missing := []string{first, kind.allow, d.statement()}
	if kind.name == identityPolicy.name {
		if d.why == "" && strings.HasPrefix(d.action, "s3:") && denialHints[d.action] != "" {
			missing = append(missing, "If the bucket belongs to another account, the bucket policy must allow it as well.")
		}
		missing = append(missing, denialHints[d.action])
	}
	return lines(append(missing, d.option(kind), d.tagOption(kind))...)
}

// lines joins the texts that are not empty.
func lines(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), "\n")
}

// option returns the option of stagelog.yaml that may help. None changes how the call reaches AWS.
func (d denial) option(kind policyKind) string {
	if kind.name == vpcEndpointPolicy {
		return ""
	}
	return options[d.action]
}

// tagOption returns the option for a policy that may require tags. Policies of users and roles seldom allow a call only with
// certain tags, so it is left out if the statement is missing there.
func (d denial) tagOption(kind policyKind) string {
	missing := kind.name == identityPolicy.name && !d.explicit()
	if missing || kind.name == vpcEndpointPolicy || !slices.Contains(taggingActions, d.action) {
		return ""
	}
	return "If the policy requires tags, set them with tags below aws: in stagelog.yaml."
}

// perimeter returns the next step if the policy of a resource allows calls only from certain networks.
func (d denial) perimeter(kind policyKind) string {
	if kind.name != resourcePolicy && kind.name != resourceControlPolicy {
		return ""
	}
	return "If the policy allows calls only from certain networks (aws:SourceVpce, aws:SourceVpc, aws:SourceIp), run the command there; docs/organisations.md has the exceptions that the pipeline needs."
}

// denialHints are further causes of a missing right, by action.
var denialHints = map[string]string{
	"s3:ListBucket": "If the policy allows listing only below a prefix, request that prefix.",
	"s3:GetObject":  "A statement on the bucket's ARN without /* does not cover its objects.",
}

const (
	withoutAlarms    = "A pipeline without alarms (alarms: false below aws: in stagelog.yaml) does not need this."
	withoutDashboard = "A pipeline without a dashboard (dashboard: false below aws: in stagelog.yaml) does not need this."
	existingRoles    = "With existing roles (function_role and firehose_role below aws: in stagelog.yaml), deploy does not need this."
	boundedRoles     = "If the policy requires a permissions boundary or a path, set permissions_boundary or role_path below aws: in stagelog.yaml. " + existingRoles
	withoutKey       = "Without kms_key below aws: in stagelog.yaml, the log groups and the function keep their encryption, and deploy does not need this."
	keepRetention    = "With log_days: keep below aws: in stagelog.yaml, deploy does not need this."
)

// options are the options of stagelog.yaml and deploy with which a pipeline needs an action less, or meets the conditions of a
// policy, by action. docs/organisations.md has the same in a table.
var options = map[string]string{
	"iam:CreateRole":                    boundedRoles,
	"iam:PutRolePolicy":                 boundedRoles,
	"iam:UpdateAssumeRolePolicy":        existingRoles,
	"iam:TagRole":                       existingRoles,
	"iam:UntagRole":                     existingRoles,
	"iam:PutRolePermissionsBoundary":    "Without permissions_boundary below aws: in stagelog.yaml, the boundaries of existing roles stay as they are. " + existingRoles,
	"iam:DeleteRolePermissionsBoundary": "Without permissions_boundary below aws: in stagelog.yaml, the boundaries of existing roles stay as they are.",
	"iam:PassRole":                      "If only certain roles may be passed, name them with function_role and firehose_role, or their path with role_path, below aws: in stagelog.yaml.",

	"logs:PutRetentionPolicy":    keepRetention,
	"logs:DeleteRetentionPolicy": keepRetention,
	"logs:AssociateKmsKey":       withoutKey,
	"logs:DisassociateKmsKey":    withoutKey,
	"kms:CreateGrant":            withoutKey,
	"kms:Encrypt":                withoutKey,

	"s3:PutEncryptionConfiguration": "To leave the bucket's encryption unchanged, set encryption: keep below aws: in stagelog.yaml; if the policy requires a KMS key, encryption: kms:KEY_ARN.",
	"s3:PutBucketVersioning":        "To leave the bucket's versioning unchanged, set versioning: keep below aws: in stagelog.yaml.",

	"apigateway:PATCH": "`stagelog deploy --stages-elsewhere` leaves the access logs of the stages to the tool that manages them, and does not need this.",

	"cloudwatch:DescribeAlarms":      withoutAlarms,
	"cloudwatch:ListTagsForResource": withoutAlarms,
	"cloudwatch:PutMetricAlarm":      withoutAlarms,
	"cloudwatch:GetDashboard":        withoutDashboard,
	"cloudwatch:PutDashboard":        withoutDashboard,
}

// taggingActions are the actions whose calls set the pipeline's tags.
var taggingActions = []string{
	"s3:CreateBucket", "s3:PutBucketTagging", "s3:TagResource",
	"logs:CreateLogGroup", "logs:TagResource",
	"iam:CreateRole", "iam:TagRole",
	"lambda:CreateFunction", "lambda:TagResource",
	"firehose:CreateDeliveryStream", "firehose:TagDeliveryStream",
	"glue:CreateDatabase", "glue:TagResource",
	"cloudwatch:PutMetricAlarm", "cloudwatch:PutDashboard", "cloudwatch:TagResource",
}

// explainTagPolicy explains the denial of a tag policy, which names the key.
func explainTagPolicy(err error) string {
	return "a tag policy of the AWS organisation does not allow a tag's value, or its key's upper and lower case: correct it in tags below aws: in stagelog.yaml\nAWS error: " + plainAnswer(err)
}

func allowStatement(action, resource string) string {
	statement, err := json.MarshalIndent(struct{ Effect, Action, Resource string }{"Allow", action, resource}, "  ", "  ")
	if err != nil {
		return err.Error() // strings can always be marshalled
	}
	return "  " + string(statement)
}

// deniedAction returns the IAM action of the failed call, "" if it is not known. Not every
// response names it. API Gateway's actions are HTTP methods, which say little without the path.
func deniedAction(err error) string {
	if action := calledAction(err); !strings.HasPrefix(action, "apigateway:") {
		return action
	}
	return ""
}

func calledAction(err error) string {
	op, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return ""
	}
	return rights.Action(op.ServiceID + " " + op.OperationName)
}

// withRights adds to the error of a denied change the actions that the steps still to be made need, so that all can be
// granted at once. It does not if a policy denies the call explicitly: then grants do not help.
func withRights(err error, command string, d *desired.Resources, by rights.Command, steps []rights.Step) error {
	if !awserr.Denied(err) || strings.Contains(awserr.Message(err), "explicit deny") {
		return err
	}
	text := err.Error()
	if actions := rights.Writes(d, by, steps); len(actions) > 0 {
		text += "\nThe rest of this run needs these actions too: " + strings.Join(actions, ", ")
	}
	return &explained{text + "\n`stagelog permissions " + command + "` prints a policy with all that it needs.", err}
}
