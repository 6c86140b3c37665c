package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Removal is one resource that a destroy looks at.
type Removal struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Ours   bool     `json:"ours"` // only then it is touched
	Reason string   `json:"reason,omitempty"`
	Notes  []string `json:"notes,omitempty"`

	Resource Resource `json:"-"` // a Bucket or a Stream has choices of its own
}

// FindRemovals reads every resource, and answers those that exist in the order in which
// they can go: the last made first.
func FindRemovals(ctx context.Context, s *desired.Spec, c *Clients) ([]Removal, error) {
	d, err := desired.New(s)
	if err != nil {
		return nil, err
	}
	resources := append(leftCatalog(ctx, s, c), Resources(d, c)...)
	left, err := LeftStages(ctx, s, c)
	if err != nil {
		return nil, Explain(err)
	}
	for _, st := range left {
		resources = append(resources, newStage(d, c, st))
	}
	found, err := readAll(ctx, resources, cannotBeOurs)
	if err != nil {
		return nil, err
	}
	var all []Removal
	for i, r := range slices.Backward(resources) {
		if s := found[i]; s.Exists {
			all = append(all, Removal{Kind: r.Kind(), Name: r.Name(), Ours: s.RequiredFlag == NoFlag, Reason: s.Reason, Notes: s.Notes, Resource: r})
		}
	}
	return all, nil
}

// leftCatalog is the database and table of a pipeline that delivered Parquet and does not any more. Where the catalog cannot
// be read there is none: most pipelines never had one, and their credentials need no right to look.
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

// doing is what destroy does to a resource, in a word or two.
func doing(r Resource) string {
	switch r := r.(type) {
	case *Stage:
		return "put back"
	case *Bucket:
		if !r.DeleteObjects {
			return "keep"
		}
	}
	return "delete"
}

// cannotBeOurs says whether a resource cannot be read because what is there is not, and never
// was, the pipeline's: an API that is gone, a bucket of another account, a stream of another kind.
func cannotBeOurs(err error) bool {
	return errors.Is(err, ErrNoParent) || errors.Is(err, ErrElsewhere) || errors.Is(err, ErrOtherKind)
}

// Remove takes away, in order, what is the pipeline's. It stops at the first error; doing
// it again goes on from there.
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
			return fmt.Errorf("%s %s: %w", r.Kind, r.Name, Explain(err))
		}
		switch {
		case event.Done != "":
		case found.RequiredFlag != NoFlag:
			event.Done = "left alone: it is not the pipeline's any more"
		default:
			event.Done = "gone already"
		}
		report(event)
	}
	return nil
}
