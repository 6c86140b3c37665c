package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/rights"
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
		var err error
		if event.Done, err = s.apply(ctx, given, event, report); err != nil {
			return fmt.Errorf("%s %s: %w", s.Kind, s.Name, withRights(Explain(err), "deploy", p.want, rights.Deploy, stepsOf(todo[i:])))
		}
		report(event)
	}
	return nil
}

// stepsOf returns what rights.Writes needs to know of steps.
func stepsOf(steps []Step) (all []rights.Step) {
	for _, s := range steps {
		all = append(all, rights.Step{Kind: s.Kind, Creates: s.Action == Create})
	}
	return all
}

// apply reads the resource again before changing it: the plan may be minutes old, and earlier
// steps may have changed it.
func (s *Step) apply(ctx context.Context, given []Flag, event Event, report func(Event)) (done string, err error) {
	waiting := func(waiting string) {
		event.Waiting = waiting
		report(event)
	}
	found, err := s.resource.Read(ctx)
	if s.Action == Restore || s.Action == Delete {
		switch {
		case err != nil && !errors.Is(err, ErrNoParent):
			return "", err
		case found.RequiredFlag != NoFlag && found.RequiredFlag != ReplaceFlag:
			return "not changed: " + found.Reason, nil
		}
		return s.resource.Destroy(ctx, found, waiting)
	}
	if err == nil {
		err = found.Refusal
	}
	if err != nil {
		return "", err
	}
	s.others.judge(ctx, &found)
	if !found.RequiredFlag.in(given) {
		return "", fmt.Errorf("%s: %w", found.Reason, ErrChanged)
	}
	return "done", s.resource.Apply(ctx, found, waiting)
}

// ignoreOwnDuplicate ignores an AlreadyExists error for the pipeline's own resource: the SDK may have
// retried a request whose response was lost.
func ignoreOwnDuplicate(ctx context.Context, r Resource, progress func(string), err error) error {
	if !awserr.Exists(err) {
		return err
	}
	found, err := untilFound(ctx, r, progress)
	if err == nil && (!found.Exists || found.RequiredFlag != NoFlag) {
		err = errCreatedByOther
	}
	return err
}

// Removal is one existing resource that destroy considers.
type Removal struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Ours   bool     `json:"ours"` // only then is it deleted or restored
	Reason string   `json:"reason,omitempty"`
	Notes  []string `json:"notes,omitempty"`

	Resource Resource `json:"-"` // a Bucket or a Stream has options
}

// FindRemovals returns the resources that exist, in the order in which they can be removed: the
// last one created first.
func FindRemovals(ctx context.Context, s *desired.Spec, c *Clients) ([]Removal, error) {
	s, err := KeepRoles(ctx, s, c)
	if err != nil {
		return nil, err
	}
	d, err := desired.New(s)
	if err != nil {
		return nil, err
	}
	resources := append(leftCatalog(ctx, s, c), Resources(d, c)...)
	for _, own := range []desired.Role{d.FunctionRole, d.FirehoseRole} {
		if own.Given { // an earlier deploy may have created one
			resources = append([]Resource{newRole(s, own, c)}, resources...)
		}
	}
	resources = slices.DeleteFunc(resources, func(r Resource) bool {
		_, given := r.(*givenRole)
		return given
	})
	resources = append(resources, leftMonitoring(ctx, d, c)...)
	left, err := LeftStages(ctx, s, c)
	if err != nil {
		return nil, Explain(err)
	}
	for _, r := range newStages(d, c, left) {
		resources = append(resources, r)
	}
	found, err := readAll(ctx, resources, func(_ int, err error) bool { return cannotBeOurs(err) })
	if err != nil {
		return nil, err
	}
	var all []Removal
	for i, r := range slices.Backward(resources) {
		if s := found[i]; s.Exists {
			all = append(all, Removal{Kind: r.Kind(), Name: r.Name(), Ours: s.RequiredFlag == NoFlag && !leftToOwner(r), Reason: s.Reason, Notes: s.Notes, Resource: r})
		}
	}
	return all, nil
}

// leftCatalog returns the database and table of a pipeline that no longer delivers Parquet. It ignores a catalog that cannot
// be read: most pipelines never had one, so their credentials need no permission to read it.
func leftCatalog(ctx context.Context, s *desired.Spec, c *Clients) (left []Resource) {
	if s.Pipeline.Deliver.Parquet {
		return nil
	}
	with, p := *s, *s.Pipeline
	p.Deliver.Parquet, with.Pipeline = true, &p
	d, err := desired.New(&with)
	if err != nil {
		return nil
	}
	for _, r := range []Resource{newDatabase(d, c), newTable(d, c)} {
		if state, err := r.Read(ctx); err == nil && state.Exists && state.RequiredFlag == NoFlag {
			left = append(left, r)
		}
	}
	return left
}

// doing returns the verb for what destroy does to a resource.
func doing(r Resource) string {
	switch r := r.(type) {
	case *Stage:
		return "restore"
	case *Bucket:
		if !r.DeleteObjects {
			return "keep"
		}
	}
	return "delete"
}

// cannotBeOurs reports whether err means that a resource cannot be the pipeline's: an API that no
// longer exists, a bucket of another account, a stream of another kind, an alarm at an endpoint without CloudWatch.
func cannotBeOurs(err error) bool {
	return errors.Is(err, ErrNoParent) || errors.Is(err, ErrElsewhere) || errors.Is(err, ErrOtherKind) || errors.Is(err, ErrNoMonitoring)
}

func ignoreNotFound(err error) error {
	if awserr.NotFound(err) {
		return nil
	}
	return err
}

// deleted returns the result of Destroy for the error of a deletion, "" if the resource was gone already.
func deleted(err error) (string, error) {
	switch {
	case awserr.NotFound(err):
		return "", nil
	case err != nil:
		return "", err
	}
	return "deleted", nil
}

// Remove deletes or restores the pipeline's resources in order. It stops at the first error; a
// second call continues from there.
func Remove(ctx context.Context, removals []Removal, report func(Event)) error {
	ours := slices.DeleteFunc(slices.Clone(removals), func(r Removal) bool { return !r.Ours })
	for i, r := range ours {
		event := Event{Number: i + 1, Of: len(ours), Kind: r.Kind, Name: r.Name}
		begin := event
		begin.Doing = doing(r.Resource)
		report(begin)
		found, err := r.Resource.Read(ctx)
		if err == nil && found.Exists && found.RequiredFlag == NoFlag {
			event.Done, err = r.Resource.Destroy(ctx, found, func(waiting string) {
				on := event
				on.Waiting = waiting
				report(on)
			})
		}
		if err != nil {
			var left []rights.Step
			for _, r := range ours[i:] {
				b, ok := r.Resource.(*Bucket)
				left = append(left, rights.Step{Kind: r.Kind, Empties: ok && b.DeleteObjects})
			}
			return fmt.Errorf("%s %s: %w", r.Kind, r.Name, withRights(Explain(err), "destroy", nil, rights.Destroy, left))
		}
		switch {
		case event.Done != "":
		case found.RequiredFlag != NoFlag:
			event.Done = "not changed: it no longer belongs to the pipeline"
		default:
			event.Done = "already gone"
		}
		report(event)
	}
	return nil
}
