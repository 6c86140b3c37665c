package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

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
// longer exists, a bucket of another account, a stream of another kind.
func cannotBeOurs(err error) bool {
	return errors.Is(err, ErrNoParent) || errors.Is(err, ErrElsewhere) || errors.Is(err, ErrOtherKind)
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
			return fmt.Errorf("%s %s: %w", r.Kind, r.Name, Explain(err))
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
