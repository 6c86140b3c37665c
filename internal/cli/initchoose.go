package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/discover"
)

// choose is the stages that were named, the only one that there is, or those that somebody picks
// from a list.
func (f *initFlags) choose(e *env, s *awsSession, found discover.Found, ask *asker) ([]discover.Stage, error) {
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
		fmt.Fprintf(e.stderr, "There is one stage: %s\n", stageLine(found, offered[0]))
		return offered, nil
	case f.adopt && oneChain(offered) != nil:
		return offered, nil
	}
	fmt.Fprintln(e.stderr, "Stages:")
	for i, st := range offered {
		fmt.Fprintf(e.stderr, "  %2d  %s\n", i+1, stageLine(found, st))
	}
	if !ask.somebody() {
		return nil, usageError{fmt.Errorf("there are %d stages: name those to log with --stage %s, which may be repeated", len(offered), offered[0].Ref())}
	}
	picked, err := ask.pick("Which of them, like 1 or 1,3?", len(offered))
	if err != nil {
		return nil, err
	}
	var stages []discover.Stage
	for _, i := range picked {
		stages = append(stages, offered[i])
	}
	return stages, nil
}

// named finds the stages that --stage names.
func named(texts []string, found discover.Found) ([]discover.Stage, error) {
	var all []discover.Stage
	for _, text := range texts {
		st, err := found.Stage(text)
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
	case st.Chain != nil:
		line += fmt.Sprintf("; logs to the delivery stream %s and s3://%s/%s", st.Chain.Stream, st.Chain.Bucket, st.Chain.Deliver.Prefix)
	case st.Destination != "":
		line += "; logs to " + st.Destination
	default:
		line += "; logs nothing"
	}
	return line
}

// oneChain is the chain that all of the stages log to; nil where there is none.
func oneChain(stages []discover.Stage) *discover.Chain {
	first := stages[0].Chain
	for _, st := range stages {
		if st.Chain == nil || st.Chain.Stream != first.Stream {
			return nil
		}
	}
	return first
}

func nothingToLog(s *awsSession, found discover.Found, adopt bool) error {
	switch {
	case adopt && len(found.Stages) > 0:
		return errors.New("no stage logs to a delivery stream that delivers to S3, so there is no chain to adopt: leave --adopt out")
	case len(found.Undeployed) > 0:
		var more []string
		for _, a := range found.Undeployed[1:] {
			more = append(more, a.String())
		}
		text := discover.Undeployed(found.Undeployed[0])
		if len(more) > 0 {
			text += fmt.Sprintf("\nThe same is true of %d more, like %s", len(more), strings.Join(more[:min(3, len(more))], ", "))
		}
		return errors.New(text)
	case found.APIs > 0:
		return fmt.Errorf("no stage of the %d REST APIs in %s may be looked at with these credentials: the note says what is missing, --profile chooses others", found.APIs, s.Region)
	case len(found.Other) > 0:
		return fmt.Errorf("account %s has no REST API in %s, and %s is %s: %s", s.Account, s.Region, found.Other[0], discover.Kind(found.Other[0]), discover.OnlyREST)
	}
	return fmt.Errorf("account %s has no REST API in %s: is it another Region (--region) or account (--profile)? `stagelog init --local` writes a file to try stagelog on this machine", s.Account, s.Region)
}
