package policy

import (
	"strings"
	"testing"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
	bucket  = "arn:aws:s3:::acme-api-logs"
)

var firehose = Firehose(FirehosePermissions{Partition: "aws", Region: region, Account: account,
	Bucket: "acme-api-logs", Function: "stagelog-acme", LogGroup: "/aws/kinesisfirehose/amazon-apigateway-acme"})

var converting = Firehose(FirehosePermissions{Partition: "aws", Region: region, Account: account, Bucket: "acme-api-logs", Function: "stagelog-acme",
	LogGroup: "/aws/kinesisfirehose/amazon-apigateway-acme", Database: "stagelog_acme", Table: "lines"})

var function = Function(FunctionPermissions{Partition: "aws", Region: region, Account: account,
	LogGroup: "/aws/lambda/stagelog-acme", Bucket: "acme-api-logs", SnapshotKey: "stagelog/directory.json"})

// decide evaluates a call, given as "action resource", on a resource of the account.
func decide(d Document, call string) Decision { return decideIn(d, call, account) }

func decideIn(d Document, call, owner string) Decision {
	action, resource, _ := strings.Cut(call, " ")
	got, _ := Evaluate([]Document{d}, Request{Action: action, Resource: resource, Context: map[string][]string{"aws:ResourceAccount": {owner}}})
	return got
}

// After a bucket is deleted, any account can create one with the same name.
func TestRolesCannotUseForeignBucket(t *testing.T) {
	for _, tt := range []struct {
		d    Document
		call string
	}{
		{firehose, "s3:PutObject " + bucket + "/logs/x.gz"}, {firehose, "s3:ListBucket " + bucket},
		{function, "s3:PutObject " + bucket + "/stagelog/directory.json"}, {function, "s3:GetObject " + bucket + "/stagelog/directory.json"},
	} {
		if got := decideIn(tt.d, tt.call, "999999999999"); got != NoMatch {
			t.Errorf("%s of another account: got %v, want NoMatch", tt.call, got)
		}
	}
}

// Every call that the chain makes, and similar ones that it does not make.
func TestRolesAllowOnlyNeededCalls(t *testing.T) {
	tests := []struct {
		role    string
		d       Document
		allowed []string
		denied  []string
	}{
		{"Firehose", firehose,
			[]string{
				"s3:GetBucketLocation " + bucket,
				"s3:ListBucket " + bucket,
				"s3:ListBucketMultipartUploads " + bucket,
				"s3:PutObject " + bucket + "/logs/2026/11/23/05/amazon-apigateway-acme-1-x.gz",
				"s3:PutObject " + bucket + "/errors/processing-failed/x.gz",
				"s3:GetObject " + bucket + "/logs/x.gz",
				"s3:AbortMultipartUpload " + bucket + "/logs/x.gz",
				"lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme:$LATEST",
				"lambda:GetFunctionConfiguration arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme:$LATEST",
				"lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme",
				"logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:/aws/kinesisfirehose/amazon-apigateway-acme:log-stream:S3Delivery",
			},
			[]string{
				"s3:PutObject arn:aws:s3:::acme-api-logs-2/logs/x.gz",
				"s3:DeleteObject " + bucket + "/logs/x.gz",
				"s3:PutBucketPolicy " + bucket,
				"s3:PutObjectAcl " + bucket + "/logs/x.gz",
				"s3:DeleteBucket " + bucket,
				"lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme2",
				"lambda:InvokeFunction arn:aws:lambda:us-east-1:123456789012:function:stagelog-acme",
				"lambda:UpdateFunctionCode arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme",
				"logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/stagelog-acme:log-stream:x",
				"logs:DeleteLogGroup arn:aws:logs:eu-west-1:123456789012:log-group:/aws/kinesisfirehose/amazon-apigateway-acme",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/usageplans",
				"glue:GetTable arn:aws:glue:eu-west-1:123456789012:table/stagelog_acme/lines",
				"s3:GetObjectVersion " + bucket + "/logs/x.gz",
				"s3:ListAllMyBuckets *",
				"s3:PutLifecycleConfiguration " + bucket,
				"lambda:InvokeFunction arn:aws:lambda:eu-west-1:999999999999:function:stagelog-acme",
				"lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme:prod",
				"lambda:GetFunction arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme",
				"logs:CreateLogStream arn:aws:logs:eu-west-1:123456789012:log-group:/aws/kinesisfirehose/amazon-apigateway-acme:log-stream:x",
				"logs:PutLogEvents arn:aws:logs:us-east-1:123456789012:log-group:/aws/kinesisfirehose/amazon-apigateway-acme:log-stream:S3Delivery",
				"logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:/aws/kinesisfirehose/amazon-apigateway-acme2:log-stream:S3Delivery",
				"iam:CreateRole arn:aws:iam::123456789012:role/x",
				"iam:PutRolePolicy arn:aws:iam::123456789012:role/stagelog-acme-firehose",
				"kms:Decrypt arn:aws:kms:eu-west-1:123456789012:key/1",
				"sts:AssumeRole arn:aws:iam::123456789012:role/admin",
				"iam:PassRole arn:aws:iam::123456789012:role/stagelog-acme-firehose",
				"firehose:PutRecord arn:aws:firehose:eu-west-1:123456789012:deliverystream/amazon-apigateway-acme",
			}},
		{"Firehose with conversion", converting,
			[]string{
				"s3:PutObject " + bucket + "/logs/x.parquet",
				"glue:GetTable arn:aws:glue:eu-west-1:123456789012:catalog",
				"glue:GetTable arn:aws:glue:eu-west-1:123456789012:database/stagelog_acme",
				"glue:GetTable arn:aws:glue:eu-west-1:123456789012:table/stagelog_acme/lines",
				"glue:GetTableVersion arn:aws:glue:eu-west-1:123456789012:table/stagelog_acme/lines",
				"glue:GetTableVersions arn:aws:glue:eu-west-1:123456789012:table/stagelog_acme/lines",
			},
			[]string{
				"glue:GetTable arn:aws:glue:eu-west-1:123456789012:table/stagelog_acme/others",
				"glue:GetTable arn:aws:glue:eu-west-1:123456789012:table/payroll/lines",
				"glue:GetTable arn:aws:glue:us-east-1:123456789012:table/stagelog_acme/lines",
				"glue:UpdateTable arn:aws:glue:eu-west-1:123456789012:table/stagelog_acme/lines",
				"glue:DeleteTable arn:aws:glue:eu-west-1:123456789012:table/stagelog_acme/lines",
				"glue:GetDatabase arn:aws:glue:eu-west-1:123456789012:database/stagelog_acme",
				"glue:GetTables arn:aws:glue:eu-west-1:123456789012:catalog",
			}},
		{"function", function,
			[]string{
				"apigateway:GET arn:aws:apigateway:eu-west-1::/usageplans",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/usageplans/abc123/keys",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/apikeys/k3v9",
				"s3:GetObject " + bucket + "/stagelog/directory.json",
				"s3:PutObject " + bucket + "/stagelog/directory.json",
				"logs:CreateLogStream arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/stagelog-acme:log-stream:2026/11/23/[$LATEST]x",
				"logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/stagelog-acme:log-stream:2026/11/23/[$LATEST]x",
			},
			[]string{
				"apigateway:GET arn:aws:apigateway:us-east-1::/usageplans",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/restapis",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/apikeys",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/usageplans/abc123/usage",
				"apigateway:GET arn:aws:apigateway:us-east-1::/usageplans/abc123/keys",
				"apigateway:GET arn:aws:apigateway:us-east-1::/apikeys/k3v9",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/usageplans/abc123",
				"apigateway:GET arn:aws:apigateway:eu-west-1::/account",
				"apigateway:PUT arn:aws:apigateway:eu-west-1::/apikeys/k3v9",
				"apigateway:PATCH arn:aws:apigateway:eu-west-1::/apikeys/k3v9",
				"apigateway:DELETE arn:aws:apigateway:eu-west-1::/apikeys/k3v9",
				"apigateway:POST arn:aws:apigateway:eu-west-1::/usageplans",
				"apigateway:PATCH arn:aws:apigateway:eu-west-1::/usageplans/abc123/keys",
				"apigateway:DELETE arn:aws:apigateway:eu-west-1::/usageplans/abc123/keys",
				"s3:GetObject " + bucket + "/logs/x.gz",
				"s3:GetObject " + bucket + "/stagelog/former/a1/prod.json",
				"s3:PutObject " + bucket + "/stagelog/directory.json2",
				"s3:DeleteObject " + bucket + "/stagelog/directory.json",
				"s3:ListBucket " + bucket, // so a missing object returns 403, which usageplan.S3Store treats as not found
				"s3:GetObject " + bucket + "/errors/processing-failed/x.gz",
				"s3:PutObject " + bucket + "/logs/x.gz",
				"s3:PutObject " + bucket + "/stagelog/former/a1/prod.json",
				"iam:CreateRole arn:aws:iam::123456789012:role/x",
				"iam:PassRole arn:aws:iam::123456789012:role/stagelog-acme-function",
				"lambda:UpdateFunctionCode arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme",
				"s3:GetObject arn:aws:s3:::acme-api-logs2/stagelog/directory.json",
				"logs:CreateLogGroup arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/stagelog-acme",
				"logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/other:log-stream:x",
				"lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:stagelog-acme",
				"firehose:PutRecord arn:aws:firehose:eu-west-1:123456789012:deliverystream/amazon-apigateway-acme",
				"sts:AssumeRole arn:aws:iam::123456789012:role/admin",
			}},
	}
	for _, tt := range tests {
		for _, call := range tt.allowed {
			if got := decide(tt.d, call); got != Allow {
				t.Errorf("%s role: %s: got %v, want Allow", tt.role, call, got)
			}
		}
		for _, call := range tt.denied {
			if got := decide(tt.d, call); got == Allow {
				t.Errorf("%s role: %s is allowed", tt.role, call)
			}
		}
	}
}

func TestTrusts(t *testing.T) {
	id := func(account string) map[string][]string { return map[string][]string{"sts:ExternalId": {account}} }
	tests := []struct {
		name  string
		d     Document
		who   string
		given map[string][]string
		want  Decision
	}{
		{"Firehose for a stream of the account", FirehoseTrust(account), "firehose.amazonaws.com", id(account), Allow},
		{"Firehose for a foreign stream", FirehoseTrust(account), "firehose.amazonaws.com", id("999999999999"), NoMatch},
		{"Firehose with aws:SourceAccount only", FirehoseTrust(account), "firehose.amazonaws.com", map[string][]string{"aws:SourceAccount": {account}}, NoMatch},
		{"Firehose for a foreign stream with our aws:SourceAccount", FirehoseTrust(account), "firehose.amazonaws.com", map[string][]string{"aws:SourceAccount": {account}, "sts:ExternalId": {"999999999999"}}, NoMatch},
		{"API Gateway", FirehoseTrust(account), "apigateway.amazonaws.com", id(account), NoMatch},
		{"user of the account", FunctionTrust(), "arn:aws:iam::123456789012:user/eva", nil, NoMatch},
		{"Firehose without a condition key", FirehoseTrust(account), "firehose.amazonaws.com", nil, NoMatch},
		{"another service", FirehoseTrust(account), "lambda.amazonaws.com", id(account), NoMatch},
		{"the account itself", FirehoseTrust(account), "arn:aws:iam::123456789012:root", id(account), NoMatch},
		{"Lambda", FunctionTrust(), "lambda.amazonaws.com", nil, Allow},
		{"Firehose as the function", FunctionTrust(), "firehose.amazonaws.com", id(account), NoMatch},
	}
	for _, tt := range tests {
		got, _ := Evaluate([]Document{tt.d}, Request{Principal: tt.who, Action: "sts:AssumeRole", Context: tt.given})
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBucketReaders(t *testing.T) {
	const reader = "arn:aws:sts::111122223333:assumed-role/analyst/eva"
	narrow := BucketPermissions{Partition: "aws", Bucket: "acme-api-logs", Prefix: "logs/!{timestamp:yyyy}/",
		Private: []string{"stagelog/", "errors/!{firehose:error-output-type}/"}, Readers: []string{"111122223333"}}
	wide := narrow
	wide.Prefix = ""
	hidden := wide
	hidden.Private = []string{"!{firehose:error-output-type}/"}
	alone := narrow
	alone.Readers = nil
	tests := []struct {
		name   string
		p      BucketPermissions
		who    string
		call   string
		secure string
		want   Decision
	}{
		{"a reader lists", narrow, reader, "s3:ListBucket " + bucket, "true", Allow},
		{"a reader gets the location", narrow, reader, "s3:GetBucketLocation " + bucket, "true", Allow},
		{"a reader gets a log", narrow, reader, "s3:GetObject " + bucket + "/logs/2026/x.gz", "true", Allow},
		{"a reader's root gets a log", narrow, "arn:aws:iam::111122223333:root", "s3:GetObject " + bucket + "/logs/2026/x.gz", "true", Allow},
		{"a reader gets error output", narrow, reader, "s3:GetObject " + bucket + "/errors/processing-failed/x.gz", "true", NoMatch},
		{"a reader gets stagelog's own object", narrow, reader, "s3:GetObject " + bucket + "/stagelog/directory.json", "true", NoMatch},
		{"a reader puts", narrow, reader, "s3:PutObject " + bucket + "/logs/x", "true", NoMatch},
		{"a reader deletes", narrow, reader, "s3:DeleteObject " + bucket + "/logs/x", "true", NoMatch},
		{"a reader reads the policy", narrow, reader, "s3:GetBucketPolicy " + bucket, "true", NoMatch},
		{"a reader without TLS", narrow, reader, "s3:GetObject " + bucket + "/logs/2026/x.gz", "false", Deny},
		{"the owner without TLS", narrow, "arn:aws:iam::123456789012:root", "s3:PutObject " + bucket + "/logs/x.gz", "false", Deny},
		{"another account", narrow, "arn:aws:iam::999999999999:root", "s3:GetObject " + bucket + "/logs/2026/x.gz", "true", NoMatch},
		{"without a prefix, a log", wide, reader, "s3:GetObject " + bucket + "/2026/x.gz", "true", Allow},
		{"without a prefix, error output", wide, reader, "s3:GetObject " + bucket + "/errors/x.gz", "true", Deny},
		{"without a prefix, stagelog's own object", wide, reader, "s3:GetObject " + bucket + "/stagelog/directory.json", "true", Deny},
		{"anonymous, without TLS", narrow, "", "s3:GetObject " + bucket + "/logs/2026/x.gz", "false", Deny},
		{"anonymous", narrow, "", "s3:GetObject " + bucket + "/logs/2026/x.gz", "true", NoMatch},
		{"Firehose's role without TLS", narrow, "arn:aws:sts::123456789012:assumed-role/stagelog-acme-firehose/x", "s3:PutObject " + bucket + "/logs/x.gz", "false", Deny},
		{"another bucket", narrow, reader, "s3:GetObject " + bucket + "2/logs/2026/x.gz", "true", NoMatch},
		{"error prefix starting with an expression", hidden, reader, "s3:GetObject " + bucket + "/processing-failed/x.gz", "true", Deny},
		{"without readers, no TLS", alone, reader, "s3:GetObject " + bucket + "/logs/x.gz", "false", Deny},
		{"without readers, get", alone, reader, "s3:GetObject " + bucket + "/logs/x.gz", "true", NoMatch},
	}
	for _, tt := range tests {
		action, resource, _ := strings.Cut(tt.call, " ")
		got, by := Evaluate([]Document{Bucket(tt.p)}, Request{Principal: tt.who, Action: action, Resource: resource,
			Context: map[string][]string{"aws:SecureTransport": {tt.secure}}})
		if got != tt.want || (got == NoMatch) != (by == nil) {
			t.Errorf("%s: got %v by %+v, want %v", tt.name, got, by, tt.want)
		}
	}
}

func TestDocumentsUseThePartition(t *testing.T) {
	text := Bucket(BucketPermissions{Partition: "aws-cn", Bucket: "b", Readers: []string{"111122223333"}}).JSON() +
		Firehose(FirehosePermissions{Partition: "aws-cn", Region: "cn-north-1", Account: account}).JSON() +
		Function(FunctionPermissions{Partition: "aws-cn", Region: "cn-north-1", Account: account}).JSON()
	if strings.Contains(text, "arn:aws:") || !strings.Contains(text, "arn:aws-cn:") {
		t.Errorf("ARNs of the wrong partition:\n%s", text)
	}
}
