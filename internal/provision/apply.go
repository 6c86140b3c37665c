package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Event is a moment of a deploy or a destroy.
type Event struct {
	Number, Of int    // which of the resources that are touched, from 1
	Kind, Name string // of the resource
	Doing      string // what begins: "create", "change", "delete"; empty while it goes on
	Waiting    string // what is being waited for; empty otherwise
	Done       string // what was done, in a few words; empty until then
}

// ErrChanged means that a resource was changed between the plan and its execution such that it
// requires a flag that was not given.
var ErrChanged = errors.New("it changed since the plan was made; run `stagelog plan` again")

// Execute carries a plan out, in order, and stops at the first error. What was done stays;
// planning and executing again goes on from there. The plan must have no refused step.
func (p *Plan) Execute(ctx context.Context, given []Flag, report func(Event)) error {
	todo := slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Action == NoOp })
	for i, s := range todo {
		if s.Action == Blocked {
			return fmt.Errorf("BUG: a plan with a refused step is carried out: %s %s", s.Kind, s.Name)
		}
		event := Event{Number: i + 1, Of: len(todo), Kind: s.Kind, Name: s.Name}
		begin := event
		begin.Doing = string(s.Action)
		if s.OfStage() && s.Action == Create {
			begin.Doing = "switch access logs on"
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

// apply reads the resource once more: the plan may be minutes old, and earlier steps may
// have changed what this one finds.
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
