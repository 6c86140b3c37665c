package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/record"
)

type doctorFlags struct {
	aws           awsFlags
	stages        []string
	noRecord      bool
	timeout       time.Duration
	readerProfile string
	asReader      bool
}

func newDoctor(e *env) *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Verify the pipeline in AWS by sending a test record through it",
		Long: `Checks the resources in AWS: each stage's access logging and format, the delivery stream and its role, the
function and its permissions, the bucket and its readers. Then it sends a marked record through the stream
and waits until the enriched record is in the bucket. Each failure has a cause, a consequence and the
command that fixes it.

Without a stagelog.yaml, --stage checks any pipeline, such as one built by hand or by another template. With
--as-reader, doctor checks only what a reader with these credentials can do; --reader-profile adds these
checks to the others.

Exits with 1 if a check failed. Warnings do not count.`,
		Example: `  stagelog doctor
  stagelog doctor --stage a1b2c3d4e5/prod             a pipeline that stagelog did not build
  stagelog doctor --no-record                         read only, send nothing
  stagelog doctor --as-reader --profile partner       with the credentials of a reader`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), e, &flags) },
	}
	flags.aws.bind(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&flags.stages, "stage", nil, "API/STAGE to check; may be repeated (default: from stagelog.yaml)")
	f.BoolVar(&flags.noRecord, "no-record", false, "do not send a record through the stream")
	f.DurationVar(&flags.timeout, "timeout", 0, "how long to wait for the record (default: as long as the stream may buffer it)")
	f.StringVar(&flags.readerProfile, "reader-profile", "", "profile with a reader's credentials, to check the reader's access as well")
	f.BoolVar(&flags.asReader, "as-reader", false, "check only what a reader can do, using the reader's credentials")
	return cmd
}

func runDoctor(ctx context.Context, e *env, flags *doctorFlags) error {
	p, err := flags.pipeline(e)
	if err != nil {
		return err
	}
	colour := e.paintFor(e.stdout)
	report := func(c doctor.Check) {
		if !e.json {
			printCheck(e.stdout, c, colour)
		}
	}
	of := p
	if flags.asReader { // a reader's credentials need not be of the pipeline's account
		reader := *p
		reader.AccountGiven, of = false, &reader
	}
	session, err := flags.aws.load(ctx, e, of)
	if err != nil {
		return err
	}
	var out doctor.Report
	if flags.asReader {
		out, err = doctor.Reader(ctx, session.Clients.S3, doctor.Delivery{Bucket: p.Bucket, Prefix: p.Deliver.Prefix, ErrorPrefix: p.Deliver.ErrorPrefix}, report)
	} else {
		out, err = flags.chain(ctx, e, p, session, report)
	}
	if err != nil {
		return provision.Explain(err)
	}
	return finishDoctor(e, out, colour)
}

// pipeline loads stagelog.yaml. It returns nil if there is none and --stage names what to check.
func (f *doctorFlags) pipeline(e *env) (*config.Pipeline, error) {
	p, err := config.Load(e.file, e.getenv)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.asReader:
		return nil, fmt.Errorf("%s not found; --as-reader reads bucket and prefix from it", e.file)
	case errors.Is(err, fs.ErrNotExist) && len(f.stages) > 0:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s not found; name the stage to check with --stage API/STAGE", e.file)
	}
	return p, err
}

func (f *doctorFlags) chain(ctx context.Context, e *env, p *config.Pipeline, s *awsSession, report func(doctor.Check)) (doctor.Report, error) {
	target := doctor.Target{Region: s.Region, Account: s.Account, Partition: s.Partition}
	if p != nil {
		target.Spec = s.spec(p)
		_ = s.findStagesElsewhere(ctx, target.Spec) // the checks of the stream report why it cannot be read
		target.Stages, target.Readers = target.Spec.Pipeline.Stages, p.Readers
	}
	if len(f.stages) > 0 {
		target.Stages = nil
		for _, text := range f.stages {
			api, stage, ok := strings.Cut(text, "/")
			if !ok || api == "" || stage == "" {
				return doctor.Report{}, usageError{fmt.Errorf("--stage %s: expected API/STAGE, like a1b2c3d4e5/prod", text)}
			}
			target.Stages = append(target.Stages, record.StageRef{API: api, Stage: stage})
		}
	}
	opts := doctor.Options{Record: !f.noRecord, Timeout: f.timeout, Progress: showWaiting(e)}
	if f.readerProfile != "" {
		as := f.aws
		as.profile = f.readerProfile
		cfg, err := as.config(ctx, e, p, p != nil && !p.AccountGiven)
		if err != nil {
			return doctor.Report{}, err
		}
		opts.ReaderS3 = provision.NewClients(cfg).S3
	}
	return doctor.Run(ctx, s.Clients, target, opts, report)
}

// showWaiting returns a function that prints what doctor waits for.
func showWaiting(e *env) func(string) {
	colour := e.paintFor(e.stderr)
	return func(text string) { fmt.Fprintln(e.stderr, colour.it(faint, "     … "+text)) }
}

// printCheck writes a check on one line, and its cause, consequence and fix below.
func printCheck(w io.Writer, c doctor.Check, colour paint) {
	shown := map[doctor.Status]struct{ word, colour string }{
		"ok": {"ok  ", green}, "warning": {"warn", yellow}, "failed": {"FAIL", red}, "skipped": {"skip", faint},
	}[c.Status]
	fmt.Fprintf(w, "%s %s: %s: %s\n", colour.it(shown.colour, shown.word), c.Link, c.Name, c.Found)
	for _, l := range []struct{ label, text string }{{"cause", c.Cause}, {"so", c.Consequence}, {"fix", c.Fix}} {
		if l.text != "" {
			fmt.Fprintf(w, "       %-6s %s\n", l.label, strings.ReplaceAll(strings.TrimRight(l.text, "\n"), "\n", "\n              "))
		}
	}
}

func finishDoctor(e *env, r doctor.Report, colour paint) error {
	if e.json {
		if err := printJSON(e.stdout, r); err != nil {
			return err
		}
	} else {
		verdict := colour.it(green, "The pipeline works.")
		if r.Failed > 0 {
			verdict = colour.it(red, fmt.Sprintf("%d checks failed.", r.Failed))
		}
		fmt.Fprintf(e.stdout, "\n%s %d checks, %d failed, %d warnings.\n", verdict, len(r.Checks), r.Failed, r.Warnings)
	}
	if r.Failed > 0 {
		return exitError(exitFailed)
	}
	return nil
}
