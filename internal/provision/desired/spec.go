package desired

import (
	"time"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/record"
)

// OwnerTag is the key of the tag that every resource of a pipeline carries. Its value is
// Spec.Owner.
const OwnerTag = "stagelog"

// Spec is a pipeline placed in one account and Region. Its methods name the resources.
type Spec struct {
	Pipeline  *config.Pipeline
	Partition string // aws, aws-cn, aws-us-gov
	Region    string
	Account   string // 12 digits

	// Zip is the enrichment function's deployment package, and Architecture what it was
	// built for: "arm64" or "x86_64". A plan may be made without a zip: the code is then
	// not compared.
	Zip          []byte
	Architecture string

	// Builtin is a function that the process behind the endpoint provides: it has no zip, and nothing creates it.
	Builtin bool
	// ForeignBucket is a bucket at another endpoint than the other resources, whose account is not known.
	ForeignBucket bool
}

// Owner returns the value of the OwnerTag of everything that belongs to the pipeline. The Region
// is part of it because roles have none of their own.
func (s *Spec) Owner() string { return s.Region + "/" + s.Pipeline.Name }

// Bucket returns the name of the bucket.
func (s *Spec) Bucket() string { return s.Pipeline.Bucket }

// WithBucket returns the same pipeline with another bucket.
func (s *Spec) WithBucket(name string) *Spec {
	with, p := *s, *s.Pipeline
	p.Bucket, with.Pipeline = name, &p
	return &with
}

// BucketARN returns the bucket's ARN; S3's ARNs have neither Region nor account.
func (s *Spec) BucketARN() string { return "arn:" + s.Partition + ":s3:::" + s.Bucket() }

// Stream returns the name of the delivery stream.
func (s *Spec) Stream() string { return s.Pipeline.Stream() }

// StreamARN returns the delivery stream's ARN, the destination of access logs.
func (s *Spec) StreamARN() string { return s.arn("firehose", "deliverystream/"+s.Stream()) }

// StreamLogGroup returns the log group for the errors of the stream.
func (s *Spec) StreamLogGroup() string { return StreamLogGroup(s.Stream()) }

// StreamLogGroup returns the log group that Firehose's console makes for the errors of a stream. They are written to the log
// stream DeliveryLogStream.
func StreamLogGroup(stream string) string { return "/aws/kinesisfirehose/" + stream }

// DeliveryLogStream is the log stream in StreamLogGroup. Firehose does not make it.
const DeliveryLogStream = "S3Delivery"

// Function returns the name of the enrichment function.
func (s *Spec) Function() string { return s.Pipeline.Function() }

// FunctionARN returns the unqualified ARN of the enrichment function.
func (s *Spec) FunctionARN() string { return s.arn("lambda", "function:"+s.Function()) }

// FunctionLogGroup returns the log group that Lambda writes the function's log to.
func (s *Spec) FunctionLogGroup() string { return "/aws/lambda/" + s.Function() }

// FunctionRole returns the name of the role that the function runs with.
func (s *Spec) FunctionRole() string { return s.Pipeline.Function() + "-function" }

// FunctionInterval returns how long the stream gathers records for one call of the function: not longer than for an object,
// or the object would wait for the function's buffer.
func (s *Spec) FunctionInterval() time.Duration {
	return min(s.Pipeline.Deliver.Interval, record.DefaultFunctionInterval)
}

// FirehoseRole returns the name of the role that the delivery stream acts with.
func (s *Spec) FirehoseRole() string { return s.Pipeline.Function() + "-firehose" }

// RoleARN returns the ARN of one of the pipeline's roles.
func (s *Spec) RoleARN(role string) string {
	return "arn:" + s.Partition + ":iam::" + s.Account + ":role/" + role
}

// LogGroupARN returns the ARN of a log group, without the ":*" that stands for its log streams.
func (s *Spec) LogGroupARN(group string) string { return s.arn("logs", "log-group:"+group) }

func (s *Spec) arn(service, resource string) string {
	return "arn:" + s.Partition + ":" + service + ":" + s.Region + ":" + s.Account + ":" + resource
}

// SnapshotKey is the object that the functions of a pipeline share: the usage plans and customers, without key values, outside
// of what readers may get.
const SnapshotKey = StatePrefix + "directory.json"

// PreviousLoggingKey returns the object that keeps a stage's access log settings as they were before deploy replaced them, so
// that destroy can restore them.
func PreviousLoggingKey(st record.StageRef) string {
	return PreviousLoggingPrefix + st.API + "/" + st.Stage + ".json"
}

// What stagelog keeps for itself in the bucket. The names are in users' buckets, and do not change.
const (
	StatePrefix           = "stagelog/"
	PreviousLoggingPrefix = StatePrefix + "former/"
)
