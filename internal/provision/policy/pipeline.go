package policy

import "strings"

// FirehoseTrust lets Firehose, and nobody else, act as a role, and that only for streams of
// the role's own account: Firehose gives the account of the stream as sts:ExternalId. That is
// the form that Firehose documents against a confused deputy, where other services have
// aws:SourceAccount. Whether Firehose gives that as well is documented nowhere, and a condition
// on what it does not give would let nobody in, so it is not asked for.
// https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
func FirehoseTrust(account string) Document {
	return trust("firehose.amazonaws.com", map[string]map[string][]string{"StringEquals": {"sts:ExternalId": {account}}})
}

// FunctionTrust lets Lambda act as a role.
func FunctionTrust() Document { return trust("lambda.amazonaws.com", nil) }

func trust(service string, when map[string]map[string][]string) Document {
	return document(Statement{Effect: "Allow", Principal: Principal{Service: []string{service}}, Actions: []string{"sts:AssumeRole"}, Conditions: when})
}

// FirehosePermissions is what a delivery stream works with.
type FirehosePermissions struct {
	Partition, Region, Account string
	Bucket                     string // name
	Function                   string // name
	LogGroup                   string // name
	Database, Table            string // in the Glue Data Catalog, whose columns records are converted with; "" is none
}

// Firehose is what the delivery stream's role may do: put objects into this bucket, call this
// function, read the columns of this table, and write into this log group. The bucket is the
// account's own: one that is deleted while the stream goes on may be made anew by anybody, who
// would get the logs of all customers.
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

// FunctionPermissions is what the enrichment function works with.
type FunctionPermissions struct {
	Partition, Region, Account string
	LogGroup                   string // name
	Bucket, SnapshotKey        string // the object that the functions share
}

// Function is what the function's role may do: read usage plans and their keys in its Region,
// keep the shared snapshot of them, and write its log.
//
// IAM has no way to allow the names of keys and not their values; the function asks for
// single keys without them, and drops what the lists hold.
func Function(p FunctionPermissions) Document {
	apis := "arn:" + p.Partition + ":apigateway:" + p.Region + "::"
	snapshot := "arn:" + p.Partition + ":s3:::" + p.Bucket + "/" + p.SnapshotKey
	return document(
		allow("UsagePlans", []string{"apigateway:GET"}, apis+"/usageplans", apis+"/usageplans/*/keys", apis+"/apikeys/*"),
		allow("Snapshot", []string{"s3:GetObject", "s3:PutObject"}, snapshot).of(p.Account),
		allow("Log", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, logGroup(p.Partition, p.Region, p.Account, p.LogGroup)+":log-stream:*"),
	)
}

// BucketPermissions is who may read what of a bucket.
type BucketPermissions struct {
	Partition, Bucket string
	Prefix            string   // of the delivered objects; Firehose's expressions end it
	Private           []string // prefixes that readers get nothing from, should Prefix cover them; "" is all
	Readers           []string // account ids
}

// Bucket is stagelog's part of the bucket's policy: nobody without TLS, and readers' accounts
// may list the bucket and get the delivered objects. ListBucket is an action on the bucket and
// GetObject one on its objects: one statement for both would allow one of them alone.
//
// Listing is not narrowed to the prefix: that would deny a list without one, which is what
// most tools ask for first. Names of objects say nothing of what is in them.
func Bucket(p BucketPermissions) Document {
	arn := "arn:" + p.Partition + ":s3:::" + p.Bucket
	d := document(Statement{
		Sid: sidTLS, Effect: "Deny", Principal: Principal{Any: true},
		Actions: []string{"s3:*"}, Resources: []string{arn, arn + "/*"},
		Conditions: map[string]map[string][]string{"Bool": {"aws:SecureTransport": {"false"}}},
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

// fixed is the part of a prefix before its first expression.
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

// of narrows a statement to resources of an account. S3's calls all have this key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (s Statement) of(account string) Statement {
	s.Conditions = map[string]map[string][]string{"StringEquals": {"aws:ResourceAccount": {account}}}
	return s
}

func logGroup(partition, region, account, name string) string {
	return "arn:" + partition + ":logs:" + region + ":" + account + ":log-group:" + name
}
