package config

import (
	"cmp"
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
	LogDays      int    // retention of the CloudWatch log groups, one of CloudWatch's steps; 0 leaves it to the account
	Organisation
	BucketSettings
	Monitoring
}

const maxExpireDays = 36500

func readAWS(p *Pipeline, v yamlfile.Value) {
	m := v.Mapping("architecture", "memory", "expire_days", "error_days", "log_days",
		"encryption", "versioning", "bucket_account",
		"tags", "permissions_boundary", "role_path", "function_role", "firehose_role", "kms_key",
		"alarms", "alarm_topic", "dashboard")
	a := &p.AWS
	a.Architecture = m["architecture"].OneOf("arm64", "x86_64")
	a.Memory = cmp.Or(int(m["memory"].Whole(record.MinFunctionMemoryMiB, record.MaxFunctionMemoryMiB)), a.Memory)
	a.ExpireDays = int(m["expire_days"].Whole(0, maxExpireDays))
	a.ErrorDays = int(m["error_days"].Whole(0, maxExpireDays))
	readBucketSettings(p, m)
	if c := m["log_days"]; c.Exists() {
		a.LogDays = readLogDays(c)
	}
	readOrganisation(p, m)
	readMonitoring(p, m)
}

// readLogDays returns 0 for keep.
func readLogDays(c yamlfile.Value) int {
	if c.Shown() == keep {
		return 0
	}
	days, steps := int(c.Whole(1, 3653)), record.LogRetentionDays()
	if i, found := slices.BinarySearch(steps, days); !found && days != 0 {
		c.Problemf("write "+strconv.Itoa(steps[min(i, len(steps)-1)]), "expected keep or a retention that CloudWatch Logs accepts: 1, 3, 5, 7, 14, 30, 60, 90, 120 ... days, found %s", c.Shown())
	}
	return days
}
