package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Removal is one resource that a destroy looks at.
type Removal struct {
	Kind  string   `json:"kind"`
	Name  string   `json:"name"`
	Ours  bool     `json:"ours"` // only then it is touched
	Why   string   `json:"why,omitempty"`
	Notes []string `json:"notes,omitempty"`

	resource Resource
}

// FindRemovals reads every resource, and answers those that exist in the order in which
// they can go: the last made first.
func FindRemovals(ctx context.Context, resources []Resource) ([]Removal, error) {
	found := make([]State, len(resources))
	failed := make([]error, len(resources))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, r := range resources {
		group.Go(func() error {
			state, err := r.Read(ctx)
			if errors.Is(err, ErrNoParent) {
				return nil // nothing to take away where there is no API or stage
			}
			if err != nil {
				failed[i] = fmt.Errorf("%s %s: %w", r.Kind(), r.Name(), Explain(err))
			}
			found[i] = state
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := errors.Join(once(failed)...); err != nil {
		return nil, err
	}
	var all []Removal
	for i, r := range slices.Backward(resources) {
		if s := found[i]; s.Exists {
			all = append(all, Removal{Kind: r.Kind(), Name: r.Name(), Ours: s.Needs == NoConsent, Why: s.Why, Notes: s.Notes, resource: r})
		}
	}
	return all, nil
}

// Remove takes away, in order, what is the pipeline's. It stops at the first error; doing
// it again goes on from there.
func Remove(ctx context.Context, removals []Removal, report func(Event)) error {
	ours := slices.DeleteFunc(slices.Clone(removals), func(r Removal) bool { return !r.Ours })
	for i, r := range ours {
		event := Event{Number: i + 1, Of: len(ours), Kind: r.Kind, Name: r.Name}
		begin := event
		begin.Doing = "delete"
		report(begin)
		found, err := r.resource.Read(ctx)
		if err == nil && found.Exists && found.Needs == NoConsent {
			event.Done, err = r.resource.Destroy(ctx, found, func(waiting string) {
				on := event
				on.Waiting = waiting
				report(on)
			})
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.Kind, r.Name, Explain(err))
		}
		if event.Done == "" {
			event.Done = "gone already"
		}
		report(event)
	}
	return nil
}
