package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/provision"
)

type destroyFlags struct {
	aws     awsFlags
	bucket  bool
	noDrain bool
	yes     bool
}

func newDestroy(e *env) *cobra.Command {
	var flags destroyFlags
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Take the pipeline out of AWS again; the bucket stays unless asked",
		Long: `Takes away what deploy made, the last first: each stage gets back the access log settings that
it had before, then the delivery stream, the function, the roles and the log groups go. What is
in the stream by then is delivered first.

The bucket and its objects stay. With --delete-bucket they go, too, after it was said how many.
What stagelog neither made nor took over with --adopt is left alone.`,
		Example: `  stagelog destroy
  stagelog destroy --delete-bucket
  stagelog destroy --yes --no-drain      at once; what is on its way is lost`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDestroy(cmd.Context(), e, &flags)
		},
	}
	flags.aws.bind(cmd)
	f := cmd.Flags()
	f.BoolVar(&flags.bucket, "delete-bucket", false, "delete the bucket and every object in it, too")
	f.BoolVar(&flags.noDrain, "no-drain", false, "do not wait until the stream has delivered what it holds")
	f.BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	return cmd
}

func runDestroy(ctx context.Context, e *env, flags *destroyFlags) error {
	p, err := loadForAWS(e)
	if err != nil {
		return err
	}
	session, err := flags.aws.load(ctx, e, p)
	if err != nil {
		return err
	}
	spec := session.spec(p)
	removals, err := provision.FindRemovals(ctx, spec, session.Clients)
	if err != nil {
		return err
	}
	ours, err := flags.choose(ctx, removals)
	if err != nil {
		return err
	}
	if !e.json {
		printRemovals(e.stderr, session, spec, ours, removals, e.paintFor(e.stderr))
	}
	if len(ours) == 0 {
		fmt.Fprintf(e.stderr, "Nothing of %s is in account %s, Region %s.\n", p.Name, session.Account, session.Region)
		return destroyed(e, nil)
	}
	if !flags.yes {
		if err := e.ask("Take this away?"); err != nil {
			return err
		}
	}
	var done []gone
	tell := progress(e)
	err = provision.Remove(ctx, removals, func(ev provision.Event) {
		tell(ev)
		if ev.Done != "" {
			done = append(done, gone{ev.Kind, ev.Name, ev.Done})
		}
	})
	if err != nil {
		again := flags.aws.again(e, "destroy")
		if ctx.Err() != nil {
			fmt.Fprintf(e.stderr, "What is gone is gone, the rest is as it was. `%s` goes on from there.\n", again)
			return ctx.Err()
		}
		return fmt.Errorf("%w\nRun `%s` again: it goes on from there", err, again)
	}
	return destroyed(e, done)
}

// removal is what is going to happen to one resource.
type removal struct{ kind, name, what string }

// gone is what happened to it.
type gone struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Did  string `json:"did"`
}

// choose tells the resources that have a choice what was chosen, and says what will happen to each.
func (f *destroyFlags) choose(ctx context.Context, removals []provision.Removal) ([]removal, error) {
	var ours []removal
	for _, r := range removals {
		if !r.Ours {
			continue
		}
		what := "delete"
		switch resource := r.Resource.(type) {
		case *provision.Bucket:
			objects, bytes, err := resource.Contents(ctx)
			if err != nil {
				return nil, provision.Explain(err)
			}
			resource.DeleteObjects = f.bucket
			what = fmt.Sprintf("keep, %s (--delete-bucket deletes it with everything in it)", provision.ContentsText(objects, bytes))
			if f.bucket {
				what = "delete with everything in it: " + provision.ContentsText(objects, bytes)
			}
		case *provision.Stream:
			what = "delete, after it delivered what it holds"
			if f.noDrain {
				resource.Drain, what = 0, "delete at once; what it has not delivered yet is lost"
			}
		case *provision.Stage:
			what = "put back what was there before"
		}
		ours = append(ours, removal{r.Kind, r.Name, what})
	}
	return ours, nil
}

func printRemovals(w io.Writer, s *awsSession, spec *provision.Spec, ours []removal, all []provision.Removal, colour paint) {
	fmt.Fprintf(w, "%s in %s, account %s", colour.it(bold, spec.Pipeline.Name), s.Region, s.Account)
	if s.Endpoint != "" {
		fmt.Fprintf(w, ", at %s", s.Endpoint)
	}
	fmt.Fprint(w, "\n\n")
	for _, r := range ours {
		fmt.Fprintf(w, "%s\n      %s\n", colour.it(red, fmt.Sprintf("- %s %s", r.kind, r.name)), r.what)
	}
	for _, r := range all {
		if !r.Ours {
			fmt.Fprintf(w, "%s\n      left alone: %s\n", colour.it(faint, fmt.Sprintf("= %s %s", r.Kind, r.Name)), r.Why)
		}
	}
	fmt.Fprintln(w)
}

func destroyed(e *env, done []gone) error {
	if e.json {
		if done == nil {
			done = []gone{}
		}
		return printJSON(e.stdout, map[string]any{"removed": done})
	}
	if isTerminal(e.stdout) {
		return nil // it was told as it happened
	}
	for _, g := range done {
		if _, err := fmt.Fprintf(e.stdout, "%s %s: %s\n", g.Kind, g.Name, g.Did); err != nil {
			return err
		}
	}
	return nil
}
