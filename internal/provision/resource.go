package provision

import (
	"context"
	"errors"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// ErrNoParent means that what a resource is a part of does not exist, such as the API of a stage.
var ErrNoParent = errors.New("what it belongs to does not exist")

// ErrOtherKind means that what has the name of a resource is of another kind, which cannot be changed:
// a delivery stream to another place than S3, a function made of a container image. It cannot be
// the pipeline's.
var ErrOtherKind = errors.New("it is of another kind")

// Resource is one thing in AWS that a pipeline is made of. All methods may be repeated; none
// of them asks or prints.
type Resource interface {
	// Kind and Name say which it is, in AWS's words: "S3 bucket", "acme-api-logs".
	Kind() string
	Name() string

	// Read compares what is there with what the pipeline wants. It changes nothing. That
	// the resource is missing is no error. An error means that it cannot be known, or that
	// it can never be as wanted (an HTTP API's stage): it says what to do instead.
	Read(ctx context.Context) (State, error)

	// Apply makes the resource as wanted: the fields that Read found different, and no
	// others. It returns when AWS calls the resource ready, and may be cut off anywhere: Read
	// and Apply again go on from there. progress is told what is being waited for.
	Apply(ctx context.Context, found State, progress func(string)) error

	// Destroy takes away what Apply made, and answers what it did in a few words ("deleted",
	// "kept, 1,204 objects"). It does nothing to what is not the pipeline's.
	Destroy(ctx context.Context, found State, progress func(string)) (did string, err error)
}

// Flag is an option of the command line without which a resource that is not the pipeline's stays as it is.
type Flag string

const (
	NoFlag Flag = ""
	// AdoptFlag allows changes of a resource that carries no OwnerTag, or another pipeline's.
	AdoptFlag Flag = "--adopt"
	// ReplaceFlag allows the replacement of a stage's access log settings that stagelog did not make.
	ReplaceFlag Flag = "--replace-logging"
)

// State is what Read found.
type State struct {
	Exists bool
	// RequiredFlag must be given before the resource may be changed, for the Reason: whose it is, what would be lost.
	RequiredFlag Flag
	Reason       string
	// Fields is every property that the pipeline cares about, in the order of the page. A
	// resource that does not exist has them with nothing in Have.
	Fields []Field
	// Notes are what is worth knowing and changes nothing.
	Notes []string
}

// Field is one property of a resource. Both sides are in the same normal form, so that they
// are equal exactly when they mean the same. A document may have several lines.
type Field struct {
	Name string `json:"field"`
	Have string `json:"have"` // empty when it is not set
	Want string `json:"want"`
}

// Differs says whether the field is not as wanted.
func (f Field) Differs() bool { return f.Have != f.Want }

// Changed are the fields that are not as wanted.
func (s State) Changed() []Field {
	var changed []Field
	for _, f := range s.Fields {
		if f.Differs() {
			changed = append(changed, f)
		}
	}
	return changed
}

// have is the field of that name as it is.
func (s State) have(name string) string {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Have
		}
	}
	return ""
}

// Differs says whether the field of that name is there and not as wanted.
func (s State) Differs(name string) bool {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Differs()
		}
	}
	return false
}

// ownedBy sets RequiredFlag and Reason from the OwnerTag's value on a resource that exists; "" is no tag.
func (s *State) ownedBy(owner, want string) {
	switch owner {
	case want:
	case "":
		s.RequiredFlag, s.Reason = AdoptFlag, "it exists and stagelog did not make it"
	default:
		s.RequiredFlag, s.Reason = AdoptFlag, "it belongs to the pipeline "+owner
	}
	s.Fields = append(s.Fields, Field{Name: "tag " + desired.OwnerTag, Have: owner, Want: want})
}
