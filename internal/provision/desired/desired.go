// Package desired turns a pipeline into the resources that should exist for it, as plain data: no clients, no I/O. Deploy, plan,
// doctor, export and up all read it.
package desired

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// Resources are the AWS resources that should exist for a pipeline. Each has the OwnerTag, but the dashboard.
type Resources struct {
	Spec         *Spec
	Bucket       Bucket
	BucketPolicy policy.Document // the pipeline's statements; those that the owner must add if the bucket is another account's
	KeyPolicy    policy.Document // statements that the policy of a KMS key of the bucket must have; its owner adds them
	StreamLog    LogGroup
	FunctionLog  LogGroup
	FunctionRole Role
	Function     Function
	FirehoseRole Role
	Database     *gluetypes.DatabaseInput // nil unless objects are Parquet
	Table        *gluetypes.TableInput    // defines the columns of the conversion; nil unless objects are Parquet
	Destination  *types.ExtendedS3DestinationConfiguration
	Alarms       []Alarm
	Dashboard    *Dashboard // nil without one
	// AccessLogFormat is the format for each stage in Spec.Pipeline.Stages. It ends in a newline, so that there is one record
	// per line even if no function adds the newline.
	AccessLogFormat string
}

// LogGroup is a CloudWatch log group.
type LogGroup struct {
	Name   string
	Stream string // a log stream that must exist in it; "" for none
	Days   int32  // of retention; 0 leaves it unchanged
	Key    string // ARN of its KMS key; "" leaves it unchanged, config.None removes it
}

// Role is an IAM role with one inline policy, called RolePolicy.
type Role struct {
	Name        string
	ARN         string
	Given       bool   // an existing role, which is not created, changed or deleted
	Path        string // with a / at both ends
	Boundary    string // ARN of the permissions boundary; "" leaves it unchanged, config.None removes it
	Description string
	Trust       policy.Document
	Permissions policy.Document
}

// RolePolicy is the name of the inline policy of each role.
const RolePolicy = "stagelog"

// New returns the resources of a pipeline. It returns an error if AWS would reject them, or if they would destroy data.
func New(s *Spec) (*Resources, error) {
	p := s.Pipeline
	d := &Resources{
		Spec: s, Bucket: s.bucket(), BucketPolicy: s.bucketPolicy(), KeyPolicy: s.keyPolicy(),
		StreamLog:    LogGroup{s.StreamLogGroup(), DeliveryLogStream, int32(p.AWS.LogDays), p.AWS.LogKey},
		FunctionLog:  LogGroup{s.FunctionLogGroup(), "", int32(p.AWS.LogDays), p.AWS.LogKey},
		FunctionRole: s.functionRole(), Function: s.function(),
		FirehoseRole: s.firehoseRole(), Destination: s.destination(),
		AccessLogFormat: OneLine(p.Format) + "\n",
	}
	if err := checkExpiries(s); err != nil {
		return nil, fmt.Errorf("S3 bucket %s: %w", s.Bucket(), err)
	}
	if err := accesslog.ValidateAccessLogFormat(d.AccessLogFormat); err != nil {
		return nil, fmt.Errorf("API Gateway would reject the format: %w; run `stagelog format lint` for details", err)
	}
	if p.Deliver.Parquet {
		d.addTable()
	}
	d.addMonitoring()
	return d, nil
}

func (s *Spec) bucketPolicy() policy.Document {
	p := policy.BucketPermissions{
		Partition: s.Partition, Bucket: s.Bucket(), Prefix: s.Pipeline.Deliver.Prefix,
		Private: []string{s.Pipeline.Deliver.ErrorPrefix, StatePrefix}, Readers: s.Pipeline.Readers,
	}
	if s.OthersBucket() {
		p.Writer = policy.Writer{Account: s.Account, Firehose: s.FirehoseRoleARN(), Function: s.FunctionRoleARN(), State: s.StatePrefix(), Errors: s.Pipeline.Deliver.ErrorPrefix}
	}
	return policy.Bucket(p)
}

// keyPolicy returns what the policy of a KMS key must allow: the roles to encrypt, and the readers to decrypt.
func (s *Spec) keyPolicy() policy.Document {
	return policy.Key(policy.KeyPermissions{
		Partition: s.Partition, Region: s.Region, Account: s.Account,
		Roles: []string{s.FirehoseRoleARN(), s.FunctionRoleARN()}, Readers: s.Pipeline.Readers,
	})
}

// keyPattern returns the KMS keys that the bucket may be encrypted with; "" for none.
func (s *Spec) keyPattern() string {
	if s.Pipeline.AWS.KeepEncryption { // the bucket's owner may change the key at any time
		return "arn:" + s.Partition + ":kms:" + s.Region + ":*:key/*"
	}
	return s.Pipeline.AWS.KMSKey
}

func (s *Spec) functionRole() Role {
	return Role{
		Name: s.FunctionRole(), ARN: s.FunctionRoleARN(), Given: s.Pipeline.AWS.FunctionRole != "",
		Path: s.RolePath(), Boundary: s.Pipeline.AWS.PermissionsBoundary,
		Description: "Permissions of the enrichment function " + s.Function() + " in " + s.Region,
		Trust:       policy.FunctionTrust(),
		Permissions: policy.Function(policy.FunctionPermissions{
			Partition: s.Partition, Region: s.Region, Account: s.Account,
			LogGroup: s.FunctionLogGroup(), Bucket: s.Bucket(), BucketAccount: s.BucketAccount(), SnapshotKey: SnapshotKey(s.Pipeline), Key: s.keyPattern(),
		}),
	}
}

func (s *Spec) firehoseRole() Role {
	permissions := policy.FirehosePermissions{
		Partition: s.Partition, Region: s.Region, Account: s.Account,
		Bucket: s.Bucket(), BucketAccount: s.BucketAccount(), Key: s.keyPattern(), Function: s.Function(), LogGroup: s.StreamLogGroup(),
	}
	if s.Pipeline.Deliver.Parquet {
		permissions.Database, permissions.Table = s.Pipeline.Database(), config.LinesTable
	}
	return Role{
		Name: s.FirehoseRole(), ARN: s.FirehoseRoleARN(), Given: s.Pipeline.AWS.FirehoseRole != "",
		Path: s.RolePath(), Boundary: s.Pipeline.AWS.PermissionsBoundary,
		Description: "Permissions of the delivery stream " + s.Stream() + " in " + s.Region,
		Trust:       policy.FirehoseTrust(s.Account),
		Permissions: policy.Firehose(permissions),
	}
}

// OneLine returns a format without its trailing newline, which consoles and other tools add or remove.
func OneLine(format string) string { return strings.TrimRight(format, "\r\n") }
