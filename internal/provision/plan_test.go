package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatAPlanDoesToAResource(t *testing.T) {
	same, differs := Field{"memory", "256", "256"}, Field{"memory", "128", "256"}
	tests := []struct {
		name  string
		found State
		given []Flag
		want  Action
	}{
		{"it is missing", State{Fields: []Field{{"memory", "", "256"}}}, nil, Create},
		{"it is as wanted", State{Exists: true, Fields: []Field{same}}, nil, NoOp},
		{"it differs", State{Exists: true, Fields: []Field{same, differs}}, nil, Change},
		{"it is somebody else's", State{Exists: true, RequiredFlag: AdoptFlag, Fields: []Field{differs}}, nil, Blocked},
		{"it is somebody else's, and as wanted", State{Exists: true, RequiredFlag: AdoptFlag, Fields: []Field{same}}, nil, Blocked},
		{"another flag is given", State{Exists: true, RequiredFlag: AdoptFlag}, []Flag{ReplaceFlag}, Blocked},
		{"it may be taken over", State{Exists: true, RequiredFlag: AdoptFlag, Fields: []Field{same}}, []Flag{AdoptFlag}, Adopt},
		{"its settings may be replaced", State{Exists: true, RequiredFlag: ReplaceFlag, Fields: []Field{differs}}, []Flag{AdoptFlag, ReplaceFlag}, Replace},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := makeStep(&fake{}, tt.found, tt.given)
			if got.Action != tt.want {
				t.Errorf("makeStep(%+v, %v) has the action %s, want %s", tt.found, tt.given, got.Action, tt.want)
			}
			if (got.Action == Blocked) != (got.RequiredFlag != NoFlag) {
				t.Errorf("the step %+v names what it needs exactly when it is refused", got)
			}
		})
	}
}

// fake is a resource in memory.
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

func TestExecuteStopsAtTheFirstError(t *testing.T) {
	var did, told []string
	full := errors.New("a full disk")
	plan := Plan{Steps: []Step{
		{Action: NoOp, Name: "a", resource: &fake{name: "a", did: &did}},
		{Action: Restore, Name: "b", resource: &fake{name: "b", did: &did}},
		{Action: Create, Name: "c", Kind: "fake", resource: &fake{name: "c", did: &did, err: full}},
		{Action: Create, Name: "d", resource: &fake{name: "d", did: &did}},
	}}
	err := plan.Execute(t.Context(), nil, func(e Event) {
		told = append(told, fmt.Sprintf("%d/%d %s %s%s%s", e.Number, e.Of, e.Name, e.Doing, e.Waiting, e.Done))
	})
	if !errors.Is(err, full) || !strings.HasPrefix(err.Error(), "fake c: ") {
		t.Errorf("Execute: %v, want the error with the resource's name", err)
	}
	if diff := cmp.Diff([]string{"destroy b", "apply c"}, did); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1/3 b restore", "1/3 b done", "2/3 c create", "2/3 c waiting for c"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Between a plan and its execution somebody made a resource of that name.
func TestExecuteTouchesNothingThatRequiresAFlagByNow(t *testing.T) {
	var did []string
	plan := Plan{Steps: []Step{{Action: Create, resource: &fake{did: &did, found: State{Exists: true, RequiredFlag: AdoptFlag, Reason: "it exists"}}}}}
	if err := plan.Execute(t.Context(), nil, func(Event) {}); !errors.Is(err, ErrChanged) || did != nil {
		t.Errorf("Execute did %v and answered %v, want nothing and ErrChanged", did, err)
	}
}

func TestRemoveTouchesOnlyOurs(t *testing.T) {
	var did, told []string
	removals := []Removal{
		{Name: "ours", Ours: true, Resource: &fake{name: "ours", did: &did, found: State{Exists: true}}},
		{Name: "theirs", Resource: &fake{name: "theirs", did: &did, found: State{Exists: true, RequiredFlag: AdoptFlag}}},
		{Name: "gone", Ours: true, Resource: &fake{name: "gone", did: &did}},
		{Name: "theirs by now", Ours: true, Resource: &fake{name: "theirs by now", did: &did, found: State{Exists: true, RequiredFlag: AdoptFlag}}},
	}
	err := Remove(t.Context(), removals, func(e Event) {
		if e.Done != "" {
			told = append(told, e.Name+": "+e.Done)
		}
	})
	if diff := cmp.Diff([]string{"destroy ours"}, did); diff != "" || err != nil {
		t.Errorf("Remove: %v; done (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"ours: deleted", "gone: gone already", "theirs by now: left alone: it is not the pipeline's any more"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Without credentials every read fails alike: it is said once.
func TestTheSameCauseIsToldOnce(t *testing.T) {
	cause := errors.New("no credentials")
	got := once([]error{nil, fmt.Errorf("a: %w", cause), fmt.Errorf("b: %w", cause), errors.New("c")})
	if text := errors.Join(got...).Error(); text != "a: no credentials\nc" {
		t.Errorf("once = %q", text)
	}
}
