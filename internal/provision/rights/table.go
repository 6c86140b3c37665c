package rights

// Command is a set of commands.
type Command uint8

// The commands whose rights differ. Other commands that read logs need those of Report.
const (
	Init Command = 1 << iota
	Plan
	Deploy
	Doctor
	Destroy
	Report
)

// compare are the commands that compare the pipeline with the account.
const compare = Plan | Deploy | Destroy

// use states which IAM actions an operation needs in some commands.
type use struct {
	operation string // service ID and name, as in the SDK's errors
	by        Command
	on        *scope
	actions   string // separated by spaces; the first one is the operation's own
	// purpose states what an operation is for that commands do without; policies leave it out. It is "" for all others.
	purpose string
}

const attached = "to examine policies that others attached to the roles, and permissions boundaries"

const leftover = "to delete alarms and a dashboard that stagelog.yaml no longer has"

const others = "to examine a bucket that others set up"

const abac = "to tag a bucket that uses tags for access control"

// uses lists every operation that commands call. The first line of an operation has its own action, further ones the other
// actions that AWS authorizes with it, or other resources. The IAM actions and resources are those of the Service Authorization
// Reference, https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html; what S3 requires for each call is
// in its API reference, on each call's page under Permissions.
var uses = []use{
	{operation: "STS GetCallerIdentity", by: Init | compare | Doctor, on: account}, // needs no permission

	{"S3 HeadBucket", compare | Doctor, bucket, "s3:ListBucket", ""},
	{"S3 ListBuckets", compare | Doctor, account, "s3:ListAllMyBuckets", "to tell whether a bucket that cannot be accessed belongs to another account"},
	{"S3 GetBucketTagging", compare, ownBucket, "s3:GetBucketTagging", ""},
	{"S3 GetPublicAccessBlock", compare | Doctor, ownBucket, "s3:GetBucketPublicAccessBlock", ""},
	{"S3 GetBucketOwnershipControls", compare | Doctor, ownBucket, "s3:GetBucketOwnershipControls", ""},
	{"S3 GetBucketEncryption", compare | Doctor, bucket, "s3:GetEncryptionConfiguration", ""},
	{"S3 GetBucketVersioning", compare | Doctor, bucket, "s3:GetBucketVersioning", ""},
	{"S3 GetBucketLifecycleConfiguration", compare | Doctor, bucket, "s3:GetLifecycleConfiguration", ""},
	{"S3 GetBucketPolicy", compare | Doctor, ownBucket, "s3:GetBucketPolicy", ""},
	{"S3 GetObjectLockConfiguration", compare, bucket, "s3:GetBucketObjectLockConfiguration", others},
	{"S3 GetBucketReplication", compare, bucket, "s3:GetReplicationConfiguration", others},
	{"S3 GetBucketAcl", compare, ownBucket, "s3:GetBucketAcl", others},
	{"S3 GetBucketAbac", compare, ownBucket, "s3:GetBucketAbac", others},
	{"KMS DescribeKey", compare | Doctor, key, "kms:DescribeKey", ""},
	{"KMS GetKeyPolicy", compare | Doctor, key, "kms:GetKeyPolicy", ""},
	{"KMS DescribeKey", compare | Doctor, keptKey, "kms:DescribeKey", others},
	{"KMS GetKeyPolicy", compare | Doctor, keptKey, "kms:GetKeyPolicy", others},
	{"S3 GetBucketPolicy", Init, anyBucket, "s3:GetBucketPolicy", ""},
	{"S3 ListObjectsV2", compare | Doctor | Report, bucket, "s3:ListBucket", ""},
	// S3 requires PutBucketOwnershipControls for the header x-amz-object-ownership, and TagResource for tags in CreateBucket.
	{"S3 CreateBucket", Deploy, ownBucket, "s3:CreateBucket s3:PutBucketOwnershipControls s3:TagResource", ""},
	{"S3 PutBucketTagging", Deploy, ownBucket, "s3:PutBucketTagging", ""},
	{"S3 Control TagResource", Deploy, ownBucket, "s3:TagResource", abac},
	{"S3 Control UntagResource", Deploy, ownBucket, "s3:UntagResource", abac},
	{"S3 PutPublicAccessBlock", Deploy, ownBucket, "s3:PutBucketPublicAccessBlock", ""},
	{"S3 PutBucketOwnershipControls", Deploy, ownBucket, "s3:PutBucketOwnershipControls", ""},
	{"S3 PutBucketEncryption", Deploy, ownBucket, "s3:PutEncryptionConfiguration", ""},
	{"S3 PutBucketVersioning", Deploy, ownBucket, "s3:PutBucketVersioning", ""},
	{"S3 PutBucketLifecycleConfiguration", Deploy, ownBucket, "s3:PutLifecycleConfiguration", ""},
	{"S3 PutBucketPolicy", Deploy | Destroy, bucketPolicy, "s3:PutBucketPolicy", ""},
	{"S3 DeleteBucketPolicy", Destroy, bucketPolicy, "s3:DeleteBucketPolicy", ""},
	{"S3 ListObjectVersions", Destroy, ownBucket, "s3:ListBucketVersions", ""},
	{"S3 DeleteObjects", Destroy, snapshot, "s3:DeleteObject s3:DeleteObjectVersion", ""},
	{"S3 DeleteObjects", Destroy, allObjects, "s3:DeleteObject s3:DeleteObjectVersion", ""},
	{"S3 ListMultipartUploads", Destroy, emptiedBucket, "s3:ListBucketMultipartUploads", ""},
	{"S3 AbortMultipartUpload", Destroy, allObjects, "s3:AbortMultipartUpload", ""},
	{"S3 DeleteBucket", Destroy, emptiedBucket, "s3:DeleteBucket", ""},
	{"S3 PutObject", Deploy, previous, "s3:PutObject", ""},
	{"S3 PutObject", Deploy, keyThroughS3, "kms:GenerateDataKey", ""},
	{"S3 GetObject", Deploy | Destroy, previous, "s3:GetObject", ""},
	{"S3 GetObject", Deploy | Destroy | Doctor | Report, keyThroughS3, "kms:Decrypt", ""},
	{"S3 DeleteObject", Deploy | Destroy, previous, "s3:DeleteObject", ""},
	{"S3 GetObject", Doctor, delivered, "s3:GetObject", ""},
	{"S3 GetObject", Report, logs, "s3:GetObject", ""},

	{"CloudWatch Logs DescribeLogGroups", compare, anyLogGroup, "logs:DescribeLogGroups", ""},
	{"CloudWatch Logs DescribeLogStreams", compare, logGroups, "logs:DescribeLogStreams", ""},
	{"CloudWatch Logs ListTagsForResource", compare, logGroups, "logs:ListTagsForResource", ""},
	{"CloudWatch Logs CreateLogGroup", Deploy, logGroups, "logs:CreateLogGroup logs:TagResource", ""},
	{"CloudWatch Logs TagResource", Deploy, logGroups, "logs:TagResource", ""},
	{"CloudWatch Logs UntagResource", Deploy, logGroups, "logs:UntagResource", ""},
	{"CloudWatch Logs PutRetentionPolicy", Deploy, logGroups, "logs:PutRetentionPolicy", ""},
	{"CloudWatch Logs CreateLogStream", Deploy, logGroups, "logs:CreateLogStream", ""},
	{"CloudWatch Logs CreateLogGroup", Deploy, keyedLogGroups, "logs:AssociateKmsKey", ""},
	{"CloudWatch Logs AssociateKmsKey", Deploy, keyedLogGroups, "logs:AssociateKmsKey", ""},
	{"CloudWatch Logs DisassociateKmsKey", Deploy, unkeyedLogGroups, "logs:DisassociateKmsKey", ""},
	{"CloudWatch Logs DeleteLogGroup", Destroy, logGroups, "logs:DeleteLogGroup", ""},
	{"CloudWatch Logs GetLogEvents", Doctor, logGroups, "logs:GetLogEvents", ""},
	{"CloudWatch Logs FilterLogEvents", Doctor, logGroups, "logs:FilterLogEvents", ""},

	{"CloudWatch DescribeAlarms", compare | Doctor, anyAlarm, "cloudwatch:DescribeAlarms", ""},
	{"CloudWatch ListTagsForResource", compare, alarms, "cloudwatch:ListTagsForResource", ""},
	{"CloudWatch PutMetricAlarm", Deploy, alarms, "cloudwatch:PutMetricAlarm cloudwatch:TagResource", ""},
	{"CloudWatch TagResource", Deploy, alarms, "cloudwatch:TagResource", ""},
	{"CloudWatch UntagResource", Deploy, alarms, "cloudwatch:UntagResource", ""},
	{"CloudWatch DeleteAlarms", Destroy, alarms, "cloudwatch:DeleteAlarms", ""},
	{"CloudWatch GetDashboard", compare, dashboard, "cloudwatch:GetDashboard", ""},
	{"CloudWatch PutDashboard", Deploy, dashboard, "cloudwatch:PutDashboard cloudwatch:TagResource", ""},
	{"CloudWatch DeleteDashboards", Destroy, dashboard, "cloudwatch:DeleteDashboards", ""},
	{"CloudWatch DescribeAlarms", compare, anyAlarm, "cloudwatch:DescribeAlarms", leftover},
	{"CloudWatch ListTagsForResource", compare, leftAlarms, "cloudwatch:ListTagsForResource", leftover},
	{"CloudWatch DeleteAlarms", Deploy | Destroy, leftAlarms, "cloudwatch:DeleteAlarms", leftover},
	{"CloudWatch GetDashboard", compare, leftDashboard, "cloudwatch:GetDashboard", leftover},
	{"CloudWatch DeleteDashboards", Deploy | Destroy, leftDashboard, "cloudwatch:DeleteDashboards", leftover},
	{"CloudWatch GetMetricData", Plan | Deploy, account, "cloudwatch:GetMetricData", "to compare the traffic of the stages with the quota of the delivery stream"},

	{"IAM GetRole", compare | Doctor, roles, "iam:GetRole", ""},
	{"IAM GetRolePolicy", compare | Doctor, roles, "iam:GetRolePolicy", ""},
	{"IAM ListRolePolicies", compare | Doctor, roles, "iam:ListRolePolicies", ""},
	{"IAM ListAttachedRolePolicies", compare | Doctor, roles, "iam:ListAttachedRolePolicies", ""},
	{"IAM GetPolicy", compare | Doctor, policies, "iam:GetPolicy", attached},
	{"IAM GetPolicyVersion", compare | Doctor, policies, "iam:GetPolicyVersion", attached},
	{"IAM CreateRole", Deploy, changedRoles, "iam:CreateRole iam:TagRole", ""},
	{"IAM TagRole", Deploy, changedRoles, "iam:TagRole", ""},
	{"IAM UntagRole", Deploy, changedRoles, "iam:UntagRole", ""},
	{"IAM UpdateAssumeRolePolicy", Deploy, changedRoles, "iam:UpdateAssumeRolePolicy", ""},
	{"IAM PutRolePolicy", Deploy, changedRoles, "iam:PutRolePolicy", ""},
	{"IAM PutRolePermissionsBoundary", Deploy, boundedRoles, "iam:PutRolePermissionsBoundary", ""},
	{"IAM DeleteRolePermissionsBoundary", Deploy, unboundedRoles, "iam:DeleteRolePermissionsBoundary", ""},
	{"IAM GetPolicy", Doctor, boundary, "iam:GetPolicy", ""},
	{"IAM GetPolicyVersion", Doctor, boundary, "iam:GetPolicyVersion", ""},
	{"IAM DeleteRolePolicy", Destroy, removedRoles, "iam:DeleteRolePolicy", ""},
	{"IAM DetachRolePolicy", Destroy, removedRoles, "iam:DetachRolePolicy", ""},
	{"IAM DeleteRole", Destroy, removedRoles, "iam:DeleteRole", ""},

	// Without ListTags, GetFunction answers without the tags, which name the owner.
	{"Lambda GetFunction", compare, function, "lambda:GetFunction lambda:ListTags", ""},
	{"Lambda GetFunction", Doctor, function, "lambda:GetFunction", ""},
	{"Lambda GetFunctionConfiguration", Doctor, function, "lambda:GetFunctionConfiguration", ""},
	{"Lambda GetFunctionConcurrency", Doctor, function, "lambda:GetFunctionConcurrency", ""},
	{"Lambda CreateFunction", Deploy, function, "lambda:CreateFunction lambda:TagResource", ""},
	{"Lambda CreateFunction", Deploy, functionRole, "iam:PassRole", ""},
	{"Lambda UpdateFunctionCode", Deploy, function, "lambda:UpdateFunctionCode", ""},
	{"Lambda UpdateFunctionConfiguration", Deploy, function, "lambda:UpdateFunctionConfiguration", ""},
	{"Lambda UpdateFunctionConfiguration", Deploy, functionRole, "iam:PassRole", ""},
	{"Lambda TagResource", Deploy, function, "lambda:TagResource", ""},
	{"Lambda UntagResource", Deploy, function, "lambda:UntagResource", ""},
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
	{"Lambda GetFunction", compare, logKey, "kms:Decrypt", ""},
	{"Lambda GetFunctionConfiguration", Doctor, logKey, "kms:Decrypt", ""},
	{"Lambda CreateFunction", Deploy, logKey, "kms:CreateGrant kms:Encrypt", ""},
	{"Lambda UpdateFunctionConfiguration", Deploy, logKey, "kms:CreateGrant kms:Encrypt", ""},
	{"Lambda DeleteFunction", Destroy, function, "lambda:DeleteFunction", ""},
	{"Lambda DeleteFunction", Deploy, function, "lambda:DeleteFunction", "to replace a function whose creation failed"},

	{"LakeFormation ListPermissions", Doctor, account, "lakeformation:ListPermissions", "to check the grants on the table of a pipeline that delivers Parquet"},

	// destroy also removes the catalog of a pipeline that no longer delivers Parquet.
	{"Glue GetDatabase", Plan | Deploy, wantedCatalog, "glue:GetDatabase", ""},
	{"Glue GetTags", Plan | Deploy, wantedCatalog, "glue:GetTags", ""},
	{"Glue CreateDatabase", Deploy, wantedCatalog, "glue:CreateDatabase glue:TagResource", ""},
	{"Glue TagResource", Deploy, wantedCatalog, "glue:TagResource", ""},
	{"Glue UntagResource", Deploy, wantedCatalog, "glue:UntagResource", ""},
	{"Glue UpdateDatabase", Deploy, wantedCatalog, "glue:UpdateDatabase", ""},
	{"Glue GetTable", Plan | Deploy | Doctor, wantedCatalog, "glue:GetTable", ""},
	{"Glue CreateTable", Deploy, wantedCatalog, "glue:CreateTable", ""},
	{"Glue UpdateTable", Deploy, wantedCatalog, "glue:UpdateTable", ""},
	{"Glue GetDatabase", Destroy, catalog, "glue:GetDatabase", ""},
	{"Glue GetTags", Destroy, catalog, "glue:GetTags", ""},
	{"Glue GetTable", Destroy, catalog, "glue:GetTable", ""},
	{"Glue GetTables", Destroy, catalog, "glue:GetTables", ""},
	{"Glue DeleteTable", Destroy, catalog, "glue:DeleteTable", ""},
	{"Glue DeleteDatabase", Destroy, catalog, "glue:DeleteDatabase", ""},

	{"Firehose DescribeDeliveryStream", Plan | Doctor, stream, "firehose:DescribeDeliveryStream", ""},
	{"Firehose ListTagsForDeliveryStream", Plan | Doctor, stream, "firehose:ListTagsForDeliveryStream", ""},
	// A stage's previous destination may be another stream.
	{"Firehose DescribeDeliveryStream", Init | Deploy | Destroy, anyStream, "firehose:DescribeDeliveryStream", ""},
	{"Firehose ListTagsForDeliveryStream", Deploy | Destroy, anyStream, "firehose:ListTagsForDeliveryStream", ""},
	{"Firehose CreateDeliveryStream", Deploy, stream, "firehose:CreateDeliveryStream firehose:TagDeliveryStream", ""},
	{"Firehose CreateDeliveryStream", Deploy, firehoseRole, "iam:PassRole", ""},
	{"Firehose UpdateDestination", Deploy, stream, "firehose:UpdateDestination", ""},
	{"Firehose UpdateDestination", Deploy, firehoseRole, "iam:PassRole", ""},
	{"Firehose TagDeliveryStream", Deploy, stream, "firehose:TagDeliveryStream", ""},
	{"Firehose UntagDeliveryStream", Deploy, stream, "firehose:UntagDeliveryStream", ""},
	{"Firehose DeleteDeliveryStream", Destroy, stream, "firehose:DeleteDeliveryStream", ""},
	{"Firehose DeleteDeliveryStream", Deploy, stream, "firehose:DeleteDeliveryStream", "to replace a delivery stream whose creation failed"},
	{"Firehose PutRecord", Doctor, stream, "firehose:PutRecord", ""},

	{"API Gateway GetRestApi", compare, restAPIs, "apigateway:GET", "to tell which tool manages a stage whose own tags do not show it"},
	{"API Gateway GetStage", compare | Doctor, stages, "apigateway:GET", ""},
	// API Gateway creates the service-linked role with the caller's rights when a stage first logs to Firehose.
	{"API Gateway UpdateStage", Deploy | Destroy, stages, "apigateway:PATCH", ""},
	{"API Gateway UpdateStage", Deploy, serviceLinkedRole, "iam:CreateServiceLinkedRole", ""},
	{"API Gateway GetStages", Init, allStages, "apigateway:GET", ""},
	{"API Gateway GetStages", compare | Doctor, stageLists, "apigateway:GET", "to read the stages of an API with one call, and to name them if one in stagelog.yaml does not exist"},
	{"API Gateway GetRestApis", Init, apis, "apigateway:GET", ""},
	{"API Gateway GetRestApis", compare | Doctor, apis, "apigateway:GET", "to name a similar API if one in stagelog.yaml does not exist"},
	{"API Gateway GetResources", Doctor, methods, "apigateway:GET", ""},
	{"API Gateway GetUsagePlans", Init | Doctor, usagePlans, "apigateway:GET", ""},
	{"API Gateway GetUsagePlanKeys", Doctor, usagePlanKeys, "apigateway:GET", ""},
	{"ApiGatewayV2 GetApis", Init, otherAPIs, "apigateway:GET", ""},
	{"ApiGatewayV2 GetApi", compare | Doctor, otherAPIs, "apigateway:GET", "to tell that an API is an HTTP or WebSocket API"},
}

// otherActions lists the actions not named like their operation that only other commands need.
var otherActions = map[string]string{
	"S3 HeadObject":            "s3:GetObject",
	"S3 DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
}

// prefixes lists the services whose actions are named like their operations. API Gateway's actions are HTTP methods, and its
// responses always name them.
var prefixes = map[string]string{
	"CloudWatch": "cloudwatch", "CloudWatch Logs": "logs", "Firehose": "firehose", "Glue": "glue", "IAM": "iam", "Lambda": "lambda", "LakeFormation": "lakeformation", "KMS": "kms", "S3": "s3", "S3 Control": "s3", "STS": "sts",
}
