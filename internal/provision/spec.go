package provision

import (
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/record"
)

// OwnerTag is the key of the tag that every resource of a pipeline carries. Its value is
// Spec.Owner.
const OwnerTag = "stagelog"

// Spec is a pipeline placed in one account and Region: what each resource is to be.
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
}

// Owner is the value of the OwnerTag of everything that belongs to the pipeline. The Region
// is part of it because roles have none of their own.
func (s *Spec) Owner() string { return s.Region + "/" + s.Pipeline.Name }

// Bucket is the name of the bucket.
func (s *Spec) Bucket() string { return s.Pipeline.Bucket }

// withBucket is the same pipeline with another bucket.
func (s *Spec) withBucket(name string) *Spec {
	with, p := *s, *s.Pipeline
	p.Bucket, with.Pipeline = name, &p
	return &with
}

// BucketARN is the bucket's ARN; S3's ARNs have neither Region nor account.
func (s *Spec) BucketARN() string { return "arn:" + s.Partition + ":s3:::" + s.Bucket() }

// Stream is the name of the delivery stream.
func (s *Spec) Stream() string { return s.Pipeline.Stream() }

// StreamARN is the delivery stream's ARN, the destination of access logs.
func (s *Spec) StreamARN() string { return s.arn("firehose", "deliverystream/"+s.Stream()) }

// StreamLogGroup is where Firehose writes what it could not deliver, to the log stream DeliveryLogStream.
func (s *Spec) StreamLogGroup() string { return "/aws/kinesisfirehose/" + s.Stream() }

// DeliveryLogStream is the log stream in StreamLogGroup. Firehose does not make it.
const DeliveryLogStream = "S3Delivery"

// Function is the name of the enrichment function.
func (s *Spec) Function() string { return s.Pipeline.Function() }

// FunctionARN is the unqualified ARN of the enrichment function.
func (s *Spec) FunctionARN() string { return s.arn("lambda", "function:"+s.Function()) }

// FunctionLogGroup is where Lambda writes the function's log.
func (s *Spec) FunctionLogGroup() string { return "/aws/lambda/" + s.Function() }

// FunctionRole is the name of the role that the function runs with.
func (s *Spec) FunctionRole() string { return s.Pipeline.Function() + "-function" }

// FirehoseRole is the name of the role that the delivery stream acts with.
func (s *Spec) FirehoseRole() string { return s.Pipeline.Function() + "-firehose" }

// RoleARN is the ARN of one of the pipeline's roles.
func (s *Spec) RoleARN(role string) string {
	return "arn:" + s.Partition + ":iam::" + s.Account + ":role/" + role
}

// LogGroupARN is the ARN of a log group, without the ":*" that stands for its log streams.
func (s *Spec) LogGroupARN(group string) string { return s.arn("logs", "log-group:"+group) }

func (s *Spec) arn(service, resource string) string {
	return "arn:" + s.Partition + ":" + service + ":" + s.Region + ":" + s.Account + ":" + resource
}

// SnapshotKey is the object that the functions of a pipeline share: the directory of usage
// plans and customers, without key values, outside of what readers may get.
func (s *Spec) SnapshotKey() string { return statePrefix + "directory.json" }

// FormerKey is the object that remembers a stage's access log settings as they were before
// deploy replaced them, so that destroy can put them back.
func (s *Spec) FormerKey(st record.StageRef) string {
	return statePrefix + "former/" + st.API + "/" + st.Stage + ".json"
}

// statePrefix is what stagelog keeps for itself in the bucket.
const statePrefix = "stagelog/"
