package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/atomicfile"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/discover"
)

// initResult is the document of init --json for an AWS account.
type initResult struct {
	File    string   `json:"file"`
	Name    string   `json:"name"`
	Bucket  string   `json:"bucket"`
	Region  string   `json:"region"`
	Account string   `json:"account"`
	Stages  []string `json:"stages"`
	Adopted string   `json:"adopted,omitempty"` // the delivery stream that deploy --adopt manages from then on
	Notes   []string `json:"notes"`
	Next    []string `json:"next"` // commands
}

// initAWS writes a stagelog.yaml for stages of an account.
func initAWS(ctx context.Context, e *env, f *initFlags, s *awsSession, ask *prompter) error {
	fmt.Fprintf(e.stderr, "Reading account %s, Region %s ...\n", s.Account, s.Region)
	found, err := discover.Find(ctx, s.Clients)
	if err != nil {
		return err
	}
	stages, err := f.choose(e, s, found, ask)
	if err != nil {
		for _, n := range found.Notes { // they may be the reason
			fmt.Fprintln(e.stderr, "note: "+n)
		}
		return err
	}
	if stream := discover.CommonStream(stages); !f.adopt && f.name == "" && f.bucket == "" && stream != nil && !stream.ORC && ask.interactive() {
		question := fmt.Sprintf("The delivery stream %s delivers these logs to s3://%s/%s. Adopt it? With no, deploy creates a new one.", stream.Name, stream.Bucket, stream.Deliver.Prefix)
		if f.adopt, err = ask.choose(question); err != nil {
			return err
		}
	}
	if stream := discover.CommonStream(stages); f.adopt && stream != nil {
		if stream.Fields, err = discover.Sample(ctx, s.Clients, stream); err != nil {
			found.Notes = append(found.Notes, fmt.Sprintf("cannot read an object that %s delivered, so names: has the usual names and not those that readers may know: %v", stream.Name, provision.Explain(err)))
		}
	}
	described, err := discover.Describe(stages, discover.Options{
		Region: s.Region, Account: s.Account, Name: f.name, Bucket: f.bucket, Readers: f.readers, Adopt: f.adopt, File: e.file, Getenv: e.getenv,
	})
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(e.file, described.File, 0o644); err != nil {
		return err
	}
	p := described.Pipeline
	out := initResult{
		File: e.file, Name: p.Name, Bucket: p.Bucket, Region: p.Region, Account: p.Account,
		Notes: slices.Concat([]string{}, found.Notes, described.Notes, found.LoggingNotes(stages), f.streamNotes(stages)),
		Next:  f.next(e, p, stages),
	}
	for _, st := range p.Stages {
		out.Stages = append(out.Stages, st.String())
	}
	if f.adopt {
		out.Adopted = p.Stream()
	}
	return out.print(e)
}

func (out *initResult) print(e *env) error {
	if e.json {
		return printJSON(e.stdout, out)
	}
	colour := e.paintFor(e.stderr)
	for _, n := range out.Notes {
		fmt.Fprintln(e.stderr, colour.it(yellow, "note: "+n))
	}
	what := "a new pipeline"
	if out.Adopted != "" {
		what = "the existing delivery stream " + out.Adopted
	}
	fmt.Fprintf(e.stderr, "wrote %s: %s for %s, with the bucket %s\nNext: review the file, especially readers:, then run\n  %s\n", out.File, what, strings.Join(out.Stages, " and "), out.Bucket, strings.Join(out.Next, "\n  "))
	return nil
}

// choose returns the stages of --stage, or the only stage, or the stages that the user picks.
func (f *initFlags) choose(e *env, s *awsSession, found discover.Found, ask *prompter) ([]discover.Stage, error) {
	if len(f.stages) > 0 {
		return namedStages(f.stages, found)
	}
	offered := found.Stages
	if f.adopt {
		offered = slices.DeleteFunc(slices.Clone(offered), func(st discover.Stage) bool { return st.Stream == nil })
	}
	switch {
	case len(offered) == 0:
		return nil, nothingToLog(s, found, f.adopt)
	case len(offered) == 1:
		fmt.Fprintf(e.stderr, "There is one stage: %s\n", stageLine(found, offered[0]))
		return offered, nil
	case f.adopt && discover.CommonStream(offered) != nil:
		return offered, nil
	}
	fmt.Fprintln(e.stderr, "Stages:")
	for i, st := range offered {
		fmt.Fprintf(e.stderr, "  %2d  %s\n", i+1, stageLine(found, st))
	}
	if !ask.interactive() {
		return nil, usageError{fmt.Errorf("found %d stages; choose with --stage %s, which may be repeated", len(offered), offered[0].Ref())}
	}
	picked, err := ask.pick("Stages to log (for example 1 or 1,3):", len(offered))
	if err != nil {
		return nil, err
	}
	var stages []discover.Stage
	for _, i := range picked {
		stages = append(stages, offered[i])
	}
	return stages, nil
}

// namedStages finds the stages of --stage, each once.
func namedStages(names []string, found discover.Found) ([]discover.Stage, error) {
	var all []discover.Stage
	for _, name := range names {
		st, err := found.Stage(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(other discover.Stage) bool { return other.Ref() == st.Ref() }) {
			all = append(all, st)
		}
	}
	return all, nil
}

func stageLine(found discover.Found, st discover.Stage) string {
	line := fmt.Sprintf("%s (%s)", st.Ref(), st.API.Name)
	if found.PlansKnown {
		line += fmt.Sprintf(", in %d usage plans", len(st.Plans))
	}
	switch {
	case st.Stream != nil:
		line += fmt.Sprintf("; logs to delivery stream %s and s3://%s/%s", st.Stream.Name, st.Stream.Bucket, st.Stream.Deliver.Prefix)
	case st.Destination != "":
		line += "; logs to " + st.Destination
	default:
		line += "; access logging is off"
	}
	return line
}

func nothingToLog(s *awsSession, found discover.Found, adopt bool) error {
	switch {
	case adopt && len(found.Stages) > 0:
		return errors.New("no stage logs to a delivery stream that delivers to S3; leave out --adopt to create a new pipeline")
	case len(found.Undeployed) > 0:
		text := discover.Undeployed(found.Undeployed[0])
		var more []string
		for _, a := range found.Undeployed[1:] {
			more = append(more, a.String())
		}
		if len(more) > 0 {
			text += fmt.Sprintf("\nThe same applies to %d more, like %s", len(more), strings.Join(more[:min(3, len(more))], ", "))
		}
		return errors.New(text)
	case found.APIs > 0:
		return fmt.Errorf("no permission to read the stages of the %d REST APIs in %s; see the note, or use other credentials (--profile)", found.APIs, s.Region)
	case len(found.Other) > 0:
		return fmt.Errorf("account %s has no REST API in %s, and %s is %s: %s", s.Account, s.Region, found.Other[0], discover.Kind(found.Other[0]), discover.OnlyREST)
	}
	return fmt.Errorf("account %s has no REST API in %s; try another --region or --profile, or `stagelog init --local` to try stagelog on this machine", s.Account, s.Region)
}

// streamNotes returns the consequences for the destinations that the stages log to now.
func (f *initFlags) streamNotes(stages []discover.Stage) (notes []string) {
	for _, st := range stages {
		switch {
		case f.adopt || st.Destination == "":
		case st.Stream != nil && !st.Stream.ORC:
			notes = append(notes, fmt.Sprintf("%s currently logs to delivery stream %s, which would no longer receive records; `stagelog init --adopt --force` describes that stream instead", st.Ref(), st.Stream.Name))
		default:
			notes = append(notes, fmt.Sprintf("%s currently logs to %s, which would no longer receive records: deploy requires --replace-logging, and destroy restores the previous logging", st.Ref(), st.Destination))
		}
	}
	return notes
}

// next returns the commands to run after init.
func (f *initFlags) next(e *env, p *config.Pipeline, stages []discover.Stage) []string {
	var required string
	if f.adopt {
		required = " --adopt"
	}
	if slices.ContainsFunc(stages, func(st discover.Stage) bool {
		return st.Destination != "" && !strings.HasSuffix(st.Destination, ":deliverystream/"+p.Stream())
	}) {
		required += " --replace-logging"
	}
	here := f.aws
	here.region = "" // the file has it
	return []string{here.command(e, "plan") + required, here.command(e, "deploy") + required, here.command(e, "doctor")}
}
