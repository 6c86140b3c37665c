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
		Short: "Remove the pipeline from AWS, keeping the bucket",
		Long: `Removes what deploy created, in reverse order: restores each stage's previous logging, waits until the
delivery stream has delivered its records, then deletes the stream, the function, the roles and the log
groups.

The bucket and its objects stay, unless --delete-bucket is given. destroy does not change resources that
stagelog neither created nor adopted.`,
		Example: `  stagelog destroy
  stagelog destroy --delete-bucket
  stagelog destroy --yes --no-drain      at once; undelivered records are lost`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDestroy(cmd.Context(), e, &flags) },
	}
	flags.aws.bind(cmd)
	f := cmd.Flags()
	f.BoolVar(&flags.bucket, "delete-bucket", false, "delete the bucket and all its objects")
	f.BoolVar(&flags.noDrain, "no-drain", false, "do not wait until the delivery stream has delivered its records")
	f.BoolVarP(&flags.yes, "yes", "y", false, "do not prompt")
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
	if err := session.findStagesElsewhere(ctx, spec); err != nil {
		return err
	}
	removals, err := provision.FindRemovals(ctx, spec, session.Clients)
	if err != nil {
		return err
	}
	ours, err := flags.choose(ctx, removals)
	if err != nil {
		return err
	}
	if !e.json {
		colour := e.paintFor(e.stderr)
		printHeader(e.stderr, session, spec, colour)
		printRemovals(e.stderr, ours, removals, colour)
	}
	if len(ours) == 0 {
		fmt.Fprintf(e.stderr, "Pipeline %s has no resources in account %s, Region %s.\n", p.Name, session.Account, session.Region)
		return destroyed(e, []removed{})
	}
	if err := e.prompter(flags.yes).confirm("Remove these resources?"); err != nil {
		return err
	}
	done := []removed{}
	show := progress(e)
	err = provision.Remove(ctx, removals, func(ev provision.Event) {
		show(ev)
		if ev.Done != "" {
			done = append(done, removed{ev.Kind, ev.Name, ev.Done})
		}
	})
	if err != nil {
		again := flags.aws.command(e, "destroy")
		if ctx.Err() != nil {
			fmt.Fprintf(e.stderr, "The resources removed so far stay removed. Run `%s` to continue.\n", again)
			return ctx.Err()
		}
		return fmt.Errorf("%w\nRun `%s` again to continue from there", err, again)
	}
	return destroyed(e, done)
}

// removed describes what destroy will do or did with one resource.
type removed struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Did  string `json:"did"`
}

// choose applies the flags to the resources and returns what will happen to each that is the pipeline's.
func (f *destroyFlags) choose(ctx context.Context, removals []provision.Removal) ([]removed, error) {
	var ours []removed
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
			what = fmt.Sprintf("keep, %s (--delete-bucket deletes the bucket and its objects)", provision.ContentsText(objects, bytes))
			if f.bucket {
				what = "delete with all objects: " + provision.ContentsText(objects, bytes)
			}
		case *provision.Stream:
			what = "delete after it has delivered its records"
			if f.noDrain {
				resource.Drain, what = 0, "delete at once; undelivered records are lost"
			}
		case *provision.Stage:
			what = "restore the previous logging"
		}
		ours = append(ours, removed{r.Kind, r.Name, what})
	}
	return ours, nil
}

func printRemovals(w io.Writer, ours []removed, all []provision.Removal, colour paint) {
	for _, r := range ours {
		fmt.Fprintf(w, "%s\n      %s\n", colour.it(red, fmt.Sprintf("- %s %s", r.Kind, r.Name)), r.Did)
	}
	for _, r := range all {
		if !r.Ours {
			fmt.Fprintf(w, "%s\n      not changed: %s\n", colour.it(faint, fmt.Sprintf("= %s %s", r.Kind, r.Name)), r.Reason)
		}
	}
	fmt.Fprintln(w)
}

func destroyed(e *env, done []removed) error {
	if e.json {
		return printJSON(e.stdout, map[string]any{"removed": done})
	}
	if isTerminal(e.stdout) {
		return nil // progress has shown it
	}
	for _, g := range done {
		if _, err := fmt.Fprintf(e.stdout, "%s %s: %s\n", g.Kind, g.Name, g.Did); err != nil {
			return err
		}
	}
	return nil
}
