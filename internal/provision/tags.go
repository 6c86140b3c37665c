package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// fieldTags is the field for the tags of stagelog.yaml. Tags that others set are neither compared nor removed.
const fieldTags = "tags"

// tagFields compares the tags of stagelog.yaml. It returns no field if a resource neither has nor needs such tags.
func tagFields(have, want map[string]string) []Field {
	f := Field{Name: fieldTags, Have: tagsText(ownTags(have, want)), Want: tagsText(want)}
	if f.Have == "" && f.Want == "" {
		return nil
	}
	return []Field{f}
}

// ownTags returns the tags that the pipeline sets or that an earlier deploy has set.
func ownTags(have, want map[string]string) map[string]string {
	own := maps.Clone(have)
	maps.DeleteFunc(own, func(key, _ string) bool {
		_, wanted := want[key]
		return !wanted && key != desired.SetTag && key != desired.StagesTag && !desired.WasSet(key, have[desired.SetTag])
	})
	return own
}

// tagsText lists tags, one per line, without the owner, which is a field of its own.
func tagsText(tags map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if key != desired.OwnerTag {
			lines = append(lines, key+"="+tags[key])
		}
	}
	return strings.Join(lines, "\n")
}

// tagChanges returns the keys to remove, which an earlier deploy has set, and the tags to set.
func tagChanges(have, want map[string]string) (remove []string, set map[string]string) {
	for key := range ownTags(have, want) {
		if _, wanted := want[key]; !wanted && key != desired.OwnerTag {
			remove = append(remove, key)
		}
	}
	slices.Sort(remove)
	set = maps.Clone(want)
	maps.DeleteFunc(set, func(key, value string) bool {
		is, exists := have[key]
		return exists && is == value
	})
	return remove, set
}

// taggable is a resource whose tags are changed one by one.
type taggable interface {
	tags(ctx context.Context) (map[string]string, error)
	untag(ctx context.Context, keys []string) error
	tag(ctx context.Context, tags map[string]string) error
}

// setTags removes and sets the tags that differ. Removing comes first: SetTag still lists the removed keys if deploy is interrupted here.
func setTags(ctx context.Context, r taggable, want map[string]string) error {
	have, err := r.tags(ctx)
	if err != nil {
		return err
	}
	remove, set := tagChanges(have, want)
	if len(remove) > 0 {
		if err := r.untag(ctx, remove); err != nil {
			return fmt.Errorf("remove its tags %s: %w", strings.Join(remove, ", "), err)
		}
	}
	if len(set) > 0 {
		if err := r.tag(ctx, set); err != nil {
			return fmt.Errorf("tag it: %w", err)
		}
	}
	return nil
}

// tagsDiffer reports whether Read found other tags than the wanted ones.
func (s State) tagsDiffer() bool { return s.Differs(fieldTag) || s.Differs(fieldTags) }
