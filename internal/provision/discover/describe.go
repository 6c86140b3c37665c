package discover

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
)

// adopt makes p describe the delivery stream that the stages log to, unchanged wherever a pipeline allows it. The notes
// list where it does not, and what else deploy would change.
func adopt(p *config.Pipeline, stages []Stage, o Options) (notes []string, err error) {
	stream := CommonStream(stages)
	if stream == nil {
		return nil, noCommonStream(stages)
	}
	name, ok := strings.CutPrefix(stream.Name, (&config.Pipeline{}).Stream())
	if !ok {
		return nil, fmt.Errorf("API Gateway cannot log to delivery stream %s: the name must begin with %s", stream.Name, (&config.Pipeline{}).Stream())
	}
	if stream.ORC {
		return nil, fmt.Errorf("delivery stream %s converts its records to ORC, and a pipeline delivers JSON or Parquet; leave out --adopt to create a new pipeline", stream.Name)
	}
	p.Name, p.Bucket, p.Deliver = name, stream.Bucket, stream.Deliver
	first := stages[0]
	for _, st := range stages[1:] {
		if oneLine(st.Format) != oneLine(first.Format) {
			notes = append(notes, fmt.Sprintf("%s and %s have different formats: the file uses the format of %s for both", first.Ref(), st.Ref(), first.Ref()))
		}
	}
	notes = append(notes, adoptFormat(p, first)...)
	if function := functionName(stream.Function); function != "" && function != p.Function() {
		var named []string
		p.Names, named = addedNames(p.Names, accesslog.Parse(p.Format), function, stream.Fields)
		notes = append(notes, named...)
	}
	notes = append(notes, adoptReaders(p, stream)...)
	invalid, err := replaceInvalid(p, o)
	if notes = append(notes, invalid...); err != nil {
		return notes, err
	}
	return append(notes, functionNotes(p, stream)...), nil
}

func noCommonStream(stages []Stage) error {
	for _, st := range stages {
		if st.Stream == nil {
			return fmt.Errorf("%s does not log to a delivery stream that delivers to S3, so there is nothing to adopt", st.Ref())
		}
	}
	last := stages[len(stages)-1]
	for _, st := range stages {
		if st.Stream.Name != last.Stream.Name {
			return fmt.Errorf("%s logs to %s, and %s to %s: each delivery stream is a separate pipeline, so adopt them one by one into different files (--file)",
				st.Ref(), st.Stream.Name, last.Ref(), last.Stream.Name)
		}
	}
	return nil
}

// adoptFormat sets the stage's format. A format whose records are not JSON is fixed, or else replaced by the default.
func adoptFormat(p *config.Pipeline, st Stage) (notes []string) {
	usual := *p
	setFormat(p, st.Format)
	if problem := formatError(st.Format); problem != "" {
		fixed, _ := accesslog.Fix(st.Format)
		if formatError(fixed) != "" {
			p.Format, p.FormatName = usual.Format, usual.FormatName
			return []string{fmt.Sprintf("records in the format of %s cannot be enriched (%s): the file uses %s instead", st.Ref(), problem, usual.FormatName)}
		}
		setFormat(p, asPreset(fixed))
		notes = append(notes, fmt.Sprintf("the file has a corrected format for %s: %s", st.Ref(), problem))
	}
	format := accesslog.Parse(p.Format)
	switch field := format.Fields()[accesslog.VarAPIKey]; {
	case !format.HidesAPIKey():
		notes = append(notes, "the format has the API key's value in a field's name, or in a field with other variables, where the function cannot mask it: change the format, or set `api_key: keep` to deliver it")
	case field != nil:
		notes = append(notes, fmt.Sprintf("the format has the API key's value in the field %s: the function masks it; set `api_key: keep` to deliver it, or use a format without it", field))
	}
	for _, place := range format.Places() {
		if field := place.Path.String(); strings.HasPrefix(place.Variable(), "$context.authorizer.") && (field == "plan_id" || field == "subscription_id") {
			// An authorizer sets these fields; the function fills them in for the other records.
			p.Names = config.OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"}
		}
	}
	return notes
}

// setFormat sets a format, by name if it is a preset.
func setFormat(p *config.Pipeline, format string) {
	p.Format, p.FormatName = oneLine(format), "custom"
	for _, name := range accesslog.Presets() {
		if text, _ := accesslog.Preset(name); oneLine(text) == p.Format {
			p.FormatName = name
		}
	}
}

// asPreset returns the preset that differs from format only in spaces, or else format.
func asPreset(format string) string {
	for _, name := range accesslog.Presets() {
		if text, _ := accesslog.Preset(name); oneLine(text) == strings.ReplaceAll(oneLine(format), " ", "") {
			return text
		}
	}
	return format
}

// formatError returns the first error in a format, or "".
func formatError(format string) string {
	for _, f := range accesslog.Lint(format) {
		if f.Severity == accesslog.Error {
			return f.Message
		}
	}
	return ""
}

func oneLine(format string) string { return strings.TrimRight(format, "\r\n") }

// adoptReaders sets the readers that the bucket policy allows, unless others were given. If all objects are at the top
// of the bucket, a pipeline cannot have readers, because they could also get the error objects; the policy is not changed.
func adoptReaders(p *config.Pipeline, stream *Stream) (notes []string) {
	accounts := strings.Join(stream.Readers, ", ")
	switch {
	case accounts == "" || len(p.Readers) > 0:
		return nil
	case stream.Deliver.Logs() == "":
		return []string{fmt.Sprintf("the bucket policy allows %s to get objects and is not changed; to list them under readers:, choose a prefix: under deliver: that does not include error objects", accounts)}
	}
	p.Readers = stream.Readers
	return []string{fmt.Sprintf("the bucket policy allows %s to get objects: the file lists them under readers:", accounts)}
}

// maxReplacements limits the rounds: replacing one invalid prefix may reveal a problem with the other.
const maxReplacements = 3

// replaceInvalid replaces prefixes that a pipeline does not allow by the defaults.
func replaceInvalid(p *config.Pipeline, o Options) (notes []string, err error) {
	usual := config.Bare().Deliver
	for range maxReplacements {
		var problems config.Problems
		if _, err = config.Parse(o.File, config.ExampleAWS(p), o.Getenv); !errors.As(err, &problems) {
			return notes, err
		}
		for _, problem := range problems {
			switch problem.Path {
			case "deliver.prefix":
				p.Deliver.Prefix = usual.Prefix
			case "deliver.error_prefix":
				if p.Deliver.Prefix == "" {
					p.Deliver.Prefix = usual.Prefix // every error prefix would be below ""
				}
				p.Deliver.ErrorPrefix = usual.ErrorPrefix
			default:
				continue // Describe fails with this problem
			}
			notes = append(notes, fmt.Sprintf("%s is replaced by the default: %s", problem.Path, problem.Message))
		}
	}
	return notes, nil
}

func functionNotes(p *config.Pipeline, stream *Stream) []string {
	function := functionName(stream.Function)
	switch function {
	case p.Function():
		return nil
	case "":
		return []string{fmt.Sprintf("the delivery stream has no function: deploy adds %s, which sets usage plan and customer", p.Function())}
	}
	return []string{fmt.Sprintf("the delivery stream's function is %s: deploy replaces it with %s and does not delete it", function, p.Function())}
}

// functionName returns the name in a function's ARN, "" for "".
func functionName(arn string) string {
	_, name, _ := strings.Cut(arn, ":function:")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// Options hold the values of a described pipeline that do not follow from its stages.
type Options struct {
	Region, Account string
	Name, Bucket    string   // "": derived from the API's name and the account
	Readers         []string // accounts
	Adopt           bool     // describe the delivery stream that the stages log to
	File            string   // name of stagelog.yaml, for messages
	Getenv          func(string) string
}

// Description holds a pipeline that was derived from stages, as a file and as its content.
type Description struct {
	Pipeline *config.Pipeline
	File     []byte   // stagelog.yaml
	Notes    []string // differences between the pipeline and the account
}

// Describe derives a pipeline that logs the stages, at least one.
func Describe(stages []Stage, o Options) (Description, error) {
	p := config.Bare()
	p.Region, p.Account, p.Readers = o.Region, o.Account, o.Readers
	for _, st := range stages {
		p.Stages = append(p.Stages, st.Ref())
	}
	var notes []string
	if o.Adopt {
		var err error
		if notes, err = adopt(p, stages, o); err != nil {
			return Description{}, err
		}
	} else {
		p.Name = cmp.Or(o.Name, pipelineName(stages[0].API.Name))
		p.Bucket = cmp.Or(o.Bucket, bucketName(p.Name, o.Account))
	}
	file := config.ExampleAWS(p)
	p, err := config.Parse(o.File, file, o.Getenv)
	if err != nil {
		return Description{}, err
	}
	for _, w := range p.Warnings() {
		notes = append(notes, w.String())
	}
	return Description{Pipeline: p, File: file, Notes: notes}, nil
}

// CommonStream returns the delivery stream that all of the stages log to, or nil.
func CommonStream(stages []Stage) *Stream {
	first := stages[0].Stream
	for _, st := range stages {
		if st.Stream == nil || st.Stream.Name != first.Name {
			return nil
		}
	}
	return first
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// maxDerivedName limits the length of names derived from an API's name.
const maxDerivedName = 20

// pipelineName derives the name of a pipeline from an API's name.
func pipelineName(api string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(api), "-"), "-")
	if name = strings.TrimRight(name[:min(len(name), maxDerivedName)], "-"); name == "" {
		return "api"
	}
	return name
}

// maxBucket is S3's limit for the name of a bucket.
const maxBucket = 63

// bucketName derives the name of a bucket. It contains the account, because bucket names are shared by all accounts.
func bucketName(name, account string) string {
	end := "-api-logs-" + account
	begin := strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return begin[:min(len(begin), maxBucket-len(end))] + end
}

// LoggingNotes returns what the user should know about the stages before the pipeline logs them.
func (f Found) LoggingNotes(stages []Stage) (notes []string) {
	for _, st := range stages {
		if f.PlansKnown && len(st.Plans) == 0 && !strings.Contains(st.Format, "$context.authorizer.") {
			notes = append(notes, fmt.Sprintf("%s is in no usage plan: its requests have no customer until it is in one and its methods require API keys", st.Ref()))
		}
	}
	return notes
}
