package provision

import (
	"context"
	"slices"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// monitoring returns the alarms and the dashboard of a pipeline.
func monitoring(d *desired.Resources, c *Clients) []Resource {
	var all []Resource
	for _, a := range d.Alarms {
		all = append(all, newAlarm(d.Spec, a, c))
	}
	if d.Dashboard != nil {
		all = append(all, newDashboard(d.Spec, *d.Dashboard, c))
	}
	return all
}

// leftMonitoring returns the pipeline's alarms and the dashboard that it has, but should no longer have. It ignores what cannot be
// read, because credentials need no permission to read what the pipeline never had.
func leftMonitoring(ctx context.Context, d *desired.Resources, c *Clients) (left []Resource) {
	with, err := desired.New(d.Spec.Monitored())
	if err != nil {
		return nil
	}
	wanted := monitoring(d, c)
	for _, r := range monitoring(with, c) {
		if slices.ContainsFunc(wanted, func(w Resource) bool { return w.Kind() == r.Kind() && w.Name() == r.Name() }) {
			continue
		}
		if state, err := r.Read(ctx); err == nil && state.Exists && state.RequiredFlag == NoFlag {
			left = append(left, r)
		}
	}
	return left
}
