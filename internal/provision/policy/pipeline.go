package policy

import (
	"cmp"
	"strings"
)

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
	BucketAccount              string // that owns the bucket; "" for Account
	Key                        string // ARN of the KMS key of the objects, or a pattern; "" without one
	Function                   string // name
	LogGroup                   string // name
	Database, Table            string // in the Glue Data Catalog, defines the columns of converted records; "" without conversion
}

// Firehose returns the permissions of the delivery stream's role: put objects into the bucket, call
// the function, read the table's columns, and write to the log group. The bucket must belong to
// its known account: if it were deleted while the stream runs, any account could create a bucket with
// that name and would receive the logs of all customers.
// https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
func Firehose(p FirehosePermissions) Document {
	bucket := "arn:" + p.Partition + ":s3:::" + p.Bucket
	function := "arn:" + p.Partition + ":lambda:" + p.Region + ":" + p.Account + ":function:" + p.Function
	objects, owner := []string{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"}, cmp.Or(p.BucketAccount, p.Account)
	if owner != p.Account { // Firehose puts objects there with the ACL bucket-owner-full-control
		objects = append(objects, "s3:PutObjectAcl")
	}
	d := document(
		allow("Bucket", []string{"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"}, bucket).of(owner),
		allow("Objects", objects, bucket+"/*").of(owner),
		allow("Function", []string{"lambda:GetFunctionConfiguration", "lambda:InvokeFunction"}, function, function+":$LATEST"),
		allow("ErrorLog", []string{"logs:PutLogEvents"}, logGroup(p.Partition, p.Region, p.Account, p.LogGroup)+":log-stream:*"),
	)
	if p.Table != "" {
		catalog := "arn:" + p.Partition + ":glue:" + p.Region + ":" + p.Account + ":"
		d.Statements = append(d.Statements, allow("Columns", []string{"glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"},
			catalog+"catalog", catalog+"database/"+p.Database, catalog+"table/"+p.Database+"/"+p.Table))
	}
	if p.Key != "" {
		d.Statements = append(d.Statements, useKey(p.Key, p.Region, bucket))
	}
	return d
}

// useKey allows a role to put and get the objects of a bucket that are encrypted with a KMS key. S3 uses the key on behalf of the
// role, with the ARN of the object or, for a bucket key, that of the bucket as encryption context.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
func useKey(key, region, bucket string) Statement {
	s := allow("Key", []string{"kms:Decrypt", "kms:GenerateDataKey"}, key)
	s.Conditions = Conditions{"StringLike": {
		"kms:EncryptionContext:aws:s3:arn": {bucket, bucket + "/*"}, "kms:ViaService": {ViaS3(region)},
	}}
	return s
}

// ViaS3 returns a pattern of the condition key kms:ViaService, whose end depends on the partition.
func ViaS3(region string) string { return "s3." + region + ".*" }

// KeyPermissions names who uses a KMS key.
type KeyPermissions struct {
	Partition, Region, Account string
	Roles                      []string // ARNs of roles of Account, which put and get objects
	Readers                    []string // account ids
}

// Key returns the statements that the policy of a bucket's KMS key needs. The roles are named by a condition on their account's
// root, because KMS rejects principals that do not exist yet, and a role that was created again is another principal.
func Key(p KeyPermissions) Document {
	via := Conditions{"StringLike": {"kms:ViaService": {ViaS3(p.Region)}}}
	roles := allow(sidKeyRoles, []string{"kms:Decrypt", "kms:GenerateDataKey"}, "*")
	roles.Principal, roles.Conditions = Principal{AWS: roots(p.Partition, p.Account)}, Conditions{"ArnEquals": {"aws:PrincipalArn": p.Roles}, "StringLike": via["StringLike"]}
	d := document(roles)
	if len(p.Readers) > 0 {
		readers := allow(sidKeyReaders, []string{"kms:Decrypt"}, "*")
		readers.Principal, readers.Conditions = Principal{AWS: roots(p.Partition, p.Readers...)}, via
		d.Statements = append(d.Statements, readers)
	}
	return d
}

func roots(partition string, accounts ...string) (all List) {
	for _, id := range accounts {
		all = append(all, "arn:"+partition+":iam::"+id+":root")
	}
	return all
}

// FunctionPermissions names the resources that the enrichment function uses.
type FunctionPermissions struct {
	Partition, Region, Account string
	LogGroup                   string // name
	Bucket, SnapshotKey        string // the object shared by all instances of the function
	BucketAccount              string // that owns the bucket; "" for Account
	Key                        string // ARN of the KMS key of the objects, or a pattern; "" without one
}

// Function returns the permissions of the function's role: read usage plans and their keys in its
// Region, read and write the shared snapshot of them, and write its log.
//
// IAM cannot allow reading the names of keys without their values. The function requests single
// keys without values, and discards the values in lists.
func Function(p FunctionPermissions) Document {
	apis := "arn:" + p.Partition + ":apigateway:" + p.Region + "::"
	bucket := "arn:" + p.Partition + ":s3:::" + p.Bucket
	d := document(
		allow("UsagePlans", []string{"apigateway:GET"}, apis+"/usageplans", apis+"/usageplans/*/keys", apis+"/apikeys/*"),
		allow("Snapshot", []string{"s3:GetObject", "s3:PutObject"}, bucket+"/"+p.SnapshotKey).of(cmp.Or(p.BucketAccount, p.Account)),
		allow("Log", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, logGroup(p.Partition, p.Region, p.Account, p.LogGroup)+":log-stream:*"),
	)
	if p.Key != "" {
		d.Statements = append(d.Statements, useKey(p.Key, p.Region, bucket))
	}
	return d
}

// BucketPermissions describes who may read which objects of a bucket.
type BucketPermissions struct {
	Partition, Bucket string
	Prefix            string   // of the delivered objects; only the part before the first expression is used
	Private           []string // prefixes that readers cannot read, even if Prefix covers them; "" is the whole bucket
	Readers           []string // account ids
	Writer            Writer   // zero if the bucket belongs to the pipeline's account, whose roles need no statement
}

// Writer is a pipeline that delivers to the bucket of another account.
type Writer struct {
	Account            string
	Firehose, Function string // ARNs of the roles
	Errors             string // prefix of the error output; "" if it is below that of the delivered objects
	State              string // prefix of stagelog's own objects
}

// Bucket returns stagelog's statements of the bucket policy: requests without TLS are denied, and
// readers' accounts may list the bucket and get the delivered objects. ListBucket applies to the
// bucket and GetObject to its objects, so a statement for both would allow only one of them.
//
// Listing is not restricted to the prefix, because that would deny listing without a prefix, which
// most tools do first. Object names do not reveal the contents.
func Bucket(p BucketPermissions) Document {
	arn := "arn:" + p.Partition + ":s3:::" + p.Bucket
	var d Document
	if p.Writer.Account != "" {
		d = document(p.writerStatements(arn)...)
	} else {
		d = document(Statement{
			Sid: SidTLS, Effect: "Deny", Principal: Principal{Any: true},
			Actions: []string{"s3:*"}, Resources: []string{arn, arn + "/*"},
			Conditions: Conditions{"Bool": {"aws:SecureTransport": {"false"}}},
		})
	}
	if len(p.Readers) == 0 {
		return d
	}
	readers := Principal{AWS: roots(p.Partition, p.Readers...)}
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

// writerStatements returns what the owner of a bucket must allow a pipeline of another account: Firehose to deliver, the function to
// share its snapshot, and the users of stagelog to keep previous logging settings, read the logs and look at the bucket's settings.
// The principal is the account's root with a condition on the role, because S3 rejects principals that do not exist yet.
// https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#cross-account-delivery-s3
func (p BucketPermissions) writerStatements(arn string) []Statement {
	w := p.Writer
	let := func(sid, role string, actions []string, resources ...string) Statement {
		s := allow(sid, actions, resources...)
		s.Principal = Principal{AWS: roots(p.Partition, w.Account)}
		if role != "" {
			s.Conditions = Conditions{"ArnEquals": {"aws:PrincipalArn": {role}}}
		}
		return s
	}
	delivered := []string{arn + "/" + fixed(p.Prefix) + "*"}
	if failed := fixed(w.Errors); w.Errors != "" && !strings.HasPrefix(failed, fixed(p.Prefix)) {
		delivered = append(delivered, arn+"/"+failed+"*")
	}
	return []Statement{
		let(sidWriterBucket, w.Firehose, []string{"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"}, arn),
		let(sidWriterObjects, w.Firehose, []string{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject", "s3:PutObjectAcl"}, delivered...),
		let(sidWriterSnapshot, w.Function, []string{"s3:GetObject", "s3:PutObject"}, arn+"/"+w.State+"*"),
		let(sidWriterState, "", []string{"s3:DeleteObject", "s3:GetObject", "s3:PutObject"}, arn+"/"+w.State+"*"),
		let(sidWriterLogs, "", []string{"s3:GetObject"}, arn+"/"+fixed(p.Prefix)+"*"),
		let(sidWriterLook, "", []string{
			"s3:GetBucketLocation", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning",
			"s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration", "s3:ListBucket",
		}, arn),
	}
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
