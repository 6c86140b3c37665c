package lake

import (
	"fmt"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
)

// ownPrefix holds the objects that stagelog keeps in a bucket for itself.
const ownPrefix = "stagelog/"

// OptionsOf returns how the logs that a pipeline delivers are imported. Without a pipeline, nil, they may lie anywhere in
// the bucket, in any format.
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
