package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/discover"
)

// adopt describes the chain that the stages log to, as it is wherever a pipeline may be like
// that. The notes say where it may not, and what deploy would change besides.
func adopt(e *env, p *config.Pipeline, stages []discover.Stage) (notes []string, err error) {
	chain := oneChain(stages)
	if chain == nil {
		return nil, noChain(stages)
	}
	name, ok := strings.CutPrefix(chain.Stream, (&config.Pipeline{}).Stream())
	if !ok {
		return nil, fmt.Errorf("the delivery stream %s is none that API Gateway logs to", chain.Stream)
	}
	if chain.ORC {
		return nil, fmt.Errorf("the delivery stream %s converts its records to ORC, and a pipeline delivers JSON or Parquet: leave --adopt out to build a chain of its own", chain.Stream)
	}
	p.Name, p.Bucket, p.Deliver = name, chain.Bucket, chain.Deliver
	first := stages[0]
	for _, st := range stages[1:] {
		if oneLine(st.Format) != oneLine(first.Format) {
			notes = append(notes, fmt.Sprintf("%s and %s log in different formats: the file has the first one's, for both", first.Ref(), st.Ref()))
		}
	}
	notes = append(notes, adoptFormat(p, first)...)
	notes = append(notes, adoptReaders(p, chain)...)
	more, err := allowed(e, p)
	if notes = append(notes, more...); err != nil {
		return notes, err
	}
	_, function, _ := strings.Cut(chain.Function, ":function:")
	function, _, _ = strings.Cut(function, ":")
	switch function {
	case p.Function():
	case "":
		notes = append(notes, fmt.Sprintf("the stream has no function: deploy adds %s, which fills in usage plan and customer", p.Function()))
	default:
		notes = append(notes, fmt.Sprintf("the stream's function is %s: deploy makes %s take its place, and leaves it there", function, p.Function()))
	}
	return notes, nil
}

// adoptReaders takes whom the bucket's policy lets read, where nobody named others. Where all
// objects are at the top of the bucket a pipeline has no readers, as they would get the error
// objects, too; the policy itself stays.
func adoptReaders(p *config.Pipeline, chain *discover.Chain) (notes []string) {
	who := strings.Join(chain.Readers, ", ")
	begin, _, _ := strings.Cut(chain.Deliver.Prefix, "!{")
	switch {
	case who == "" || len(p.Readers) > 0:
		return nil
	case begin == "":
		return []string{fmt.Sprintf("the bucket's policy lets %s get objects, and goes on doing so; to name them as readers:, give deliver: a prefix: that error objects do not have", who)}
	}
	p.Readers = chain.Readers
	return []string{fmt.Sprintf("the bucket's policy lets %s get objects: the file has them as readers", who)}
}

func noChain(stages []discover.Stage) error {
	for _, st := range stages {
		if st.Chain == nil {
			return fmt.Errorf("%s does not log to a delivery stream that delivers to S3, so there is nothing of it to adopt", st.Ref())
		}
	}
	last := stages[len(stages)-1]
	for _, st := range stages {
		if st.Chain.Stream != last.Chain.Stream {
			return fmt.Errorf("%s logs to %s, and %s to %s: each delivery stream is a pipeline of its own, so adopt them one after the other, each in a file of its own (--file)",
				st.Ref(), st.Chain.Stream, last.Ref(), last.Chain.Stream)
		}
	}
	return nil
}

// adoptFormat takes the stage's format as it is. One whose records are no JSON is mended,
// or else the default takes its place.
func adoptFormat(p *config.Pipeline, st discover.Stage) (notes []string) {
	usual := *p
	setFormat(p, st.Format)
	if worst := mistake(st.Format); worst != "" {
		mended, _ := accesslog.Fix(st.Format)
		if mistake(mended) != "" {
			p.Format, p.FormatName = usual.Format, usual.FormatName
			return []string{fmt.Sprintf("the format of %s cannot be enriched (%s): the file has %s instead", st.Ref(), worst, usual.FormatName)}
		}
		setFormat(p, asPreset(mended))
		notes = append(notes, fmt.Sprintf("the format of %s is mended in the file: %s", st.Ref(), worst))
	}
	format, err := accesslog.Parse(p.Format)
	if err != nil {
		return notes // the loader says so
	}
	fields := format.Fields()
	if fields.APIKey != "" {
		notes = append(notes, fmt.Sprintf("the format has the API key's value, in the field %s: the function masks it; `api_key: keep` leaves it, another format does without", fields.APIKey))
	}
	for variable, field := range fields.ByVariable {
		if strings.HasPrefix(variable, "$context.authorizer.") && (field == "plan_id" || field == "subscription_id") {
			// An authorizer fills these in: the function does where it does not.
			p.Names = config.OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"}
		}
	}
	return notes
}

// setFormat takes a format, by its preset's name where it is one.
func setFormat(p *config.Pipeline, format string) {
	p.Format, p.FormatName = oneLine(format), "custom"
	for _, name := range accesslog.Presets() {
		if text, _ := accesslog.Preset(name); oneLine(text) == p.Format {
			p.FormatName = name
		}
	}
}

// asPreset is the preset that a format is, but for spaces between its fields; else the format.
func asPreset(format string) string {
	for _, name := range accesslog.Presets() {
		if text, _ := accesslog.Preset(name); oneLine(text) == strings.ReplaceAll(oneLine(format), " ", "") {
			return text
		}
	}
	return format
}

// mistake is the first thing that makes a format's records useless; "" is nothing.
func mistake(format string) string {
	for _, f := range accesslog.Lint(format) {
		if f.Severity == accesslog.Error {
			return f.Message
		}
	}
	return ""
}

func oneLine(format string) string { return strings.TrimRight(format, "\r\n") }

// allowed puts the default wherever the chain delivers in a way that a pipeline may not.
func allowed(e *env, p *config.Pipeline) (notes []string, err error) {
	usual := config.Bare().Deliver
	for range maxMends {
		var problems config.Problems
		if _, err = config.Parse(e.file, config.ExampleAWS(p), e.getenv); !errors.As(err, &problems) {
			return notes, err
		}
		for _, m := range problems {
			switch m.Path {
			case "deliver.prefix":
				p.Deliver.Prefix = usual.Prefix
			case "deliver.error_prefix":
				if p.Deliver.Prefix == "" {
					p.Deliver.Prefix = usual.Prefix // all others would be below it
				}
				p.Deliver.ErrorPrefix = usual.ErrorPrefix
			default:
				continue // init ends with this mistake
			}
			notes = append(notes, fmt.Sprintf("the chain's %s is not kept, the file has stagelog's: %s", m.Path, m.Message))
		}
	}
	return notes, nil
}

// maxMends is how often one mended value may lay open a mistake about the other.
const maxMends = 3
