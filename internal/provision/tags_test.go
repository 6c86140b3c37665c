package provision

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

func TestTagChangesRemovesOnlyOwn(t *testing.T) {
	set := desired.TagPrint("team") + desired.TagPrint("old")
	have := map[string]string{"stagelog": "eu-west-1/acme", "stagelog-tags": set, "team": "a", "old": "x", "auto": "y"}
	want := map[string]string{"stagelog": "eu-west-1/acme", "stagelog-tags": desired.TagPrint("team"), "team": "b"}
	remove, put := tagChanges(have, want)
	if diff := cmp.Diff([]string{"old"}, remove); diff != "" {
		t.Errorf("tags to remove (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"stagelog-tags": desired.TagPrint("team"), "team": "b"}, put); diff != "" {
		t.Errorf("tags to set (-want +got):\n%s", diff)
	}
	if fields := tagFields(have, want); len(fields) != 1 || strings.Contains(fields[0].Have, "auto") || !strings.Contains(fields[0].Have, "old=x") {
		t.Errorf("tagFields = %+v, want the tags of deploy without those of others", fields)
	}
	if fields := tagFields(map[string]string{"stagelog": "eu-west-1/acme", "auto": "y"}, map[string]string{"stagelog": "eu-west-1/acme"}); fields != nil {
		t.Errorf("tagFields without tags in stagelog.yaml = %+v, want none", fields)
	}
}

// Each resource gets the tags of stagelog.yaml, loses those that stagelog.yaml no longer has, and keeps the tags of others.
func TestTagsOnEveryResource(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := moto.Start(t)
	c, s := NewClients(m.Config(nil)), parquetSpec(t, "")
	s.Zip = someZip(t, "one")
	deploy := func(tags map[string]string) map[string]map[string]string {
		t.Helper()
		s.Pipeline.AWS.Tags = tags
		all := map[string]map[string]string{}
		for _, r := range Resources(wantOf(s), c) {
			applyTo(t, r)
			if found := readOf(t, r); len(found.Changed()) > 0 {
				t.Errorf("%s still differs after deploy in %+v", r.Kind(), found.Changed())
			}
			switch r := r.(type) {
			case taggable:
				now, err := r.tags(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				all[r.(Resource).Name()] = now
				if err := r.tag(t.Context(), map[string]string{"auto": "tagger"}); err != nil {
					t.Fatal(err)
				}
			case *Bucket:
				now, err := r.tags(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				all[r.Name()] = bucketTags(now)
			}
		}
		return all
	}
	first := deploy(map[string]string{"cost-center": "42", "team": "logs"})
	if len(first) != 16 {
		t.Fatalf("tags of %v, want those of 16 resources", slices.Sorted(maps.Keys(first)))
	}
	for name, tags := range first {
		if tags["cost-center"] != "42" || tags["team"] != "logs" || tags["stagelog-tags"] == "" {
			t.Errorf("%s has the tags %v", name, tags)
		}
	}
	for name, tags := range deploy(map[string]string{"team": "platform"}) {
		if _, left := tags["cost-center"]; left || tags["team"] != "platform" || name != s.Bucket() && tags["auto"] != "tagger" {
			t.Errorf("after a change %s has the tags %v", name, tags)
		}
	}
	for name, tags := range deploy(nil) {
		delete(tags, "auto")
		delete(tags, "stagelog")
		if len(tags) > 0 {
			t.Errorf("after the tags were removed %s still has %v", name, tags)
		}
	}
}
