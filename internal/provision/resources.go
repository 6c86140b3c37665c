package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Parts groups a pipeline's resources, each group in order of creation.
type Parts struct {
	Bucket   []Resource // the bucket, then its policy
	Function []Resource
	Stream   []Resource
	Stages   []Resource
}

// PartsOf returns the resources of a pipeline. They do not include a function built into the endpoint's process.
func PartsOf(d *desired.Resources, c *Clients) Parts {
	p := Parts{
		Bucket:   []Resource{newBucket(d, c), newBucketPolicy(d, c)},
		Function: []Resource{newLogGroup(d.Spec, d.FunctionLog, c), newRole(d.Spec, d.FunctionRole, c)},
		Stream:   []Resource{newLogGroup(d.Spec, d.StreamLog, c)},
	}
	if !d.Function.Builtin {
		p.Function = append(p.Function, newFunction(d, c))
	}
	if d.Table != nil {
		p.Stream = append(p.Stream, newDatabase(d, c), newTable(d, c))
	}
	p.Stream = append(p.Stream, newRole(d.Spec, d.FirehoseRole, c), newStream(d, c))
	owner := &streamOwner{stream: newStream(d, c)}
	for _, st := range d.Spec.Pipeline.Stages {
		p.Stages = append(p.Stages, &Stage{s: d.Spec, format: d.AccessLogFormat, c: c, ref: st, stream: owner})
	}
	return p
}

// Resources returns a pipeline's resources in order of creation. They are destroyed in reverse order.
func Resources(d *desired.Resources, c *Clients) []Resource {
	p := PartsOf(d, c)
	return slices.Concat(p.Bucket, p.Function, p.Stream, p.Stages)
}

// Ensure reads resources concurrently, then creates or changes those that differ, in order. It fails without a change to a
// resource that requires a flag that was not given.
func Ensure(ctx context.Context, resources []Resource, given ...Flag) error {
	found, err := readAll(ctx, resources, func(error) bool { return false })
	if err != nil {
		return err
	}
	for i, r := range resources {
		s := makeStep(r, found[i], given)
		switch s.Action {
		case NoOp:
			continue
		case Blocked:
			return fmt.Errorf("%s %s: %s", s.Kind, s.Name, s.Reason)
		}
		if err := r.Apply(ctx, found[i], func(string) {}); err != nil {
			return fmt.Errorf("%s %s: %w", s.Kind, s.Name, Explain(err))
		}
	}
	return nil
}
