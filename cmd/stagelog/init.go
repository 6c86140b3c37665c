package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/durable"
	"github.com/stagelog/stagelog/internal/pipeline"
)

type initFlags struct {
	aws     awsFlags
	name    string
	bucket  string
	readers []string
	stages  []string
	look    bool
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

Without --aws it describes an API on this machine, with its usage plans and customers, for
` + "`stagelog up`" + `. With --aws, --stage or --adopt it looks at the AWS account and describes a pipeline for
stages that are there, for ` + "`stagelog deploy`" + `; --adopt describes the chain that a stage logs to already, so
that deploy takes it over.`,
		Example: `  stagelog init
  stagelog init --name acme --bucket acme-api-logs
  stagelog init --aws --profile prod
  stagelog init --stage a1b2c3d4e5/prod --reader 111122223333
  stagelog init --adopt                                       a chain that was built by hand`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.notThere(e); err != nil {
				return err
			}
			if flags.inAWS() {
				return initAWS(cmd.Context(), e, &flags)
			}
			return initLocal(e, &flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.name, "name", "", "the pipeline's name: the stream is amazon-apigateway-NAME (default acme, or the API's name)")
	f.StringVar(&flags.bucket, "bucket", "", "the bucket for the logs (default NAME-api-logs, in AWS with the account behind it)")
	f.StringSliceVar(&flags.readers, "reader", nil, "an AWS account that may read the logs; may be repeated")
	f.BoolVar(&flags.look, "aws", false, "look at the AWS account for stages to log")
	f.StringSliceVar(&flags.stages, "stage", nil, "api/stage in AWS to log; may be repeated")
	f.BoolVar(&flags.adopt, "adopt", false, "describe the chain that the stage logs to already")
	f.BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&flags.force, "force", false, "replace a file that is there")
	flags.aws.bind(cmd)
	return cmd
}

func initLocal(e *env, f *initFlags) error {
	name, bucket := f.name, f.bucket
	if name == "" {
		name = "acme"
	}
	if bucket == "" {
		bucket = name + "-api-logs"
	}
	if len(f.readers) > 0 {
		return usageError{errors.New("--reader goes with --aws; a file for this machine has a line readers: to change")}
	}
	data := pipeline.Example(name, bucket)
	// The names come from the command line: the loader says what is wrong with them.
	if _, err := pipeline.Parse(e.file, data, e.getenv); err != nil {
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
	return durable.WriteFile(e.file, data, 0o644)
}
