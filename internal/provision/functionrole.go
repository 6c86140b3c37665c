package provision

import "github.com/stagelog/stagelog/internal/provision/policy"

// newFunctionRole is the role that the enrichment function runs with.
func newFunctionRole(s *Spec, c *Clients) *role {
	return &role{
		s: s, c: c.IAM, name: s.FunctionRole(),
		description: "What the enrichment function " + s.Function() + " may do in " + s.Region,
		trust:       policy.FunctionTrust(),
		permissions: s.FunctionPolicy(),
	}
}

// FunctionPolicy is what the enrichment function may do.
func (s *Spec) FunctionPolicy() policy.Document {
	return policy.Function(policy.FunctionPermissions{
		Partition: s.Partition, Region: s.Region, Account: s.Account,
		LogGroup: s.FunctionLogGroup(), Bucket: s.Bucket(), SnapshotKey: s.SnapshotKey(),
	})
}
