package provision

import "errors"

// refusal is an error that says in its own words why something cannot be, and what to do.
type refusal struct {
	is   error // the sentinel that it counts as
	text string
}

func (r *refusal) Error() string { return r.text }

// Is lets errors.Is find the sentinel without its words being part of the text.
func (r *refusal) Is(target error) bool { return errors.Is(r.is, target) }
