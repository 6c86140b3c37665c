package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMakeStep(t *testing.T) {
	same, differs := Field{"memory", "256", "256"}, Field{"memory", "128", "256"}
	tests := []struct {
		name  string
		found State
		given []Flag
		want  Action
	}{
		{"missing", State{Fields: []Field{{"memory", "", "256"}}}, nil, Create},
		{"as wanted", State{Exists: true, Fields: []Field{same}}, nil, NoOp},
		{"different", State{Exists: true, Fields: []Field{same, differs}}, nil, Change},
		{"foreign", State{Exists: true, RequiredFlag: AdoptFlag, Fields: []Field{differs}}, nil, Blocked},
		{"foreign, as wanted", State{Exists: true, RequiredFlag: AdoptFlag, Fields: []Field{same}}, nil, Blocked},
		{"foreign, other flag given", State{Exists: true, RequiredFlag: AdoptFlag}, []Flag{ReplaceFlag}, Blocked},
		{"foreign, flag given", State{Exists: true, RequiredFlag: AdoptFlag, Fields: []Field{same}}, []Flag{AdoptFlag}, Adopt},
		{"replaceable, flag given", State{Exists: true, RequiredFlag: ReplaceFlag, Fields: []Field{differs}}, []Flag{AdoptFlag, ReplaceFlag}, Replace},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := makeStep(&fake{}, tt.found, tt.given)
			if got.Action != tt.want {
				t.Errorf("makeStep(%+v, %v) has the action %s, want %s", tt.found, tt.given, got.Action, tt.want)
			}
			if (got.Action == Blocked) != (got.RequiredFlag != NoFlag) {
				t.Errorf("step %+v, want RequiredFlag exactly if it is blocked", got)
			}
		})
	}
}

// fake is an in-memory resource.
type fake struct {
	name  string
	found State
	err   error // of Apply
	did   *[]string
}

func (f *fake) Kind() string                        { return "fake" }
func (f *fake) Name() string                        { return f.name }
func (f *fake) Read(context.Context) (State, error) { return f.found, nil }
func (f *fake) Apply(_ context.Context, _ State, progress func(string)) error {
	progress("waiting for " + f.name)
	*f.did = append(*f.did, "apply "+f.name)
	return f.err
}
func (f *fake) Destroy(context.Context, State, func(string)) (string, error) {
	*f.did = append(*f.did, "destroy "+f.name)
	return "deleted", nil
}

func TestExecuteStopsAtFirstError(t *testing.T) {
	var did, events []string
	full := errors.New("a full disk")
	plan := Plan{Steps: []Step{
		{Action: NoOp, Name: "a", resource: &fake{name: "a", did: &did}},
		{Action: Restore, Name: "b", resource: &fake{name: "b", did: &did}},
		{Action: Create, Name: "c", Kind: "fake", resource: &fake{name: "c", did: &did, err: full}},
		{Action: Create, Name: "d", resource: &fake{name: "d", did: &did}},
	}}
	err := plan.Execute(t.Context(), nil, func(e Event) {
		events = append(events, fmt.Sprintf("%d/%d %s %s%s%s", e.Number, e.Of, e.Name, e.Doing, e.Waiting, e.Done))
	})
	if !errors.Is(err, full) || !strings.HasPrefix(err.Error(), "fake c: ") {
		t.Errorf("Execute: %v, want an error with the resource's name", err)
	}
	if diff := cmp.Diff([]string{"destroy b", "apply c"}, did); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1/3 b restore", "1/3 b deleted", "2/3 c create", "2/3 c waiting for c"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A resource with the name was created between plan and execution.
func TestExecuteRefusesNewlyRequiredFlag(t *testing.T) {
	var did []string
	plan := Plan{Steps: []Step{{Action: Create, resource: &fake{did: &did, found: State{Exists: true, RequiredFlag: AdoptFlag, Reason: "it exists"}}}}}
	if err := plan.Execute(t.Context(), nil, func(Event) {}); !errors.Is(err, ErrChanged) || did != nil {
		t.Errorf("Execute made the calls %v and returned %v, want no calls and ErrChanged", did, err)
	}
}

// A stage that left the pipeline logs to a stream of that name that another pipeline has now.
func TestRestoreOnlyOurs(t *testing.T) {
	var did []string
	done := ""
	plan := Plan{Steps: []Step{{Action: Restore, resource: &fake{did: &did, found: State{Exists: true, RequiredFlag: TakeFrom("eu-west-1/other"), Reason: "its stream belongs to another"}}}}}
	if err := plan.Execute(t.Context(), nil, func(e Event) { done = e.Done }); err != nil || did != nil || done != "not changed: its stream belongs to another" {
		t.Errorf("Execute made the calls %v, reported %q and returned %v, want no calls", did, done, err)
	}
}

func TestRemoveOnlyOurs(t *testing.T) {
	var did, events []string
	removals := []Removal{
		{Name: "ours", Ours: true, Resource: &fake{name: "ours", did: &did, found: State{Exists: true}}},
		{Name: "theirs", Resource: &fake{name: "theirs", did: &did, found: State{Exists: true, RequiredFlag: AdoptFlag}}},
		{Name: "gone", Ours: true, Resource: &fake{name: "gone", did: &did}},
		{Name: "changed owner", Ours: true, Resource: &fake{name: "changed owner", did: &did, found: State{Exists: true, RequiredFlag: AdoptFlag}}},
	}
	err := Remove(t.Context(), removals, func(e Event) {
		if e.Done != "" {
			events = append(events, e.Name+": "+e.Done)
		}
	})
	if diff := cmp.Diff([]string{"destroy ours"}, did); diff != "" || err != nil {
		t.Errorf("Remove: %v; calls (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"ours: deleted", "gone: already gone", "changed owner: not changed: it no longer belongs to the pipeline"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestDistinctErrors(t *testing.T) {
	cause := errors.New("no credentials")
	got := distinct([]error{nil, fmt.Errorf("a: %w", cause), fmt.Errorf("b: %w", cause), errors.New("c")})
	if text := errors.Join(got...).Error(); text != "a: no credentials\nc" {
		t.Errorf("distinct = %q", text)
	}
}
