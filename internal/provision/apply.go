package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Event reports progress of a deploy or a destroy.
type Event struct {
	Number, Of int    // position among the changed resources, from 1
	Kind, Name string // of the resource
	Doing      string // action that starts: "create", "change", "delete"; otherwise empty
	Waiting    string // condition being waited for, if any
	Done       string // short result; empty until the action is finished
}

// ErrChanged means that a resource changed between plan and execution and now requires a flag
// that was not given.
var ErrChanged = errors.New("it changed since the plan was made; run `stagelog plan` again")

var (
	errCreatedByOther = fmt.Errorf("created by another process: %w", ErrChanged)
	errDeletedByOther = fmt.Errorf("deleted by another process: %w", ErrChanged)
)

// Execute runs the plan's steps in order and stops at the first error. Finished steps are not
// rolled back; a new plan continues from there. The plan must have no blocked step.
func (p *Plan) Execute(ctx context.Context, given []Flag, report func(Event)) error {
	todo := slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Action == NoOp })
	for i, s := range todo {
		if s.Action == Blocked {
			return fmt.Errorf("BUG: Execute called with a blocked step: %s %s", s.Kind, s.Name)
		}
		event := Event{Number: i + 1, Of: len(todo), Kind: s.Kind, Name: s.Name}
		begin := event
		begin.Doing = string(s.Action)
		if s.OfStage() && s.Action == Create {
			begin.Doing = "enable access logs"
		}
		report(begin)
		if err := s.apply(ctx, given, event, report); err != nil {
			return fmt.Errorf("%s %s: %w", s.Kind, s.Name, Explain(err))
		}
		event.Done = "done"
		report(event)
	}
	return nil
}

// apply reads the resource again before changing it: the plan may be minutes old, and earlier
// steps may have changed it.
func (s *Step) apply(ctx context.Context, given []Flag, event Event, report func(Event)) error {
	waiting := func(waiting string) {
		event.Waiting = waiting
		report(event)
	}
	found, err := s.resource.Read(ctx)
	if s.Action == Restore {
		if err == nil || errors.Is(err, ErrNoParent) {
			_, err = s.resource.Destroy(ctx, found, waiting)
		}
		return err
	}
	if err != nil {
		return err
	}
	if found.RequiredFlag != NoFlag && !slices.Contains(given, found.RequiredFlag) {
		return fmt.Errorf("%s: %w", found.Reason, ErrChanged)
	}
	return s.resource.Apply(ctx, found, waiting)
}
