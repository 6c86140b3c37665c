package provision

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// Values are what deploy asks AWS for, beside what the Spec's own methods say, so that the
// same can be written down in another language.
type Values struct {
	Rules               []s3types.LifecycleRule
	BucketPolicy        policy.Document
	FunctionDescription string
	FunctionRole        RoleValues
	FirehoseRole        RoleValues
	Destination         *types.ExtendedS3DestinationConfiguration
	AccessLogFormat     string // with the newline at its end
	// Table is the one whose columns Firehose converts to Parquet with; nil is none.
	Table *gluetypes.TableInput
}

// RoleValues are one role's. Its one inline policy is called RolePolicy.
type RoleValues struct {
	Name        string
	Description string
	Trust       policy.Document
	Permissions policy.Document
}

// RolePolicy is the name of the inline policy of each role.
const RolePolicy = rolePolicy

// Values refuses what deploy would refuse without asking AWS.
func (s *Spec) Values() (Values, error) {
	bucket := &Bucket{s: s}
	if err := bucket.expirable(); err != nil {
		return Values{}, err
	}
	format := (&Stage{s: s}).format()
	if err := accesslog.ValidateAccessLogFormat(format); err != nil {
		return Values{}, fmt.Errorf("API Gateway would refuse the format: %w; `stagelog format lint` says more", err)
	}
	var table *gluetypes.TableInput
	if s.Pipeline.Deliver.Parquet {
		var err error
		if table, err = s.Table(); err != nil {
			return Values{}, err
		}
	}
	none := &Clients{S3: s3.New(s3.Options{})}
	role := func(r *role) RoleValues { return RoleValues{r.name, r.description, r.trust, r.permissions} }
	return Values{
		Rules:               bucket.wantedRules(),
		BucketPolicy:        newBucketPolicy(s, none).wanted(),
		FunctionDescription: functionDescription,
		FunctionRole:        role(newFunctionRole(s, none)),
		FirehoseRole:        role(newFirehoseRole(s, none)),
		Destination:         newStream(s, none).wanted(),
		AccessLogFormat:     format,
		Table:               table,
	}, nil
}
