package export

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	glue "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// CloudFormation returns the pipeline as a YAML template. Deleting the stack keeps the bucket, as
// `stagelog destroy` does.
func CloudFormation(s *desired.Spec) ([]byte, error) {
	set, err := newSettings(s)
	if err != nil {
		return nil, err
	}
	t := &template{set, s.Region}
	var b bytes.Buffer
	b.WriteString(t.header() + "\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(t.reference(t.tree())); err != nil {
		return nil, fmt.Errorf("encode template: %w", err)
	}
	return b.Bytes(), nil
}

// template generates a CloudFormation template.
type template struct {
	*settings
	home string // Region of the commands in the header
}

func (t *template) header() string {
	lines := []string{
		"The pipeline " + t.Pipeline.Name + " as a CloudFormation template, written by `stagelog export cloudformation`.",
		"Do not edit it; change stagelog.yaml and export again.",
		"",
		"To deploy it, replace CODE_BUCKET with the name of a bucket in " + t.home + " and run:",
		"",
		"  stagelog export zip --arch " + t.Architecture + " --out " + zipFile,
		"  aws s3 cp " + zipFile + " s3://CODE_BUCKET/" + t.zipKey(),
		"  aws cloudformation deploy --region " + t.home + " --stack-name " + t.stack() + " \\",
		"    --template-file stagelog-cloudformation.yaml --capabilities CAPABILITY_NAMED_IAM \\",
		"    --parameter-overrides CodeBucket=CODE_BUCKET CodeKey=" + t.zipKey(),
		"",
	}
	if t.hashes() {
		lines = append(lines,
			"For the first deployment, append HashSalt=\"$(openssl rand -hex 32)\". Omit it later: the stack keeps the value,",
			"and a different value changes the hashes of all API keys.",
			"")
	}
	lines = append(lines,
		"The sha256 of "+zipFile+" is "+t.zipHex()+".",
		"",
		"Access log settings are part of the stage. In the template with the AWS::ApiGateway::Stage, add an",
		"AccessLogSetting with the outputs AccessLogDestinationArn and AccessLogFormat.",
		"")
	if len(t.Pipeline.Stages) > 0 {
		lines = append(lines, "For a stage without a template, show its current settings, which are replaced, and change them:", "")
		lines = append(lines, t.stageCommands(t.home, "aws cloudformation describe-stacks --region "+t.home+" --stack-name "+t.stack()+
			" --output text --query \"Stacks[0].Outputs[?OutputKey=='AccessLogPatch'].OutputValue\"")...)
		lines = append(lines, "")
	}
	lines = append(lines, t.ownersStatements()...)
	return comment(append(lines,
		"Only stages of REST APIs can log to Firehose. The stack does not adopt existing resources with its names.",
		"Deleting the stack keeps the bucket.")...)
}

func (t *template) tree() *yaml.Node {
	parameters := object(
		"CodeBucket", object("Type", "String", "Description", "Bucket in this Region that contains the function's zip"),
		"CodeKey", object("Type", "String", "Description", "Key of the function's zip in CodeBucket", "Default", t.zipKey()),
	)
	if t.hashes() {
		parameters.Content = append(parameters.Content, value("HashSalt"), object(
			"Type", "String", "NoEcho", true, "MinLength", 16,
			"Description", "Secret for hashing API keys; a different value changes all hashes"))
	}
	var database, table any // nil unless the stream delivers Parquet
	if t.want.Table != nil {
		database, table = t.database(), t.table()
	}
	var bucket, policy any // nil if another account owns the bucket
	if !t.want.Bucket.Others {
		bucket, policy = t.bucket(), resource("AWS::S3::BucketPolicy", object("Bucket", ref("Bucket"), "PolicyDocument", t.want.BucketPolicy))
	}
	resources := object(
		"Bucket", bucket,
		"BucketPolicy", policy,
		"FirehoseLogGroup", t.logGroup(t.want.StreamLog),
		"FirehoseLogStream", resource("AWS::Logs::LogStream", object(
			"LogGroupName", ref("FirehoseLogGroup"), "LogStreamName", desired.DeliveryLogStream)),
		"FunctionLogGroup", t.logGroup(t.want.FunctionLog),
		"FunctionRole", t.role(t.want.FunctionRole),
		"Function", t.function(),
		"Database", database,
		"Table", table,
		"FirehoseRole", t.role(t.want.FirehoseRole),
		"Stream", t.stream(),
	)
	resources.Content = append(resources.Content, t.monitoring()...)
	return object(
		"AWSTemplateFormatVersion", "2010-09-09",
		"Description", "stagelog: API Gateway access logs with usage plan and customer in bucket "+t.Bucket(),
		"Parameters", parameters,
		"Resources", resources,
		"Outputs", object(
			"AccessLogDestinationArn", object("Description", "destinationArn of a stage's access log settings", "Value", t.StreamARN()),
			"AccessLogFormat", object("Description", "format of a stage's access log settings", "Value", t.want.AccessLogFormat),
			"AccessLogPatch", object("Description", "Both, as --patch-operations of aws apigateway update-stage", "Value", t.patch()),
		),
	)
}

func resource(kind string, properties *yaml.Node) *yaml.Node {
	return object("Type", kind, "Properties", properties)
}

func ref(name string) *yaml.Node { return scalar("!Ref", name) }

func (t *template) tags() *yaml.Node {
	all := list()
	tags := t.Tags()
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all.Content = append(all.Content, object("Key", key, "Value", tags[key]))
	}
	return all
}

func (t *template) bucket() *yaml.Node {
	rules := list()
	for _, rule := range t.want.Bucket.Rules {
		n := object("Id", aws.ToString(rule.ID), "Status", string(rule.Status))
		add := func(name string, v any) { n.Content = append(n.Content, value(name), value(v)) }
		if prefix := aws.ToString(rule.Filter.Prefix); prefix != "" {
			add("Prefix", prefix)
		}
		if a := rule.AbortIncompleteMultipartUpload; a != nil {
			add("AbortIncompleteMultipartUpload", object("DaysAfterInitiation", aws.ToInt32(a.DaysAfterInitiation)))
		}
		if e := rule.Expiration; e != nil {
			add("ExpirationInDays", aws.ToInt32(e.Days))
		}
		if e := rule.NoncurrentVersionExpiration; e != nil {
			add("NoncurrentVersionExpiration", object("NoncurrentDays", aws.ToInt32(e.NoncurrentDays)))
		}
		rules.Content = append(rules.Content, n)
	}
	return object("Type", "AWS::S3::Bucket", "DeletionPolicy", "Retain", "UpdateReplacePolicy", "Retain", "Properties", object(
		"BucketName", t.Bucket(),
		"PublicAccessBlockConfiguration", object(
			"BlockPublicAcls", true, "IgnorePublicAcls", true, "BlockPublicPolicy", true, "RestrictPublicBuckets", true),
		"OwnershipControls", object("Rules", list(object("ObjectOwnership", "BucketOwnerEnforced"))),
		"BucketEncryption", t.encryption(),
		"LifecycleConfiguration", object("Rules", rules),
		"Tags", t.tags(),
	))
}

// encryption returns the default encryption, nil to keep S3's.
func (t *template) encryption() any {
	want := t.want.Bucket
	if want.Encryption == "" {
		return nil
	}
	by, rule := object("SSEAlgorithm", string(want.Encryption)), object()
	if want.Key != "" {
		by.Content = append(by.Content, value("KMSMasterKeyID"), value(want.Key))
		rule = object("BucketKeyEnabled", true)
	}
	rule.Content = append(rule.Content, value("ServerSideEncryptionByDefault"), by)
	return object("ServerSideEncryptionConfiguration", list(rule))
}

func (t *template) logGroup(g desired.LogGroup) *yaml.Node {
	return resource("AWS::Logs::LogGroup", object(
		"LogGroupName", g.Name, "RetentionInDays", days(g), "KmsKeyId", given(g.Key), "Tags", t.tags()))
}

// role returns nil for an existing role.
func (t *template) role(r desired.Role) any {
	if r.Given {
		return nil
	}
	return resource("AWS::IAM::Role", object(
		"RoleName", r.Name,
		"Path", path(r),
		"PermissionsBoundary", given(r.Boundary),
		"Description", r.Description,
		"AssumeRolePolicyDocument", r.Trust,
		"Policies", list(object("PolicyName", desired.RolePolicy, "PolicyDocument", r.Permissions)),
		"Tags", t.tags(),
	))
}

func (t *template) function() *yaml.Node {
	env := texts(t.want.Function.Environment) // without the secret
	if t.hashes() {
		env.Content = append(env.Content, value(desired.SaltVariable), ref("HashSalt"))
	}
	return object("Type", "AWS::Lambda::Function",
		"DependsOn", "FunctionLogGroup", // otherwise Lambda creates one without retention
		"Metadata", object("ZipSha256", t.zipBase64()),
		"Properties", object(
			"FunctionName", t.Function(),
			"Description", t.want.Function.Description,
			"Runtime", string(t.want.Function.Runtime),
			"Handler", t.want.Function.Handler,
			"Architectures", list(t.Architecture),
			"MemorySize", t.Pipeline.AWS.Memory,
			"Timeout", t.want.Function.Timeout,
			"Role", t.FunctionRoleARN(),
			"KmsKeyArn", given(t.want.Function.Key),
			"Code", object("S3Bucket", ref("CodeBucket"), "S3Key", ref("CodeKey")),
			"Environment", object("Variables", env),
			"Tags", t.tags(),
		))
}

func (t *template) stream() *yaml.Node {
	to := t.want.Destination
	processors := list()
	for _, p := range to.ProcessingConfiguration.Processors {
		parameters := list()
		for _, param := range p.Parameters {
			parameters.Content = append(parameters.Content, object(
				"ParameterName", string(param.ParameterName), "ParameterValue", aws.ToString(param.ParameterValue)))
		}
		processors.Content = append(processors.Content, object("Type", string(p.Type), "Parameters", parameters))
	}
	destination := object(
		"RoleARN", aws.ToString(to.RoleARN),
		"BucketARN", aws.ToString(to.BucketARN),
		"Prefix", optional(to.Prefix),
		"ErrorOutputPrefix", optional(to.ErrorOutputPrefix),
		"BufferingHints", object(
			"IntervalInSeconds", aws.ToInt32(to.BufferingHints.IntervalInSeconds),
			"SizeInMBs", aws.ToInt32(to.BufferingHints.SizeInMBs)),
		"CompressionFormat", string(to.CompressionFormat),
		"CloudWatchLoggingOptions", object(
			"Enabled", aws.ToBool(to.CloudWatchLoggingOptions.Enabled),
			"LogGroupName", ref("FirehoseLogGroup"),
			"LogStreamName", ref("FirehoseLogStream")),
		"ProcessingConfiguration", object("Enabled", aws.ToBool(to.ProcessingConfiguration.Enabled), "Processors", processors),
		"S3BackupMode", string(to.S3BackupMode),
	)
	if e := to.EncryptionConfiguration; e != nil {
		destination.Content = append(destination.Content, value("EncryptionConfiguration"),
			object("KMSEncryptionConfig", object("AWSKMSKeyARN", aws.ToString(e.KMSEncryptionConfig.AWSKMSKeyARN))))
	}
	if t.want.Table != nil {
		destination.Content = append(destination.Content, value("DataFormatConversionConfiguration"), t.formatConversion())
	}
	return resource("AWS::KinesisFirehose::DeliveryStream", object(
		"DeliveryStreamName", t.Stream(),
		"DeliveryStreamType", "DirectPut",
		"ExtendedS3DestinationConfiguration", destination,
		"Tags", t.tags(),
	))
}

// reference replaces placeholders, and ARNs with them, by references.
func (t *template) reference(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.ScalarNode && !known(n.Value) {
		*n = *t.text(n.Value)
	}
	for _, c := range n.Content {
		t.reference(c)
	}
	return n
}

// text returns s as !Sub, or as !Ref or !GetAtt if s is a single reference. It
// escapes "${" of the original text.
func (t *template) text(s string) *yaml.Node {
	bucket := "${Bucket.Arn}"
	if t.want.Bucket.Others {
		bucket = "arn:${AWS::Partition}:s3:::" + t.Bucket()
	}
	s = strings.NewReplacer(
		"${", "${!",
		t.RoleARN(t.FunctionRole()), "${FunctionRole.Arn}",
		t.RoleARN(t.FirehoseRole()), "${FirehoseRole.Arn}",
		t.FunctionARN(), "${Function.Arn}",
		t.BucketARN(), bucket,
		t.StreamARN(), "${Stream.Arn}",
		partition, "${AWS::Partition}",
		region, "${AWS::Region}",
		account, "${AWS::AccountId}",
	).Replace(s)
	name, whole := strings.CutPrefix(s, "${")
	name, end := strings.CutSuffix(name, "}")
	switch {
	case !whole || !end || strings.ContainsAny(name, "${}"):
		return scalar("!Sub", s)
	case strings.Contains(name, "."):
		return scalar("!GetAtt", name)
	}
	return ref(name)
}

func (t *template) database() *yaml.Node {
	return resource("AWS::Glue::Database", object(
		"CatalogId", account,
		"DatabaseInput", object("Name", t.Pipeline.Database(), "Description", aws.ToString(t.want.Database.Description),
			"Parameters", object(desired.OwnerTag, t.Owner())),
	))
}

func (t *template) table() *yaml.Node {
	want := t.want.Table
	d := want.StorageDescriptor
	columns := func(all []glue.Column) *yaml.Node {
		n := list()
		for _, c := range all {
			n.Content = append(n.Content, object("Name", aws.ToString(c.Name), "Type", aws.ToString(c.Type)))
		}
		return n
	}
	return resource("AWS::Glue::Table", object(
		"CatalogId", account,
		"DatabaseName", ref("Database"),
		"TableInput", object(
			"Name", aws.ToString(want.Name),
			"Description", aws.ToString(want.Description),
			"TableType", aws.ToString(want.TableType),
			"Parameters", texts(want.Parameters),
			"PartitionKeys", columns(want.PartitionKeys),
			"StorageDescriptor", object(
				"Columns", columns(d.Columns),
				"Location", aws.ToString(d.Location),
				"InputFormat", aws.ToString(d.InputFormat),
				"OutputFormat", aws.ToString(d.OutputFormat),
				"SerdeInfo", object("SerializationLibrary", aws.ToString(d.SerdeInfo.SerializationLibrary), "Parameters", texts(d.SerdeInfo.Parameters)),
			),
		),
	))
}

// texts returns a mapping of strings, sorted by name.
func texts(m map[string]string) *yaml.Node {
	n := object()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		n.Content = append(n.Content, value(name), value(m[name]))
	}
	return n
}

func (t *template) formatConversion() *yaml.Node {
	c := t.want.Destination.DataFormatConversionConfiguration
	return object(
		"Enabled", true,
		"InputFormatConfiguration", object("Deserializer", object("OpenXJsonSerDe", object())),
		"OutputFormatConfiguration", object("Serializer", object("ParquetSerDe",
			object("Compression", string(c.OutputFormatConfiguration.Serializer.ParquetSerDe.Compression)))),
		"SchemaConfiguration", object(
			"RoleARN", aws.ToString(c.SchemaConfiguration.RoleARN),
			"DatabaseName", ref("Database"),
			"TableName", ref("Table"),
			"Region", aws.ToString(c.SchemaConfiguration.Region),
			"VersionId", aws.ToString(c.SchemaConfiguration.VersionId),
		),
	)
}
