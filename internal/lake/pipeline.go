package lake

import (
	"fmt"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
)

// ownPrefix is the prefix of stagelog's own objects in a bucket.
const ownPrefix = "stagelog/"

// OptionsOf returns the options to import the logs that a pipeline delivers. If p is nil, logs may be anywhere in the bucket
// and in any format.
func OptionsOf(p *config.Pipeline) (ImportOptions, error) {
	opts := ImportOptions{Except: []string{ownPrefix}}
	if p == nil {
		return opts, nil
	}
	opts.Prefix = p.Deliver.Logs()
	if failed := p.Deliver.ErrorOutput(); failed != "" {
		opts.Except = append(opts.Except, failed)
	}
	if p.Format == "" {
		return opts, nil
	}
	format, err := accesslog.Parse(p.Format)
	if err != nil {
		return opts, fmt.Errorf("the pipeline's format: %w", err)
	}
	opts.Mapping = MappingOf(format, p.Names.UsagePlan, p.Names.Customer, p.Names.UsagePlanID)
	return opts, nil
}
