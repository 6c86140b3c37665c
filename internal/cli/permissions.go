package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/rights"
	"github.com/stagelog/stagelog/internal/record"
)

// permissionsOf lists the commands that permissions takes, with the rights that they need.
var permissionsOf = []struct {
	name string
	by   rights.Command
}{{"init", rights.Init}, {"plan", rights.Plan}, {"deploy", rights.Deploy}, {"doctor", rights.Doctor}, {"destroy", rights.Destroy}, {"report", rights.Report}}

type permissionsFlags struct {
	aws          awsFlags
	account      string
	deleteBucket bool
}

func newPermissions(e *env) *cobra.Command {
	var flags permissionsFlags
	var names []string
	for _, c := range permissionsOf {
		names = append(names, c.name)
	}
	cmd := &cobra.Command{
		Use:   "permissions [init|plan|deploy|doctor|destroy|report]",
		Short: "Print the IAM policy that a command needs",
		Long: `Prints the least IAM policy for the user or role that runs a command with this stagelog.yaml: a policy
document on stdout, and on stderr the rights that it leaves out because the command also works without
them. Without a command, prints one policy for plan, deploy, doctor and destroy.

The policy of report is for all commands that read logs: query, console, tail and invoice.

If stagelog.yaml or the flags name account and Region, AWS is not called and no credentials are needed.`,
		Example: `  stagelog permissions deploy > deploy-policy.json
  stagelog permissions destroy --delete-bucket
  stagelog permissions init --account 123456789012 --region eu-west-1`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE:      func(cmd *cobra.Command, args []string) error { return runPermissions(cmd.Context(), e, &flags, args) },
	}
	flags.aws.bind(cmd)
	cmd.Flags().StringVar(&flags.account, "account", "", "AWS account (default: from stagelog.yaml or the credentials)")
	cmd.Flags().BoolVar(&flags.deleteBucket, "delete-bucket", false, "include what destroy --delete-bucket needs")
	return cmd
}

func runPermissions(ctx context.Context, e *env, flags *permissionsFlags, args []string) error {
	by := rights.Deploy | rights.Doctor | rights.Destroy
	for _, c := range permissionsOf {
		if len(args) > 0 && c.name == args[0] {
			by = c.by
		}
	}
	p := config.Bare()
	if _, err := os.Stat(e.file); by != rights.Init || err == nil { // init writes the file
		if p, err = loadForAWS(e); err != nil {
			return err
		}
	}
	spec, err := flags.spec(ctx, e, p)
	if err != nil {
		return err
	}
	d := &desired.Resources{Spec: spec}
	if by != rights.Init {
		if d, err = desired.New(spec); err != nil {
			return err
		}
	}
	needed := rights.Of(d, by, rights.Options{DeleteBucket: flags.deleteBucket})
	if e.json {
		return printJSON(e.stdout, map[string]any{"policy": needed.Policy, "notes": append([]string{}, needed.Notes...)})
	}
	for _, note := range needed.Notes {
		fmt.Fprintln(e.stderr, "note: "+note)
	}
	_, err = fmt.Fprintln(e.stdout, needed.Policy.JSON())
	return err
}

// spec places the pipeline in an account and a Region. It asks AWS for the account only if neither the file nor a flag names it.
func (f *permissionsFlags) spec(ctx context.Context, e *env, p *config.Pipeline) (*desired.Spec, error) {
	cfg, err := f.aws.config(ctx, e, p, false)
	if err != nil {
		return nil, err
	}
	s := &awsSession{Region: cfg.Region, Partition: record.Partition(cfg.Region), Account: f.account}
	if s.Account == "" && p.AccountGiven {
		s.Account = p.Account
	}
	if s.Account == "" {
		if s, err = f.aws.load(ctx, e, p); err != nil {
			return nil, fmt.Errorf("%w\nor name the account with --account, or with account: in %s", err, e.file)
		}
	}
	return s.spec(p), nil
}
