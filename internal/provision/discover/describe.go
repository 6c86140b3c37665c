package discover

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/stagelog/stagelog/internal/config"
)

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
		if p.Name = o.Name; p.Name == "" {
			p.Name = pipelineName(stages[0].API.Name)
		}
		if p.Bucket = o.Bucket; p.Bucket == "" {
			p.Bucket = bucketName(p.Name, o.Account)
		}
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
