package policy

import "strings"

// FirehoseTrust returns a trust policy that allows only Firehose to assume a role, and only for
// streams of the role's own account: Firehose sends the account of the stream as sts:ExternalId.
// Firehose documents this condition against a confused deputy, where other services use
// aws:SourceAccount. It is not documented whether Firehose also sends aws:SourceAccount, and a
// condition on a missing key would deny every call, so there is none.
// https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
func FirehoseTrust(account string) Document {
	return trust("firehose.amazonaws.com", Conditions{"StringEquals": {"sts:ExternalId": {account}}})
}

// FunctionTrust returns a trust policy that allows Lambda to assume a role.
func FunctionTrust() Document { return trust("lambda.amazonaws.com", nil) }

func trust(service string, when Conditions) Document {
	return document(Statement{Effect: "Allow", Principal: Principal{Service: []string{service}}, Actions: []string{"sts:AssumeRole"}, Conditions: when})
}

// FirehosePermissions names the resources that a delivery stream uses.
type FirehosePermissions struct {
	Partition, Region, Account string
	Bucket                     string // name
	Function                   string // name
	LogGroup                   string // name
	Database, Table            string // in the Glue Data Catalog, defines the columns of converted records; "" without conversion
}

// Firehose returns the permissions of the delivery stream's role: put objects into the bucket, call
// the function, read the table's columns, and write to the log group. The bucket must belong to
// the account: if it were deleted while the stream runs, any account could create a bucket with
// that name and would receive the logs of all customers.
// https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
func Firehose(p FirehosePermissions) Document {
	bucket := "arn:" + p.Partition + ":s3:::" + p.Bucket
	function := "arn:" + p.Partition + ":lambda:" + p.Region + ":" + p.Account + ":function:" + p.Function
	d := document(
		allow("Bucket", []string{"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"}, bucket).of(p.Account),
		allow("Objects", []string{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"}, bucket+"/*").of(p.Account),
		allow("Function", []string{"lambda:GetFunctionConfiguration", "lambda:InvokeFunction"}, function, function+":$LATEST"),
		allow("ErrorLog", []string{"logs:PutLogEvents"}, logGroup(p.Partition, p.Region, p.Account, p.LogGroup)+":log-stream:*"),
	)
	if p.Table != "" {
		catalog := "arn:" + p.Partition + ":glue:" + p.Region + ":" + p.Account + ":"
		d.Statements = append(d.Statements, allow("Columns", []string{"glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"},
			catalog+"catalog", catalog+"database/"+p.Database, catalog+"table/"+p.Database+"/"+p.Table))
	}
	return d
}

// FunctionPermissions names the resources that the enrichment function uses.
type FunctionPermissions struct {
	Partition, Region, Account string
	LogGroup                   string // name
	Bucket, SnapshotKey        string // the object shared by all instances of the function
}

// Function returns the permissions of the function's role: read usage plans and their keys in its
// Region, read and write the shared snapshot of them, and write its log.
//
// IAM cannot allow reading the names of keys without their values. The function requests single
// keys without values, and discards the values in lists.
func Function(p FunctionPermissions) Document {
	apis := "arn:" + p.Partition + ":apigateway:" + p.Region + "::"
	snapshot := "arn:" + p.Partition + ":s3:::" + p.Bucket + "/" + p.SnapshotKey
	return document(
		allow("UsagePlans", []string{"apigateway:GET"}, apis+"/usageplans", apis+"/usageplans/*/keys", apis+"/apikeys/*"),
		allow("Snapshot", []string{"s3:GetObject", "s3:PutObject"}, snapshot).of(p.Account),
		allow("Log", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, logGroup(p.Partition, p.Region, p.Account, p.LogGroup)+":log-stream:*"),
	)
}

// BucketPermissions describes who may read which objects of a bucket.
type BucketPermissions struct {
	Partition, Bucket string
	Prefix            string   // of the delivered objects; only the part before the first expression is used
	Private           []string // prefixes that readers cannot read, even if Prefix covers them; "" is the whole bucket
	Readers           []string // account ids
}

// Bucket returns stagelog's statements of the bucket policy: requests without TLS are denied, and
// readers' accounts may list the bucket and get the delivered objects. ListBucket applies to the
// bucket and GetObject to its objects, so a statement for both would allow only one of them.
//
// Listing is not restricted to the prefix, because that would deny listing without a prefix, which
// most tools do first. Object names do not reveal the contents.
func Bucket(p BucketPermissions) Document {
	arn := "arn:" + p.Partition + ":s3:::" + p.Bucket
	d := document(Statement{
		Sid: SidTLS, Effect: "Deny", Principal: Principal{Any: true},
		Actions: []string{"s3:*"}, Resources: []string{arn, arn + "/*"},
		Conditions: Conditions{"Bool": {"aws:SecureTransport": {"false"}}},
	})
	if len(p.Readers) == 0 {
		return d
	}
	var readers Principal
	for _, id := range p.Readers {
		readers.AWS = append(readers.AWS, "arn:"+p.Partition+":iam::"+id+":root")
	}
	prefix := fixed(p.Prefix)
	add := func(sid, effect, action string, resources ...string) {
		d.Statements = append(d.Statements, Statement{Sid: sid, Effect: effect, Principal: readers, Actions: []string{action}, Resources: resources})
	}
	add(sidList, "Allow", "s3:ListBucket", arn)
	add(sidLocation, "Allow", "s3:GetBucketLocation", arn)
	add(sidGet, "Allow", "s3:GetObject", arn+"/"+prefix+"*")
	var private []string
	for _, p := range p.Private {
		if p = fixed(p); strings.HasPrefix(p, prefix) {
			private = append(private, arn+"/"+p+"*")
		}
	}
	if len(private) > 0 {
		add(sidNotRaw, "Deny", "s3:GetObject", private...)
	}
	return d
}

// fixed returns the part of a prefix before its first expression.
func fixed(prefix string) string {
	prefix, _, _ = strings.Cut(prefix, "!{")
	return prefix
}

func document(statements ...Statement) Document {
	return Document{Version: Version, Statements: statements}
}

func allow(sid string, actions []string, resources ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Actions: actions, Resources: resources}
}

// of restricts a statement to resources of an account. All S3 calls have this condition key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (s Statement) of(account string) Statement {
	s.Conditions = Conditions{"StringEquals": {"aws:ResourceAccount": {account}}}
	return s
}

func logGroup(partition, region, account, name string) string {
	return "arn:" + partition + ":logs:" + region + ":" + account + ":log-group:" + name
}
