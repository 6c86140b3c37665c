package provision

import (
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// wantOf returns the resources of a valid pipeline.
func wantOf(s *desired.Spec) *desired.Resources {
	d, err := desired.New(s)
	if err != nil {
		panic(err)
	}
	return d
}

func newFunctionRole(s *desired.Spec, c *Clients) *role {
	return newRole(s, wantOf(s).FunctionRole, c)
}

func newFirehoseRole(s *desired.Spec, c *Clients) *role {
	return newRole(s, wantOf(s).FirehoseRole, c)
}

func newStage(d *desired.Resources, c *Clients, ref record.StageRef) *Stage {
	return newStages(d, c, []record.StageRef{ref})[0]
}
