package rights

import (
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// Use is a line of the table, for a pipeline.
type Use struct {
	Operation string
	By        Command
	Optional  bool
	Own       bool // the operation's own action, not one that is authorized with it
	Statement policy.Statement
}

// Uses returns the table for a pipeline.
func Uses(d *desired.Resources, o Options) (all []Use) {
	for _, u := range uses {
		actions := strings.Fields(u.actions)
		all = append(all, Use{u.operation, u.by, u.purpose != "", len(actions) > 0 && actions[0] == Action(u.operation), u.on.statement(pipeline{d, o.DeleteBucket, false}, actions)})
	}
	return all
}

// Matches reports whether a call is of this line's operation, on a resource of the line.
func (u Use) Matches(c moto.Call) bool {
	return c.Operation == u.Operation && (!u.Own || len(u.Statement.Actions) == 0 ||
		slices.ContainsFunc(c.Resources, func(resource string) bool {
			return allows(policy.Document{Version: policy.Version, Statements: []policy.Statement{u.Statement}}, u.Statement.Actions[0], resource)
		}))
}
