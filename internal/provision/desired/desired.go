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

// Resources are what should exist for a pipeline. Each carries the OwnerTag.
type Resources struct {
	Spec         *Spec
	Bucket       Bucket
	BucketPolicy policy.Document // the pipeline's statements
	StreamLog    LogGroup
	FunctionLog  LogGroup
	FunctionRole Role
	Function     Function
	FirehoseRole Role
	Database     *gluetypes.DatabaseInput // nil unless objects are Parquet
	Table        *gluetypes.TableInput    // whose columns Firehose converts with; nil unless objects are Parquet
	Destination  *types.ExtendedS3DestinationConfiguration
	// AccessLogFormat is that of each stage in Spec.Pipeline.Stages. It ends in a newline: without a function that adds it,
	// records stand one a line all the same.
	AccessLogFormat string
}

// LogGroup is a CloudWatch log group.
type LogGroup struct {
	Name   string
	Stream string // a log stream that must exist in it; "" for none
	Days   int32  // of retention
}

// Role is an IAM role with one inline policy, called RolePolicy.
type Role struct {
	Name        string
	Description string
	Trust       policy.Document
	Permissions policy.Document
}

// RolePolicy is the name of the inline policy of each role.
const RolePolicy = "stagelog"

// New returns the resources of a pipeline. An error means that AWS would refuse them, or that they would destroy data.
func New(s *Spec) (*Resources, error) {
	p := s.Pipeline
	d := &Resources{
		Spec: s, Bucket: s.bucket(), BucketPolicy: s.bucketPolicy(),
		StreamLog:    LogGroup{s.StreamLogGroup(), DeliveryLogStream, int32(p.AWS.LogDays)},
		FunctionLog:  LogGroup{s.FunctionLogGroup(), "", int32(p.AWS.LogDays)},
		FunctionRole: s.functionRole(), Function: s.function(),
		FirehoseRole: s.firehoseRole(), Destination: s.destination(),
		AccessLogFormat: OneLine(p.Format) + "\n",
	}
	if err := checkExpiries(s); err != nil {
		return nil, fmt.Errorf("S3 bucket %s: %w", s.Bucket(), err)
	}
	if err := accesslog.ValidateAccessLogFormat(d.AccessLogFormat); err != nil {
		return nil, fmt.Errorf("API Gateway would refuse the format: %w; `stagelog format lint` shows more", err)
	}
	if !p.Deliver.Parquet {
		return d, nil
	}
	return d, d.addTable()
}

func (s *Spec) bucketPolicy() policy.Document {
	return policy.Bucket(policy.BucketPermissions{
		Partition: s.Partition, Bucket: s.Bucket(), Prefix: s.Pipeline.Deliver.Prefix,
		Private: []string{s.Pipeline.Deliver.ErrorPrefix, StatePrefix}, Readers: s.Pipeline.Readers,
	})
}

func (s *Spec) functionRole() Role {
	return Role{
		Name:        s.FunctionRole(),
		Description: "What the enrichment function " + s.Function() + " may do in " + s.Region,
		Trust:       policy.FunctionTrust(),
		Permissions: policy.Function(policy.FunctionPermissions{
			Partition: s.Partition, Region: s.Region, Account: s.Account,
			LogGroup: s.FunctionLogGroup(), Bucket: s.Bucket(), SnapshotKey: SnapshotKey,
		}),
	}
}

func (s *Spec) firehoseRole() Role {
	permissions := policy.FirehosePermissions{
		Partition: s.Partition, Region: s.Region, Account: s.Account,
		Bucket: s.Bucket(), Function: s.Function(), LogGroup: s.StreamLogGroup(),
	}
	if s.Pipeline.Deliver.Parquet {
		permissions.Database, permissions.Table = s.Pipeline.Database(), config.LinesTable
	}
	return Role{
		Name:        s.FirehoseRole(),
		Description: "What the delivery stream " + s.Stream() + " may do in " + s.Region,
		Trust:       policy.FirehoseTrust(s.Account),
		Permissions: policy.Firehose(permissions),
	}
}

// OneLine returns a format without the newline at its end, which is the one thing that others may have added or removed.
func OneLine(format string) string { return strings.TrimRight(format, "\r\n") }
