package cli

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/discover"
)

// initialised is what init wrote for an AWS account: the document of init --json.
type initialised struct {
	File    string   `json:"file"`
	Name    string   `json:"name"`
	Bucket  string   `json:"bucket"`
	Region  string   `json:"region"`
	Account string   `json:"account"`
	Stages  []string `json:"stages"`
	Adopted string   `json:"adopted,omitempty"` // the delivery stream that deploy takes over
	Notes   []string `json:"notes"`
	Next    []string `json:"next"` // commands
}

// initAWS writes a stagelog.yaml for stages that an account has.
func initAWS(ctx context.Context, e *env, f *initFlags, s *awsSession, ask *asker) error {
	fmt.Fprintf(e.stderr, "Looking at account %s, Region %s ...\n", s.Account, s.Region)
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
	if chain := oneChain(stages); !f.adopt && f.name == "" && f.bucket == "" && chain != nil && !chain.ORC && ask.somebody() {
		if f.adopt, err = ask.yes(fmt.Sprintf("The delivery stream %s takes these logs to s3://%s/%s. Take that chain over? No builds another.", chain.Stream, chain.Bucket, chain.Deliver.Prefix)); err != nil {
			return err
		}
	}
	out := initialised{File: e.file, Notes: append([]string{}, found.Notes...)}
	p, data, err := f.describe(e, s, stages, &out)
	if err != nil {
		return err
	}
	if err := f.write(e, data); err != nil {
		return err
	}
	for _, w := range p.Warnings() {
		out.Notes = append(out.Notes, w.String())
	}
	out.Notes = append(out.Notes, f.about(found, stages)...)
	out.Name, out.Bucket, out.Region, out.Account = p.Name, p.Bucket, p.Region, p.Account
	for _, st := range p.Stages {
		out.Stages = append(out.Stages, st.String())
	}
	out.Next = f.next(e, p, stages)
	return out.print(e)
}

func (out *initialised) print(e *env) error {
	if e.json {
		return printJSON(e.stdout, out)
	}
	colour := e.paintFor(e.stderr)
	for _, n := range out.Notes {
		fmt.Fprintln(e.stderr, colour.it(yellow, "note: "+n))
	}
	what := "a new chain"
	if out.Adopted != "" {
		what = "the chain of " + out.Adopted
	}
	fmt.Fprintf(e.stderr, "wrote %s: %s for %s, with the bucket %s\nNext: look it over, above all readers:, then\n  %s\n", out.File, what, strings.Join(out.Stages, " and "), out.Bucket, strings.Join(out.Next, "\n  "))
	return nil
}

// describe is the pipeline for the stages, and its file.
func (f *initFlags) describe(e *env, s *awsSession, stages []discover.Stage, out *initialised) (*config.Pipeline, []byte, error) {
	p := config.Bare()
	p.Region, p.Account, p.Readers = s.Region, s.Account, f.readers
	for _, st := range stages {
		p.Stages = append(p.Stages, st.Ref())
	}
	if f.adopt {
		notes, err := adopt(e, p, stages)
		out.Adopted, out.Notes = p.Stream(), append(out.Notes, notes...)
		if err != nil {
			return nil, nil, err
		}
	} else {
		if p.Name = f.name; p.Name == "" {
			p.Name = nameOf(stages[0].API.Name)
		}
		if p.Bucket = f.bucket; p.Bucket == "" {
			p.Bucket = bucketOf(p.Name, s.Account)
		}
	}
	data := config.ExampleAWS(p)
	p, err := config.Parse(e.file, data, e.getenv)
	return p, data, err
}

// about is what is worth knowing about the stages before they are logged.
func (f *initFlags) about(found discover.Found, stages []discover.Stage) (notes []string) {
	for _, st := range stages {
		if found.PlansKnown && len(st.Plans) == 0 && !strings.Contains(st.Format, "$context.authorizer.") {
			notes = append(notes, fmt.Sprintf("%s is in no usage plan: until it is in one, and its methods want API keys, no request has a customer", st.Ref()))
		}
		switch {
		case f.adopt || st.Destination == "":
		case st.Chain != nil && !st.Chain.ORC:
			notes = append(notes, fmt.Sprintf("%s logs to the delivery stream %s now, which would get no more: `stagelog init --adopt --force` describes that chain instead, and deploy then takes it over", st.Ref(), st.Chain.Stream))
		default:
			notes = append(notes, fmt.Sprintf("%s logs to %s now, which would get no more: deploy asks for --replace-logging, and destroy puts it back", st.Ref(), st.Destination))
		}
	}
	return notes
}

// next is the commands that come next, to be run as they are.
func (f *initFlags) next(e *env, p *config.Pipeline, stages []discover.Stage) []string {
	var consent string
	if f.adopt {
		consent = " --adopt"
	}
	for _, st := range stages {
		if st.Destination != "" && !strings.HasSuffix(st.Destination, ":deliverystream/"+p.Stream()) {
			consent += " --replace-logging"
			break
		}
	}
	here := f.aws
	here.region = "" // the file has it
	return []string{here.again(e, "plan") + consent, here.again(e, "deploy") + consent, here.again(e, "doctor")}
}

var safeInShell = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord is a text as a shell reads it back.
func shellWord(s string) string {
	if safeInShell.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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

// maxBucket is S3's limit for the name of a bucket.
const maxBucket = 63

// bucketOf is a name for a bucket that nobody else is likely to have: names are everybody's.
func bucketOf(name, account string) string {
	end := "-api-logs-" + account
	begin := strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return begin[:min(len(begin), maxBucket-len(end))] + end
}
