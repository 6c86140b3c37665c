package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/pipeline"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/discover"
)

// inAWS says whether init is to look at an AWS account.
func (f *initFlags) inAWS() bool { return f.look || f.adopt || len(f.stages) > 0 }

// initAWS writes a stagelog.yaml for stages that an account has.
func initAWS(ctx context.Context, e *env, f *initFlags) error {
	session, err := f.aws.load(ctx, e, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "Looking at account %s, Region %s ...\n", session.Account, session.Region)
	found, err := discover.Find(ctx, session.Clients)
	if err != nil {
		return provision.Explain(err)
	}
	for _, n := range found.Notes {
		fmt.Fprintln(e.stderr, "note: "+n)
	}
	stages, err := f.choose(e, session, found)
	if err != nil {
		return err
	}
	p, err := f.describe(e, session, stages)
	if err != nil {
		return err
	}
	data := pipeline.ExampleAWS(p)
	if p, err = pipeline.Parse(e.file, data, e.getenv); err != nil {
		return err
	}
	if err := f.write(e, data); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, map[string]any{"file": e.file, "name": p.Name, "bucket": p.Bucket, "region": p.Region, "account": p.Account, "stages": refs(p.Stages)})
	}
	deploy := "`stagelog deploy` makes it"
	if f.adopt {
		deploy = "`stagelog deploy --adopt` takes the chain over"
	}
	fmt.Fprintf(e.stderr, "wrote %s\nNext: look it over, above all readers:. `stagelog plan` shows what would change, %s.\n", e.file, deploy)
	return nil
}

func refs(stages []pipeline.StageRef) []string {
	names := []string{}
	for _, st := range stages {
		names = append(names, st.String())
	}
	return names
}

// choose is the stages that were named, the only one that there is, or those that somebody picks
// from a list.
func (f *initFlags) choose(e *env, s *awsSession, found discover.Found) ([]discover.Stage, error) {
	if len(f.stages) > 0 {
		return named(f.stages, found)
	}
	offered := found.Stages
	if f.adopt {
		offered = slices.DeleteFunc(slices.Clone(offered), func(st discover.Stage) bool { return st.Chain == nil })
	}
	switch {
	case len(offered) == 0:
		return nil, nothingToLog(s, found, f.adopt)
	case len(offered) == 1:
		fmt.Fprintf(e.stderr, "There is one stage: %s\n", stageLine(offered[0]))
		return offered, nil
	}
	fmt.Fprintln(e.stderr, "Stages:")
	for i, st := range offered {
		fmt.Fprintf(e.stderr, "  %2d  %s\n", i+1, stageLine(st))
	}
	if f.yes || e.json || !isTerminal(e.stdin) {
		return nil, usageError{fmt.Errorf("there are %d stages: name those to log with --stage %s, which may be repeated", len(offered), offered[0].Ref())}
	}
	return pick(e, offered)
}

func stageLine(st discover.Stage) string {
	line := fmt.Sprintf("%s (%s), in %d usage plans", st.Ref(), st.API.Name, len(st.Plans))
	switch {
	case st.Chain != nil:
		line += fmt.Sprintf("; logs to the delivery stream %s and s3://%s/%s", st.Chain.Stream, st.Chain.Bucket, st.Chain.Deliver.Prefix)
	case st.Destination != "":
		line += "; logs to " + st.Destination
	default:
		line += "; logs nothing"
	}
	return line
}

// pick asks for numbers of the list.
func pick(e *env, offered []discover.Stage) ([]discover.Stage, error) {
	fmt.Fprint(e.stderr, "Which of them, like 1 or 1,3? ")
	answer, err := bufio.NewReader(e.stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	var picked []discover.Stage
	for _, word := range strings.FieldsFunc(answer, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' }) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > len(offered) {
			return nil, fmt.Errorf("%s is no number from 1 to %d; nothing was written", word, len(offered))
		}
		picked = append(picked, offered[n-1])
	}
	if len(picked) == 0 {
		return nil, fmt.Errorf("no stage was chosen; nothing was written")
	}
	return picked, nil
}

// named finds the stages that --stage names.
func named(texts []string, found discover.Found) ([]discover.Stage, error) {
	var all []discover.Stage
	for _, text := range texts {
		st, err := found.Stage(text)
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

func nothingToLog(s *awsSession, found discover.Found, adopt bool) error {
	switch {
	case adopt && len(found.Stages) > 0:
		return fmt.Errorf("no stage logs to a delivery stream that delivers to S3, so there is no chain to adopt: leave --adopt out")
	case len(found.Undeployed) > 0:
		return errors.New(discover.Undeployed(found.Undeployed[0]))
	case len(found.Other) > 0:
		return fmt.Errorf("account %s has no REST API in %s, and %s is %s: %s", s.Account, s.Region, found.Other[0], discover.Kind(found.Other[0]), discover.OnlyREST)
	}
	return fmt.Errorf("account %s has no REST API in %s: is it another Region (--region) or account (--profile)? `stagelog init` without --aws writes a file to try stagelog on this machine", s.Account, s.Region)
}

// describe is the pipeline for the stages, as its file will say it.
func (f *initFlags) describe(e *env, s *awsSession, stages []discover.Stage) (*pipeline.Pipeline, error) {
	p := pipeline.Bare()
	p.Region, p.Account, p.Readers = s.Region, s.Account, f.readers
	for _, st := range stages {
		p.Stages = append(p.Stages, st.Ref())
	}
	p.Name, p.Bucket = f.name, f.bucket
	if f.adopt {
		if err := adopt(e, p, stages); err != nil {
			return nil, err
		}
	} else {
		for _, st := range stages {
			if st.Chain != nil {
				fmt.Fprintf(e.stderr, "note: %s logs to the delivery stream %s already; --adopt takes that chain over, without it deploy builds another\n", st.Ref(), st.Chain.Stream)
			}
		}
	}
	if p.Name == "" {
		p.Name = nameOf(stages[0].API.Name)
	}
	if p.Bucket == "" {
		p.Bucket = strings.ToLower(p.Name) + "-api-logs-" + s.Account
	}
	return p, nil
}

// adopt describes the chain that the stages log to.
func adopt(e *env, p *pipeline.Pipeline, stages []discover.Stage) error {
	first := stages[0]
	for _, st := range stages {
		if st.Chain == nil {
			return fmt.Errorf("%s does not log to a delivery stream that delivers to S3, so there is nothing of it to adopt", st.Ref())
		}
		if st.Chain.Stream != first.Chain.Stream || st.Format != first.Format {
			return fmt.Errorf("%s and %s log to different streams, or in different formats: adopt them one after the other, each with a file of its own", first.Ref(), st.Ref())
		}
	}
	name, ok := strings.CutPrefix(first.Chain.Stream, "amazon-apigateway-")
	if !ok {
		return fmt.Errorf("the delivery stream %s is none that API Gateway logs to", first.Chain.Stream)
	}
	errorPrefix := p.Deliver.ErrorPrefix
	p.Name, p.Bucket, p.Deliver = name, first.Chain.Bucket, first.Chain.Deliver
	if p.Deliver.ErrorPrefix == "" {
		p.Deliver.ErrorPrefix = errorPrefix
	}
	format, findings := accesslog.Fix(first.Format)
	p.Format, p.FormatName = strings.TrimRight(format, "\n"), "custom"
	for _, preset := range accesslog.Presets() {
		if text, _ := accesslog.Preset(preset); strings.TrimRight(text, "\n") == p.Format {
			p.FormatName = preset
		}
	}
	if strings.TrimRight(first.Format, "\n") != p.Format {
		fmt.Fprintln(e.stderr, "note: the format of the stage is mended in the file:")
		for _, finding := range findings {
			fmt.Fprintln(e.stderr, "  "+finding.Message)
		}
	}
	return nil
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf makes a pipeline's name of an API's.
func nameOf(api string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(api), "-"), "-")
	if name = strings.TrimRight(name[:min(len(name), 20)], "-"); name == "" {
		return "api"
	}
	return name
}
