package provision

import (
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// newFirehoseRole is the role that the delivery stream acts with.
func newFirehoseRole(s *Spec, c *Clients) *role {
	return &role{
		s: s, c: c.IAM, name: s.FirehoseRole(),
		description: "What the delivery stream " + s.Stream() + " may do in " + s.Region,
		trust:       policy.FirehoseTrust(s.Account),
		permissions: s.FirehosePolicy(),
	}
}

// FirehosePolicy is what the delivery stream may do.
func (s *Spec) FirehosePolicy() policy.Document {
	p := policy.FirehosePermissions{
		Partition: s.Partition, Region: s.Region, Account: s.Account,
		Bucket: s.Bucket(), Function: s.Function(), LogGroup: s.StreamLogGroup(),
	}
	if s.Pipeline.Deliver.Parquet {
		p.Database, p.Table = s.Pipeline.Database(), config.LinesTable
	}
	return policy.Firehose(p)
}
