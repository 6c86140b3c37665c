package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/bundle"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/price"
)

// planFlags are the common flags of plan and deploy.
type planFlags struct {
	aws      awsFlags
	adopt    bool
	takeFrom []string
	replace  bool
	zip      string
	requests int64

	elsewhere bool
	given     func(name string) bool // reports whether a flag was given
}

func (f *planFlags) bind(cmd *cobra.Command) {
	f.aws.bind(cmd)
	cmd.Flags().BoolVar(&f.adopt, "adopt", false, "manage existing resources with the same names that stagelog did not create, or whose pipeline is gone")
	cmd.Flags().StringArrayVar(&f.takeFrom, "take-from", nil, "take resources from another pipeline that exists, named REGION/NAME as in plan")
	cmd.Flags().BoolVar(&f.replace, "replace-logging", false, "replace a stage's previous access log settings; destroy restores them")
	cmd.Flags().BoolVar(&f.elsewhere, stagesElsewhere, false, "leave the access logs of the stages to the tools that manage them (default: as in the last deploy)")
	f.given = cmd.Flags().Changed
	cmd.Flags().StringVar(&f.zip, "function-zip", "", "zip file of the enrichment function (default: from the release, or built with Go)")
	cmd.Flags().Int64Var(&f.requests, "requests", 1_000_000, "requests per month, for the cost estimate")
}

const stagesElsewhere = "stages-elsewhere"

func (f *planFlags) elsewhereGiven() bool { return f.given != nil && f.given(stagesElsewhere) }

func (f *planFlags) flags() []provision.Flag {
	var given []provision.Flag
	if f.adopt {
		given = append(given, provision.AdoptFlag)
	}
	for _, owner := range f.takeFrom {
		given = append(given, provision.TakeFrom(owner))
	}
	if f.replace {
		given = append(given, provision.ReplaceFlag)
	}
	return given
}

func newPlan(e *env) *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what deploy would change in AWS and what it costs",
		Long: `Reads the AWS account, compares it with stagelog.yaml and shows each difference: resources to create,
settings to change with both values, unchanged resources, and resources that deploy must not change
without a flag. It changes nothing.

Exits with 2 if there are changes to make, and with 0 if there are none.`,
		Example: `  stagelog plan
  stagelog plan --profile prod --requests 50000000
  stagelog plan --json | jq '.steps[] | select(.action != "no-op")'
  stagelog plan --endpoint-url http://127.0.0.1:4580      against ` + "`stagelog up --apis-only`" + ` and its environment variables`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd.Context(), e, &flags) },
	}
	flags.bind(cmd)
	return cmd
}

func runPlan(ctx context.Context, e *env, flags *planFlags) error {
	prepared, err := prepare(ctx, e, flags, false)
	if err != nil {
		return err
	}
	if e.json {
		err = printJSON(e.stdout, prepared.document())
	} else {
		prepared.print(e.stdout, e.paintFor(e.stdout))
		if refused := prepared.plan.Blocked(); len(refused) > 0 {
			fmt.Fprintf(e.stderr, "\n%v\n", flags.refusal(e, refused))
		} else if prepared.plan.ToDo() > 0 {
			fmt.Fprintf(e.stderr, "\nNext: run `%s`.\n", flags.deploy(e))
		}
	}
	if err == nil && prepared.plan.ToDo() > 0 {
		return exitError(exitToDo)
	}
	return err
}

// prepared holds a plan and what it was made from.
type prepared struct {
	session *awsSession
	spec    *desired.Spec
	plan    *provision.Plan
	cost    price.Estimate
	rate    price.Rate
	notes   []string // about the plan as a whole
}

// prepare makes a plan. If the function's zip is not available, its code is not compared; mustZip makes that an error.
func prepare(ctx context.Context, e *env, flags *planFlags, mustZip bool) (*prepared, error) {
	if flags.requests < 0 {
		return nil, usageError{fmt.Errorf("--requests %d: expected 0 or more", flags.requests)}
	}
	for _, owner := range flags.takeFrom {
		if !strings.Contains(owner, "/") {
			return nil, usageError{fmt.Errorf("--take-from %s: expected a Region and a pipeline's name, like eu-west-1/acme", owner)}
		}
	}
	p, err := loadForAWS(e)
	if err != nil {
		return nil, err
	}
	session, err := flags.aws.load(ctx, e, p)
	if err != nil {
		return nil, err
	}
	out := &prepared{session: session, spec: session.spec(p)}
	out.spec.StagesElsewhere = flags.elsewhere
	if !flags.elsewhereGiven() {
		if err := session.findStagesElsewhere(ctx, out.spec); err != nil {
			return nil, err
		}
	}
	for _, w := range p.Warnings() {
		out.notes = append(out.notes, w.String())
	}
	if len(out.spec.Pipeline.Stages) == 0 {
		out.notes = append(out.notes, e.file+" names no stages, so none will log to the delivery stream; `stagelog init --aws` lists the stages of the account")
	}
	out.spec.Zip, err = functionZip(ctx, e, flags.zip, out.spec.Architecture)
	if err != nil {
		if mustZip || ctx.Err() != nil {
			return nil, err
		}
		out.notes = append(out.notes, "the function's code was not compared: "+err.Error())
	}
	if out.plan, err = provision.MakePlan(ctx, out.spec, session.Clients, flags.flags()); err != nil {
		return nil, err
	}
	if kinds := out.plan.Unsupported; len(kinds) > 0 {
		out.notes = append(out.notes, "left out, because this endpoint has no CloudWatch: "+strings.Join(kinds, ", "))
	}
	owners, err := out.plan.OwnerNotes(out.spec)
	if err != nil {
		return nil, err
	}
	out.notes = append(out.notes, owners...)
	out.cost = price.New(p, session.Region, out.spec.Architecture, flags.requests)
	out.rate = trafficOf(ctx, session, out.spec.Pipeline.Stages, out.cost.RecordBytes)
	return out, nil
}

// loadForAWS reads stagelog.yaml for the commands that need AWS.
func loadForAWS(e *env) (*config.Pipeline, error) {
	p, err := config.Load(e.file, e.getenv)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s not found; `stagelog init` writes one", e.file)
	}
	return p, err
}

// functionZip returns the enrichment function's deployment package.
func functionZip(ctx context.Context, e *env, file, arch string) ([]byte, error) {
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--function-zip: %w", err)
		}
		if err := bundle.Check(data, arch); err != nil {
			return nil, fmt.Errorf("--function-zip %s: %w", file, err)
		}
		return data, nil
	}
	zip, how, err := bundle.Zip(ctx, arch, bundle.Options{Progress: func(s string) { fmt.Fprintln(e.stderr, s) }})
	if err == nil && e.verbose {
		fmt.Fprintf(e.stderr, "the function's zip for %s: %s, %d bytes\n", arch, how, len(zip))
	}
	return zip, err
}

func (p *prepared) print(w io.Writer, colour paint) {
	printHeader(w, p.session, p.spec, colour)
	printPlan(w, p.plan, colour)
	fmt.Fprintf(w, "\n%s\n", planSummary(p.plan))
	for _, n := range p.notes {
		fmt.Fprintln(w, colour.it(yellow, "note: "+strings.ReplaceAll(n, "\n", "\n  ")))
	}
	fmt.Fprintf(w, "\n%s\n%s", p.rate.Text(), p.cost.Text())
}

// printHeader names the pipeline and where it is.
func printHeader(w io.Writer, s *awsSession, spec *desired.Spec, colour paint) {
	fmt.Fprintf(w, "%s in %s, account %s", colour.it(bold, spec.Pipeline.Name), s.Region, s.Account)
	if s.Endpoint != "" {
		fmt.Fprintf(w, ", at %s", s.Endpoint)
	}
	fmt.Fprint(w, "\n\n")
}

func (p *prepared) document() map[string]any {
	return map[string]any{
		"pipeline": p.spec.Pipeline.Name, "region": p.session.Region, "account": p.session.Account,
		"steps": p.plan.Steps, "to_do": p.plan.ToDo(), "notes": p.notes, "cost": p.cost, "traffic": p.rate,
	}
}

// deploy returns the command that carries out the plan.
func (f *planFlags) deploy(e *env) string {
	command := f.aws.command(e, "deploy")
	if f.adopt {
		command += " --adopt"
	}
	for _, owner := range f.takeFrom {
		command += " --take-from " + provision.ShellWord(owner)
	}
	if f.replace {
		command += " --replace-logging"
	}
	if f.elsewhereGiven() {
		command += fmt.Sprintf(" --%s=%t", stagesElsewhere, f.elsewhere)
	}
	if f.zip != "" {
		command += " --function-zip " + provision.ShellWord(f.zip)
	}
	return command
}

// refusal returns an error that lists the blocked resources with the flags that they require.
func (f *planFlags) refusal(e *env, refused []provision.Step) error {
	var lines, effects []string
	for _, s := range refused {
		lines = append(lines, fmt.Sprintf("  %s %s: %s (%s)", s.Kind, s.Name, s.Reason, s.RequiredFlag))
		if owner, ok := s.RequiredFlag.From(); ok {
			effects = append(effects, fmt.Sprintf("%s changes them for this pipeline only: %s may stop delivering, and its own deploy and destroy no longer change them.\n", s.RequiredFlag, owner))
		}
	}
	return fmt.Errorf("deploy must not change these resources without a flag:\n%s\n%s"+
		"Run `%s` with the flag in parentheses, or choose another name: or bucket: in %s",
		strings.Join(lines, "\n"), strings.Join(slices.Compact(effects), ""), f.deploy(e), e.file)
}
