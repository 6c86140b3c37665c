// Package provision creates, changes and removes a pipeline's resources in an AWS account.
//
// There is no state file. Each resource has a name derived from the pipeline's name and an owner
// tag; its actual state is read on each run and compared field by field. One file holds one kind
// of resource with its Read, Apply and Destroy methods; plan.go, apply.go and destroy.go call
// these for all resources in order.
package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// ErrNoParent means that the parent of a resource does not exist, such as the API of a stage.
var ErrNoParent = errors.New("parent does not exist")

// ErrOtherKind means that a resource has the wanted name but a type that cannot be changed, such as
// a stream that does not deliver to S3 or a function from a container image. It cannot be the
// pipeline's.
var ErrOtherKind = errors.New("resource of another type")

// Resource is one AWS resource of a pipeline. All methods may be repeated; none of them prompts or
// prints.
type Resource interface {
	// Kind and Name identify the resource in AWS's terms: "S3 bucket", "acme-api-logs".
	Kind() string
	Name() string

	// Read compares the actual with the wanted state. It changes nothing. A missing resource is
	// no error. It fails if the state cannot be read, or can never become as wanted (an HTTP
	// API's stage); the error then names an alternative.
	Read(ctx context.Context) (State, error)

	// Apply changes the fields that Read found different, and no others. It returns when the
	// resource is ready. It may be interrupted at any point: another Read and Apply continue from
	// there. It calls progress with the condition that it waits for.
	Apply(ctx context.Context, found State, progress func(string)) error

	// Destroy removes what Apply created and returns a short result ("deleted", "kept, 1,204
	// objects"). It does not change resources that are not the pipeline's.
	Destroy(ctx context.Context, found State, progress func(string)) (did string, err error)
}

// Flag is a command-line flag that permits changes to a resource that is not the pipeline's.
type Flag string

const (
	NoFlag Flag = ""
	// AdoptFlag permits changes to a resource without an OwnerTag, or with that of a pipeline that no longer exists.
	// TakeFrom returns the flag for the resources of other pipelines.
	AdoptFlag Flag = "--adopt"
	// ReplaceFlag permits replacing a stage's access log settings that stagelog did not set.
	ReplaceFlag Flag = "--replace-logging"
)

// State is the result of Read.
type State struct {
	Exists bool
	// RequiredFlag must be given before the resource may be changed. Reason explains why.
	RequiredFlag Flag
	Reason       string
	// Fields lists every property that the pipeline manages, in display order. Have is empty if
	// the resource does not exist.
	Fields []Field
	// Refusal is set if the resource cannot become as wanted. Plan and deploy fail with it before any change; destroy ignores it.
	Refusal error
	// Warnings describe what will not work, or what is lost, unless someone changes it outside of stagelog.
	Warnings  []string
	ManagedBy *ManagedBy // of a stage, nil if unknown
	Elsewhere string     // what the owner of a stage has still to set; "" if nothing
	// Notes are for information only.
	Notes []string
}

// Field is one property of a resource. Have and Want are in the same normal form, so they are equal
// exactly if they mean the same. A document may span several lines.
type Field struct {
	Name string `json:"field"`
	Have string `json:"have"` // empty if not set
	Want string `json:"want"`
}

// Differs reports whether the actual value is not the wanted one.
func (f Field) Differs() bool { return f.Have != f.Want }

// Changed returns the fields that differ.
func (s State) Changed() []Field {
	var changed []Field
	for _, f := range s.Fields {
		if f.Differs() {
			changed = append(changed, f)
		}
	}
	return changed
}

// have returns the actual value of the named field.
func (s State) have(name string) string {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Have
		}
	}
	return ""
}

// Differs reports whether the named field is present and differs.
func (s State) Differs(name string) bool {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Differs()
		}
	}
	return false
}

// ownedBy sets RequiredFlag and Reason from the OwnerTag of an existing resource, "" without a tag.
func (s *State) ownedBy(owner, want string) {
	s.adopt(owner, want, "it exists and was not created by stagelog", "it belongs to the pipeline ")
	s.Fields = append(s.Fields, Field{Name: fieldTag, Have: owner, Want: want})
}

// adopt requires a flag unless owner is the wanted one: AdoptFlag if there is no owner, TakeFrom for another pipeline. The reason is
// without if there is no owner, else other and the owner.
func (s *State) adopt(owner, want, without, other string) {
	switch {
	case owner == want:
	case owner == "":
		s.RequiredFlag, s.Reason = AdoptFlag, without
	case !strings.Contains(owner, "/"):
		s.RequiredFlag, s.Reason = AdoptFlag, fmt.Sprintf("%s, although its tag %s has the value %s", without, desired.OwnerTag, owner)
	default:
		s.RequiredFlag, s.Reason = TakeFrom(owner), other+owner
	}
}

// refusal is a sentinel with a text of its own that names the cause and the next step.
type refusal struct {
	is   error // the sentinel
	text string
}

func (r *refusal) Error() string { return r.text }

// Is matches the sentinel for errors.Is.
func (r *refusal) Is(target error) bool { return errors.Is(r.is, target) }
