package provision

import "errors"

// refusal is a sentinel with a text of its own that names the cause and the next step.
type refusal struct {
	is   error // the sentinel
	text string
}

func (r *refusal) Error() string { return r.text }

// Is matches the sentinel for errors.Is.
func (r *refusal) Is(target error) bool { return errors.Is(r.is, target) }
