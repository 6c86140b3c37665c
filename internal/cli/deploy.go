package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/provision"
)

func newDeploy(e *env) *cobra.Command {
	var flags planFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Create or update the pipeline in AWS",
		Long: `Shows the plan, asks for confirmation and carries it out: the S3 bucket and its readers, the enrichment
function, the Firehose delivery stream, CloudWatch alarms, and access logging on each stage. Waits until
all resources are active. After a failure, run it again: it continues from the current state.

deploy does not change resources that stagelog did not create, unless --adopt lets it manage existing
resources with the same names, or --replace-logging lets it replace a stage's access log settings.
destroy restores those settings. Neither takes resources from another pipeline while its delivery stream
exists: that needs --take-from REGION/NAME, and the other pipeline may stop delivering.`,
		Example: `  stagelog deploy
  stagelog deploy --yes                                   in a script
  stagelog deploy --adopt --replace-logging               adopt a pipeline that was built by hand
  stagelog deploy --endpoint-url http://127.0.0.1:4580    on this machine, against ` + "`stagelog up --apis-only`",
		RunE: func(cmd *cobra.Command, _ []string) error { return runDeploy(cmd.Context(), e, &flags, yes) },
	}
	flags.bind(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not prompt")
	return cmd
}

func runDeploy(ctx context.Context, e *env, flags *planFlags, yes bool) error {
	p, err := prepare(ctx, e, flags, true)
	if err != nil {
		return err
	}
	p.print(e.stderr, e.paintFor(e.stderr))
	if refused := p.plan.Blocked(); len(refused) > 0 {
		return flags.refusal(e, refused)
	}
	if p.plan.ToDo() == 0 {
		fmt.Fprintln(e.stderr, "\nNo changes.")
		return p.result(e, "nothing to do")
	}
	fmt.Fprintln(e.stderr)
	if err := e.prompter(yes).confirm("Make these changes?"); err != nil {
		return err
	}
	if err := p.plan.Execute(ctx, flags.flags(), progress(e)); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(e.stderr, "The changes made so far are kept. Run `%s` to continue.\n", flags.deploy(e))
			return ctx.Err()
		}
		return fmt.Errorf("%w\nThe changes made so far are kept; run `%s` again to continue", err, flags.deploy(e))
	}
	fmt.Fprintf(e.stderr, "\n%s is deployed.\n", p.spec.Pipeline.Name)
	if len(p.spec.Pipeline.Stages) == 0 {
		fmt.Fprintf(e.stderr, "No stage logs to it yet: %s names no stages. `stagelog init --aws` lists the stages of the account.\n", e.file)
	}
	fmt.Fprintf(e.stderr, "Next: run `%s` to send a test record through the pipeline.\n", flags.aws.command(e, "doctor"))
	return p.result(e, "deployed")
}

// result prints the deployed pipeline.
func (p *prepared) result(e *env, state string) error {
	s := p.spec
	if e.json {
		return printJSON(e.stdout, map[string]any{
			"state": state, "pipeline": s.Pipeline.Name, "region": s.Region, "account": s.Account,
			"bucket": s.Bucket(), "prefix": s.Pipeline.Deliver.Prefix, "stream_arn": s.StreamARN(), "function_arn": s.FunctionARN(),
			"steps": p.plan.Steps,
		})
	}
	_, err := fmt.Fprintf(e.stdout, "bucket    s3://%s/%s\nstream    %s\nfunction  %s\n", s.Bucket(), s.Pipeline.Deliver.Prefix, s.StreamARN(), s.FunctionARN())
	return err
}

// progress returns a function that prints the events of a deploy or destroy: a line for each resource, and one for each
// condition that it waits for.
func progress(e *env) func(provision.Event) {
	colour := e.paintFor(e.stderr)
	var began time.Time
	var waiting string
	return func(ev provision.Event) {
		switch {
		case ev.Doing != "":
			began, waiting = time.Now(), ""
			fmt.Fprintf(e.stderr, "[%d/%d] %s %s: %s\n", ev.Number, ev.Of, ev.Kind, ev.Name, ev.Doing)
		case ev.Waiting != "" && ev.Waiting != waiting:
			waiting = ev.Waiting
			fmt.Fprintf(e.stderr, "      %s\n", colour.it(faint, ev.Waiting))
		case ev.Done != "":
			took := ""
			if d := time.Since(began).Round(100 * time.Millisecond); d > 0 {
				took = colour.it(faint, ", "+d.String())
			}
			fmt.Fprintf(e.stderr, "      %s%s\n", colour.it(green, ev.Done), took)
		}
	}
}
