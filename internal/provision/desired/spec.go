package desired

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/record"
)

// OwnerTag is the key of the tag on every resource of a pipeline. Its value is Spec.Owner.
const OwnerTag = "stagelog"

// Spec is a pipeline placed in one account and Region. Its methods name the resources.
type Spec struct {
	Pipeline  *config.Pipeline
	Partition string // record.Partition lists them
	Region    string
	Account   string // 12 digits

	// Zip is the enrichment function's deployment package, and Architecture its target:
	// "arm64" or "x86_64". Without a zip, a plan does not compare the code.
	Zip          []byte
	Architecture string

	// KeptRoles lists those of OldRoles that the pipeline has, and keeps.
	KeptRoles []string

	// StagesElsewhere means that the stages' owners set their access logs: deploy and destroy do not change stages.
	StagesElsewhere bool

	// Builtin means that the process behind the endpoint provides the function: it has no zip and is not created.
	Builtin bool
	// ForeignBucket means that the bucket is at another endpoint than the other resources, so its account is unknown.
	ForeignBucket bool
}

// Owner returns the value of the pipeline's OwnerTag. It includes the Region because IAM roles are
// global.
func (s *Spec) Owner() string { return s.Region + "/" + s.Pipeline.Name }

// Bucket returns the name of the bucket.
func (s *Spec) Bucket() string { return s.Pipeline.Bucket }

// WithBucket returns the same pipeline with another bucket, which belongs to the pipeline's account unless it is the same one.
func (s *Spec) WithBucket(name string) *Spec {
	with, p := *s, *s.Pipeline
	if name != p.Bucket {
		p.AWS.BucketAccount = ""
	}
	p.Bucket, with.Pipeline = name, &p
	return &with
}

// BucketAccount returns the account that owns the bucket.
func (s *Spec) BucketAccount() string { return cmp.Or(s.Pipeline.AWS.BucketAccount, s.Account) }

// OthersBucket reports whether the bucket belongs to another account, which alone can change its settings.
func (s *Spec) OthersBucket() bool { return s.Pipeline.OthersBucket() }

// BucketARN returns the bucket's ARN; S3's ARNs have neither Region nor account.
func (s *Spec) BucketARN() string { return "arn:" + s.Partition + ":s3:::" + s.Bucket() }

// Stream returns the name of the delivery stream.
func (s *Spec) Stream() string { return s.Pipeline.Stream() }

// StreamARN returns the delivery stream's ARN, the destination of access logs.
func (s *Spec) StreamARN() string { return s.arn("firehose", "deliverystream/"+s.Stream()) }

// StreamLogGroup returns the log group for the errors of the stream.
func (s *Spec) StreamLogGroup() string { return StreamLogGroup(s.Stream()) }

// StreamLogGroup returns the log group that the Firehose console creates for a stream's errors. They are written to the log
// stream DeliveryLogStream.
func StreamLogGroup(stream string) string { return "/aws/kinesisfirehose/" + stream }

// DeliveryLogStream is the log stream in StreamLogGroup. Firehose does not create it.
const DeliveryLogStream = "S3Delivery"

// Function returns the name of the enrichment function.
func (s *Spec) Function() string { return s.Pipeline.Function() }

// FunctionARN returns the unqualified ARN of the enrichment function.
func (s *Spec) FunctionARN() string { return s.arn("lambda", "function:"+s.Function()) }

// FunctionLogGroup returns the log group that Lambda writes the function's log to.
func (s *Spec) FunctionLogGroup() string { return "/aws/lambda/" + s.Function() }

// FunctionRole returns the name of the role that the function runs with.
func (s *Spec) FunctionRole() string { return s.roleName(functionSuffix) }

// FunctionInterval returns how long the stream buffers records for one call of the function: at most as long as for an object,
// so that the object does not wait for the function's buffer.
func (s *Spec) FunctionInterval() time.Duration {
	return min(s.Pipeline.Deliver.Interval, record.DefaultFunctionInterval)
}

// FirehoseRole returns the name of the delivery stream's role.
func (s *Spec) FirehoseRole() string { return s.roleName(firehoseSuffix) }

const (
	functionSuffix = "-function"
	firehoseSuffix = "-firehose"

	// maxRoleName is IAM's limit: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	maxRoleName = 64
	// maxRegion is more than the longest Region's name has. A name is cut off by it and not by the Region, so that an export that
	// does not know the Region has the same name.
	maxRegion = 16
)

// roleName returns the name of a role, like stagelog-acme-function.eu-west-1. It includes the Region because IAM roles are
// global. No pipeline's name contains a dot, so a name with a Region or a hash is never that of another pipeline's role. The
// hash stands for what is cut off from a name that is too long.
func (s *Spec) roleName(suffix string) string {
	if old := s.Pipeline.Function() + suffix; slices.Contains(s.KeptRoles, old) {
		return old
	}
	name, suffix := s.Pipeline.Function(), suffix+"."
	if len(name)+len(suffix)+maxRegion > maxRoleName {
		sum := sha256.Sum256([]byte(name))
		suffix = fmt.Sprintf(".%x%s", sum[:4], suffix)
		name = name[:maxRoleName-maxRegion-len(suffix)]
	}
	return name + suffix + s.Region
}

// OldRoles returns the names that earlier versions of stagelog gave to the pipeline's roles, without the Region.
func (s *Spec) OldRoles() []string {
	return []string{s.Pipeline.Function() + functionSuffix, s.Pipeline.Function() + firehoseSuffix}
}

// RoleARN returns the ARN of one of the roles that deploy creates.
func (s *Spec) RoleARN(role string) string {
	return "arn:" + s.Partition + ":iam::" + s.Account + ":role" + s.RolePath() + role
}

// RolePath returns the path of the roles that deploy creates.
func (s *Spec) RolePath() string { return cmp.Or(s.Pipeline.AWS.RolePath, "/") }

// FunctionRoleARN returns the ARN of the role that the function runs with.
func (s *Spec) FunctionRoleARN() string {
	return cmp.Or(s.Pipeline.AWS.FunctionRole, s.RoleARN(s.FunctionRole()))
}

// FirehoseRoleARN returns the ARN of the delivery stream's role.
func (s *Spec) FirehoseRoleARN() string {
	return cmp.Or(s.Pipeline.AWS.FirehoseRole, s.RoleARN(s.FirehoseRole()))
}

// LogGroupARN returns the ARN of a log group, without the ":*" for its log streams.
func (s *Spec) LogGroupARN(group string) string { return s.arn("logs", "log-group:"+group) }

// DatabaseARN returns the ARN of the database in the Glue Data Catalog.
func (s *Spec) DatabaseARN() string { return s.arn("glue", "database/"+s.Pipeline.Database()) }

// AlarmARN returns the ARN of a CloudWatch alarm.
func (s *Spec) AlarmARN(name string) string { return s.arn("cloudwatch", "alarm:"+name) }

func (s *Spec) arn(service, resource string) string {
	return "arn:" + s.Partition + ":" + service + ":" + s.Region + ":" + s.Account + ":" + resource
}

// StatePrefix begins the keys of stagelog's own objects. They exist in users' buckets, so their names must not change.
const StatePrefix = "stagelog/"

// statePrefix returns the prefix of a pipeline's own objects. Several accounts may share the bucket of another one. A nil p is any
// pipeline with a bucket of its own.
func statePrefix(p *config.Pipeline) string {
	if p != nil && p.OthersBucket() {
		return StatePrefix + p.Account + "/" + p.Region + "/" + p.Name + "/"
	}
	return StatePrefix
}

// SnapshotKey returns the object with usage plans and customers, without key values, that all instances of a pipeline's function
// share. Readers cannot get it.
func SnapshotKey(p *config.Pipeline) string { return statePrefix(p) + "directory.json" }

// StatePrefix returns the prefix of the pipeline's own objects.
func (s *Spec) StatePrefix() string { return statePrefix(s.Pipeline) }

// Prefixes returns the prefixes below which the pipeline has objects: delivered ones, error output, and its own.
func (s *Spec) Prefixes() []string {
	var all []string
	for _, e := range expiries(s) {
		all = append(all, e.fixed())
	}
	return append(all, s.StatePrefix())
}

// PreviousLoggingPrefix returns the prefix of the objects that keep previous access log settings.
func (s *Spec) PreviousLoggingPrefix() string { return s.StatePrefix() + "former/" }

// PreviousLoggingKey returns the object that keeps a stage's previous access log settings, so that destroy can restore them.
func (s *Spec) PreviousLoggingKey(st record.StageRef) string {
	return s.PreviousLoggingPrefix() + st.API + "/" + st.Stage + ".json"
}
