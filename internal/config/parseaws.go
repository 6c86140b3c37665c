package config

import (
	"slices"
	"strconv"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
	"github.com/stagelog/stagelog/internal/record"
)

// AWS holds settings of the resources that `stagelog deploy` creates and `stagelog up` does not need.
type AWS struct {
	Architecture string // of the function: arm64 or x86_64, as Lambda names them; "" if not set
	Memory       int    // of the function, MiB: 128 to 10240
	ExpireDays   int    // days after which delivered objects are deleted; 0 keeps them
	ErrorDays    int    // the same for error objects
	LogDays      int    // retention of the CloudWatch log groups, one of CloudWatch's steps
}

const maxExpireDays = 36500

func readAWS(p *Pipeline, v yamlfile.Value) {
	m := v.Mapping("architecture", "memory", "expire_days", "error_days", "log_days")
	a := &p.AWS
	if c := m["architecture"]; c.Exists() {
		a.Architecture = c.OneOf("arm64", "x86_64")
	}
	if c := m["memory"]; c.Exists() {
		a.Memory = int(c.Whole(record.MinFunctionMemoryMiB, record.MaxFunctionMemoryMiB))
	}
	if c := m["expire_days"]; c.Exists() {
		a.ExpireDays = int(c.Whole(0, maxExpireDays))
	}
	if c := m["error_days"]; c.Exists() {
		a.ErrorDays = int(c.Whole(0, maxExpireDays))
	}
	if c := m["log_days"]; c.Exists() {
		a.LogDays = int(c.Whole(1, 3653))
		if a.LogDays != 0 && !slices.Contains(record.LogRetentionDays(), a.LogDays) {
			c.Problemf("write "+strconv.Itoa(nextStep(a.LogDays)), "expected a retention that CloudWatch Logs accepts: 1, 3, 5, 7, 14, 30, 60, 90, 120 ... days, found %s", c.Shown())
		}
	}
}

func nextStep(days int) int {
	steps := record.LogRetentionDays()
	i, _ := slices.BinarySearch(steps, days)
	return steps[min(i, len(steps)-1)]
}
