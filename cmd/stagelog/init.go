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

func newInit(e *env) *cobra.Command {
	var name, bucket string
	var force bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a stagelog.yaml to begin with",
		Long: `Writes a commented stagelog.yaml: one API, its usage plans and customers, the bucket and
who may read it. Every line that you may want to change says what it is for.`,
		Example: `  stagelog init
  stagelog init --name acme --bucket acme-api-logs`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return writePipeline(e, name, bucket, force)
		},
	}
	cmd.Flags().StringVar(&name, "name", "acme", "the pipeline's name: the stream is amazon-apigateway-NAME")
	cmd.Flags().StringVar(&bucket, "bucket", "", "the bucket for the logs (default NAME-api-logs)")
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return cmd
}

func writePipeline(e *env, name, bucket string, force bool) error {
	if bucket == "" {
		bucket = name + "-api-logs"
	}
	data := pipeline.Example(name, bucket)
	// The names come from the command line: the loader says what is wrong with them.
	if _, err := pipeline.Parse(e.file, data, e.getenv); err != nil {
		return err
	}
	if _, err := os.Stat(e.file); !errors.Is(err, fs.ErrNotExist) && !force {
		return fmt.Errorf("%s is there already; use --force to replace it, or --file to write another", e.file)
	}
	if err := durable.WriteFile(e.file, data, 0o644); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, map[string]string{"file": e.file, "name": name, "bucket": bucket})
	}
	fmt.Fprintf(e.stderr, "wrote %s\nNext: look it over, then `stagelog up` runs it here.\n", e.file)
	return nil
}
