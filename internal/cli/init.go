package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

type initFlags struct {
	aws     awsFlags
	name    string
	bucket  string
	readers []string
	stages  []string
	look    bool
	local   bool
	adopt   bool
	yes     bool
	force   bool
}

func newInit(e *env) *cobra.Command {
	var flags initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a stagelog.yaml to begin with; --aws looks at an account first",
		Long: `Writes a commented stagelog.yaml: what is logged, the bucket, and who may read it. Every line that
you may want to change says what it is for.

With --local it describes an API on this machine, with its usage plans and customers, for
` + "`stagelog up`" + `. With --aws, --stage or --adopt it looks at the AWS account and describes a pipeline for
stages that are there, for ` + "`stagelog deploy`" + `; --adopt describes the chain that a stage logs to already, so
that deploy takes it over. In the account it only reads.

Without any of them it asks, where there are AWS credentials and somebody to ask; a script gets --local.`,
		Example: `  stagelog init
  stagelog init --local --name acme --bucket acme-api-logs
  stagelog init --aws --profile prod
  stagelog init --stage a1b2c3d4e5/prod --reader 111122223333
  stagelog init --adopt                                       a chain that was built by hand`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runInit(cmd.Context(), e, &flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.name, "name", "", "the pipeline's name: the stream is amazon-apigateway-NAME (default acme, or the API's name)")
	f.StringVar(&flags.bucket, "bucket", "", "the bucket for the logs (default NAME-api-logs, in AWS with the account behind it)")
	f.StringSliceVar(&flags.readers, "reader", nil, "an AWS account that may read the logs; may be repeated")
	f.BoolVar(&flags.look, "aws", false, "look at the AWS account for stages to log")
	f.BoolVar(&flags.local, "local", false, "describe an API on this machine; no AWS account is looked at")
	f.StringSliceVar(&flags.stages, "stage", nil, "api/stage in AWS to log, the API by its id or its name; may be repeated")
	f.BoolVar(&flags.adopt, "adopt", false, "describe the chain that the stage logs to already")
	f.BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&flags.force, "force", false, "replace a file that is there")
	flags.aws.bind(cmd)
	return cmd
}

func runInit(ctx context.Context, e *env, f *initFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := f.notThere(e); err != nil {
		return err
	}
	ask := newAsker(e, f.yes)
	switch {
	case f.inAWS():
		session, err := f.aws.load(ctx, e, nil)
		if err != nil {
			return err
		}
		return initAWS(ctx, e, f, session, ask)
	case !f.local && len(f.readers) == 0 && ask.somebody():
		session, err := f.offer(ctx, e, ask)
		if err != nil {
			return err
		}
		if session != nil {
			return initAWS(ctx, e, f, session, ask)
		}
	}
	return initLocal(e, f)
}

// inAWS says whether init is to look at an AWS account.
func (f *initFlags) inAWS() bool {
	return f.look || f.adopt || len(f.stages) > 0 || f.aws != awsFlags{}
}

func (f *initFlags) check() error {
	switch {
	case f.local && f.inAWS():
		return usageError{errors.New("--local looks at no AWS account: leave it out, or --aws, --stage, --adopt and what says which account")}
	case f.adopt && (f.name != "" || f.bucket != ""):
		return usageError{errors.New("--adopt describes a chain with the name and the bucket that it has: leave out --name and --bucket")}
	case len(f.readers) > 0 && (f.local || !f.inAWS()):
		return usageError{errors.New("--reader goes with --aws; a file for this machine has a line readers: to change")}
	}
	return nil
}

// offerTime is how long init looks for credentials that nobody told it to use.
const offerTime = 3 * time.Second

// offer asks whether to look at the AWS account that the credentials here belong to; nil is no.
func (f *initFlags) offer(ctx context.Context, e *env, ask *asker) (*awsSession, error) {
	quick, cancel := context.WithTimeout(ctx, offerTime)
	defer cancel()
	session, err := f.aws.load(quick, e, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		e.log().Debug("no AWS account to offer", "error", err)
		return nil, nil
	}
	yes, err := ask.yes(fmt.Sprintf("There are AWS credentials for account %s, Region %s. Look there for stages to log? No describes an API on this machine.", session.Account, session.Region))
	if err != nil || !yes {
		return nil, err
	}
	return session, nil
}

func initLocal(e *env, f *initFlags) error {
	name, bucket := f.name, f.bucket
	if name == "" {
		name = "acme"
	}
	if bucket == "" {
		bucket = name + "-api-logs"
	}
	data := config.Example(name, bucket)
	// The names come from the command line: the loader says what is wrong with them.
	if _, err := config.Parse(e.file, data, e.getenv); err != nil {
		return err
	}
	if err := f.write(e, data); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, map[string]string{"file": e.file, "name": name, "bucket": bucket})
	}
	fmt.Fprintf(e.stderr, "wrote %s\nNext: look it over, then `stagelog up` runs it here. For an AWS account: `stagelog init --aws --force`.\n", e.file)
	return nil
}

// notThere refuses to replace a file, before anybody is asked anything.
func (f *initFlags) notThere(e *env) error {
	if _, err := os.Stat(e.file); !errors.Is(err, fs.ErrNotExist) && !f.force {
		return fmt.Errorf("%s is there already; use --force to replace it, or --file to write another", e.file)
	}
	return nil
}

func (f *initFlags) write(e *env, data []byte) error {
	return atomicfile.WriteFile(e.file, data, 0o644)
}
