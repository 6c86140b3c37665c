package provision

import (
	"context"
	"errors"
)

// unbuilt stands where a resource is still to be written.
type unbuilt struct{}

func (unbuilt) Kind() string                        { return "" }
func (unbuilt) Name() string                        { return "" }
func (unbuilt) Read(context.Context) (State, error) { return State{}, errors.New("not built") }
func (unbuilt) Apply(context.Context, State, func(string)) error {
	return errors.New("not built")
}
func (unbuilt) Destroy(context.Context, State, func(string)) (string, error) {
	return "", errors.New("not built")
}
