package cli

import (
	"cmp"
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
		Short: "Write a stagelog.yaml, optionally for API stages of an AWS account",
		Long: `Writes a commented stagelog.yaml: what is logged, the bucket, and who may read it.

With --local it describes an API on this machine, with its usage plans and customers, for
` + "`stagelog up`" + `. With --aws, --stage or --adopt it reads the AWS account and describes a pipeline for
existing API stages, for ` + "`stagelog deploy`" + `; --adopt describes the delivery stream that a stage already
logs to, so that deploy can manage it. It changes nothing in the account.

Without these flags, init prompts if stdin is a terminal and there are AWS credentials. Otherwise --local
is the default.`,
		Example: `  stagelog init
  stagelog init --local --name acme --bucket acme-api-logs
  stagelog init --aws --profile prod
  stagelog init --stage a1b2c3d4e5/prod --reader 111122223333
  stagelog init --adopt                                       a pipeline that was built by hand`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), e, &flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.name, "name", "", "name of the pipeline; its delivery stream is amazon-apigateway-NAME (default acme, or the API's name)")
	f.StringVar(&flags.bucket, "bucket", "", "bucket for the logs (default NAME-api-logs; for an AWS account, NAME-api-logs-ACCOUNT)")
	f.StringSliceVar(&flags.readers, "reader", nil, "AWS account that may read the logs; may be repeated")
	f.BoolVar(&flags.look, "aws", false, "find stages to log in the AWS account")
	f.BoolVar(&flags.local, "local", false, "describe an API on this machine; do not read an AWS account")
	f.StringSliceVar(&flags.stages, "stage", nil, "API/STAGE in AWS to log, with the API's id or name; may be repeated")
	f.BoolVar(&flags.adopt, "adopt", false, "describe the delivery stream that the stages already log to")
	f.BoolVarP(&flags.yes, "yes", "y", false, "do not prompt")
	f.BoolVar(&flags.force, "force", false, "overwrite an existing file")
	flags.aws.bind(cmd)
	return cmd
}

func runInit(ctx context.Context, e *env, f *initFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := f.checkFile(e); err != nil {
		return err
	}
	ask := e.prompter(f.yes)
	switch {
	case f.inAWS():
		session, err := f.aws.load(ctx, e, nil)
		if err != nil {
			return err
		}
		return initAWS(ctx, e, f, session, ask)
	case !f.local && len(f.readers) == 0 && ask.interactive():
		session, err := f.offer(ctx, e, ask, offerTime)
		if err != nil {
			return err
		}
		if session != nil {
			return initAWS(ctx, e, f, session, ask)
		}
	}
	return initLocal(e, f)
}

// inAWS reports whether the flags require an AWS account.
func (f *initFlags) inAWS() bool {
	return f.look || f.adopt || len(f.stages) > 0 || f.aws != awsFlags{}
}

func (f *initFlags) check() error {
	switch {
	case f.local && f.inAWS():
		return usageError{errors.New("--local cannot be combined with flags for an AWS account")}
	case f.adopt && (f.name != "" || f.bucket != ""):
		return usageError{errors.New("--adopt keeps the existing name and bucket; leave out --name and --bucket")}
	case len(f.readers) > 0 && (f.local || !f.inAWS()):
		return usageError{errors.New("--reader requires --aws; for a local pipeline, edit readers: in the file")}
	}
	return nil
}

// offerTime bounds how long init looks for AWS credentials without having been asked to.
const offerTime = 3 * time.Second

// offer asks whether to read the AWS account of the credentials in the environment. It returns nil if it
// finds none within the given time, or the answer is no.
func (f *initFlags) offer(ctx context.Context, e *env, ask *prompter, within time.Duration) (*awsSession, error) {
	quick, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	session, err := f.aws.load(quick, e, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		e.log().Debug("no AWS credentials found", "error", err)
		return nil, nil
	}
	yes, err := ask.choose(fmt.Sprintf("Found AWS credentials for account %s, Region %s. Look for stages to log there? With no, init describes an API on this machine.", session.Account, session.Region))
	if err != nil || !yes {
		return nil, err
	}
	return session, nil
}

func initLocal(e *env, f *initFlags) error {
	name := cmp.Or(f.name, "acme")
	bucket := cmp.Or(f.bucket, name+"-api-logs")
	data := config.Example(name, bucket)
	// The names come from the command line; Parse checks them.
	if _, err := config.Parse(e.file, data, e.getenv); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(e.file, data, 0o644); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, map[string]string{"file": e.file, "name": name, "bucket": bucket})
	}
	fmt.Fprintf(e.stderr, "wrote %s\nNext: review the file, then run `stagelog up`. For an AWS account: `stagelog init --aws --force`.\n", e.file)
	return nil
}

// checkFile fails if the file exists and --force was not given.
func (f *initFlags) checkFile(e *env) error {
	if _, err := os.Stat(e.file); !errors.Is(err, fs.ErrNotExist) && !f.force {
		return fmt.Errorf("%s already exists; use --force to overwrite it, or --file to write another file", e.file)
	}
	return nil
}
