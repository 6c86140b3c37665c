package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Action is the kind of change that a plan makes to one resource.
type Action string

const (
	Create  Action = "create"
	Change  Action = "change"
	Adopt   Action = "adopt"   // change a resource that is not the pipeline's, with AdoptFlag or TakeFrom
	Replace Action = "replace" // replace access log settings, with ReplaceFlag; saved for destroy
	NoOp    Action = "no-op"   // nothing differs
	Blocked Action = "blocked" // not the pipeline's, and the required flag was not given
	Restore Action = "restore" // restore the previous logging of a stage that left the pipeline
	Delete  Action = "delete"  // delete an alarm or a dashboard that stagelog.yaml no longer has
)

// Step describes the change to one resource.
type Step struct {
	Kind         string   `json:"kind"`
	Name         string   `json:"name"`
	Action       Action   `json:"action"`
	Changes      []Field  `json:"changes,omitempty"`
	RequiredFlag Flag     `json:"required_flag,omitempty"` // the flag that unblocks it
	Reason       string   `json:"reason,omitempty"`        // why a flag is or was required
	Warnings     []string `json:"warnings,omitempty"`      // what will not work, or is lost
	Notes        []string `json:"notes,omitempty"`

	ManagedBy *ManagedBy `json:"managed_by,omitempty"` // the tool that manages a stage; nil if unknown
	Elsewhere string     `json:"elsewhere,omitempty"`  // with --stages-elsewhere, what a stage's owner has still to set

	resource Resource
	others   *otherPipelines
}

// OfStage reports whether the step changes the access logs of a stage. Stages themselves are never
// created.
func (s Step) OfStage() bool {
	_, ok := s.resource.(*Stage)
	return ok
}

// Plan holds the steps from the actual to the desired state, in the order of execution.
type Plan struct {
	Steps []Step
	// Unsupported lists the kinds of resources that the endpoint does not have.
	Unsupported []string

	want *desired.Resources
}

// ToDo returns the number of steps that change something, or would with the required flag.
func (p *Plan) ToDo() int { return len(p.Steps) - p.Counts()[NoOp] }

// Blocked returns the steps that require a flag.
func (p *Plan) Blocked() []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Action != Blocked })
}

// Counts returns the number of steps for each action.
func (p *Plan) Counts() map[Action]int {
	counts := map[Action]int{}
	for _, s := range p.Steps {
		counts[s.Action]++
	}
	return counts
}

// maxReads limits how many resources are read at once.
const maxReads = 4

// MakePlan reads and compares every resource of a pipeline. It changes nothing. The error joins
// the failures of all resources, not only the first.
func MakePlan(ctx context.Context, s *desired.Spec, c *Clients, given []Flag) (*Plan, error) {
	s, unknownRoles := KeepRoles(ctx, s, c)
	d, err := desired.New(s)
	if err != nil {
		return nil, err
	}
	resources := Resources(d, c)
	unsupported := make([]bool, len(resources))
	found, err := readAll(ctx, resources, func(i int, err error) bool {
		unsupported[i] = errors.Is(err, ErrNoMonitoring)
		return unsupported[i]
	})
	if err == nil {
		err = refused(resources, found)
	}
	if err = cmp.Or(err, unknownRoles); err != nil {
		return nil, err
	}
	plan, others := &Plan{want: d}, &otherPipelines{c: c}
	for i, r := range resources {
		if unsupported[i] {
			if !slices.Contains(plan.Unsupported, r.Kind()) {
				plan.Unsupported = append(plan.Unsupported, r.Kind())
			}
			continue
		}
		others.judge(ctx, &found[i])
		step := makeStep(r, found[i], given)
		step.others = others
		plan.Steps = append(plan.Steps, step)
	}
	for _, r := range leftMonitoring(ctx, d, c) {
		plan.Steps = append(plan.Steps, Step{Kind: r.Kind(), Name: r.Name(), Action: Delete, Reason: "the pipeline no longer has it", resource: r})
	}
	left, err := LeftStages(ctx, s, c)
	if err != nil {
		return nil, Explain(err)
	}
	leaving := newStages(d, c, left)
	for _, r := range leaving {
		will, err := r.ending(ctx)
		if will.keep {
			continue
		}
		note := "result: " + will.text
		if err != nil {
			note = "deploy cannot restore it: " + reasonOf(err)
		}
		plan.Steps = append(plan.Steps, Step{Kind: r.Kind(), Name: r.Name(), Action: Restore, Reason: "it is no longer in the pipeline", Notes: []string{note}, resource: r})
	}
	if len(leaving) > 0 {
		leaving[0].stream.forget() // deploy may change the bucket before it restores them
	}
	return plan, nil
}

// readAll reads resources concurrently. It treats a resource whose error ignore accepts, given its index, as
// one that does not exist.
func readAll(ctx context.Context, resources []Resource, ignore func(int, error) bool) ([]State, error) {
	listStages(ctx, resources)
	found := make([]State, len(resources))
	failed := make([]error, len(resources))
	var group errgroup.Group
	group.SetLimit(maxReads)
	for i, r := range resources {
		group.Go(func() error {
			state, err := r.Read(ctx)
			if err != nil && !ignore(i, err) {
				failed[i] = fmt.Errorf("%s %s: %w", r.Kind(), r.Name(), Explain(err))
			}
			if err == nil {
				found[i] = state
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in failed
	return found, errors.Join(distinct(failed)...)
}

// refused joins the refusals of all resources.
func refused(resources []Resource, found []State) error {
	var all []error
	for i, r := range resources {
		if err := found[i].Refusal; err != nil {
			all = append(all, fmt.Errorf("%s %s: %w", r.Kind(), r.Name(), err))
		}
	}
	return errors.Join(all...)
}

func makeStep(r Resource, found State, given []Flag) Step {
	s := Step{Kind: r.Kind(), Name: r.Name(), Warnings: found.Warnings, Notes: found.Notes, Reason: found.Reason, Changes: found.Changed(), resource: r}
	s.ManagedBy, s.Elsewhere = found.ManagedBy, found.Elsewhere
	switch {
	case !found.RequiredFlag.in(given):
		s.Action, s.RequiredFlag = Blocked, found.RequiredFlag
	case found.RequiredFlag == ReplaceFlag:
		s.Action = Replace
	case found.RequiredFlag != NoFlag:
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

// distinct removes errors with the same cause as an earlier one: without credentials every read
// fails alike.
func distinct(failed []error) []error {
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

// DiffLines returns the lines of two documents as a diff: removed lines begin with "- ", added ones with "+ ", and
// common ones with "  ". It uses a longest common subsequence.
func DiffLines(have, want string) []string {
	removed, added := splitLines(have), splitLines(want)
	longest := make([][]int, len(removed)+1)
	for i := range longest {
		longest[i] = make([]int, len(added)+1)
	}
	for i := len(removed) - 1; i >= 0; i-- {
		for j := len(added) - 1; j >= 0; j-- {
			if removed[i] == added[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var lines []string
	i, j := 0, 0
	for i < len(removed) || j < len(added) {
		switch {
		case i < len(removed) && j < len(added) && removed[i] == added[j]:
			lines = append(lines, "  "+removed[i])
			i, j = i+1, j+1
		case j == len(added) || i < len(removed) && longest[i+1][j] >= longest[i][j+1]:
			lines = append(lines, "- "+removed[i])
			i++
		default:
			lines = append(lines, "+ "+added[j])
			j++
		}
	}
	return lines
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
