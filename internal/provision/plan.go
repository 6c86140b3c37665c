package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Action is what a plan does to one resource.
type Action string

const (
	Create  Action = "create"
	Change  Action = "change"
	Adopt   Action = "adopt"   // a resource that is not the pipeline's, with AdoptFlag
	Replace Action = "replace" // access log settings of others, with ReplaceFlag; they are kept for destroy
	NoOp    Action = "no-op"   // it is as wanted
	Blocked Action = "blocked" // it is not the pipeline's, and the required flag was not given
	Restore Action = "restore" // a stage that left the pipeline gets its previous settings back
)

// Step is what a plan does to one resource.
type Step struct {
	Kind         string   `json:"kind"`
	Name         string   `json:"name"`
	Action       Action   `json:"action"`
	Changes      []Field  `json:"changes,omitempty"`
	RequiredFlag Flag     `json:"required_flag,omitempty"` // that would unblock it
	Reason       string   `json:"reason,omitempty"`        // whose it is, where a flag is required or was given
	Notes        []string `json:"notes,omitempty"`

	resource Resource
}

// OfStage says whether the step is about the access logs of a stage, which itself is there in any
// case.
func (s Step) OfStage() bool {
	_, ok := s.resource.(*Stage)
	return ok
}

// Plan is what must happen for AWS to be as the pipeline wants it, in the order in which it
// will happen.
type Plan struct {
	Steps []Step
}

// ToDo is how many steps change something, or would with the required flag.
func (p *Plan) ToDo() int { return len(p.Steps) - p.count(NoOp) }

// Blocked returns the steps that require a flag.
func (p *Plan) Blocked() []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Action != Blocked })
}

// Counts is how many steps there are of each action.
func (p *Plan) Counts() map[Action]int {
	counts := map[Action]int{}
	for _, s := range p.Steps {
		counts[s.Action]++
	}
	return counts
}

func (p *Plan) count(a Action) int { return p.Counts()[a] }

// readers is how many resources are read at once: API Gateway's whole control plane has 10
// calls a second.
const readers = 4

// MakePlan reads every resource of a pipeline and compares. It changes nothing. The error
// has all that cannot be known or can never be, each with its resource, not the first alone.
func MakePlan(ctx context.Context, s *desired.Spec, c *Clients, given []Flag) (*Plan, error) {
	d, err := desired.New(s)
	if err != nil {
		return nil, err
	}
	resources := Resources(d, c)
	found, err := readAll(ctx, resources, func(error) bool { return false })
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	for i, r := range resources {
		plan.Steps = append(plan.Steps, makeStep(r, found[i], given))
	}
	left, err := LeftStages(ctx, s, c)
	if err != nil {
		return nil, Explain(err)
	}
	for _, st := range left {
		r := newStage(d, c, st)
		plan.Steps = append(plan.Steps, Step{Kind: r.Kind(), Name: r.Name(), Action: Restore, Reason: "it is no longer in the pipeline", resource: r})
	}
	return plan, nil
}

// readAll reads resources side by side. One whose error passOver takes counts as a resource that
// does not exist.
func readAll(ctx context.Context, resources []Resource, passOver func(error) bool) ([]State, error) {
	found := make([]State, len(resources))
	failed := make([]error, len(resources))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, r := range resources {
		group.Go(func() error {
			state, err := r.Read(ctx)
			if err != nil && !passOver(err) {
				failed[i] = fmt.Errorf("%s %s: %w", r.Kind(), r.Name(), Explain(err))
			}
			if err == nil {
				found[i] = state
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, errors.Join(once(failed)...)
}

func makeStep(r Resource, found State, given []Flag) Step {
	s := Step{Kind: r.Kind(), Name: r.Name(), Notes: found.Notes, Reason: found.Reason, Changes: found.Changed(), resource: r}
	switch {
	case found.RequiredFlag != NoFlag && !slices.Contains(given, found.RequiredFlag):
		s.Action, s.RequiredFlag = Blocked, found.RequiredFlag
	case found.RequiredFlag == ReplaceFlag:
		s.Action = Replace
	case found.RequiredFlag == AdoptFlag:
		s.Action = Adopt
	case !found.Exists:
		s.Action = Create
	case len(s.Changes) > 0:
		s.Action = Change
	default:
		s.Action = NoOp
	}
	return s
}

// once leaves out what an earlier error says in the same words: without credentials every
// read fails alike.
func once(failed []error) []error {
	var kept []error
	seen := map[string]bool{}
	for _, err := range failed {
		if err == nil {
			continue
		}
		cause := err
		for next := errors.Unwrap(cause); next != nil; next = errors.Unwrap(cause) {
			cause = next
		}
		if !seen[cause.Error()] {
			seen[cause.Error()] = true
			kept = append(kept, err)
		}
	}
	return kept
}
