package pipeline

import (
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// Firehose's limits (API model: BufferingHints).
const (
	maxInterval = 900 * time.Second
	maxSizeMiB  = 128
)

func readNames(p *Pipeline, v value) {
	m := v.mapping("usage_plan", "customer", "usage_plan_id")
	used := map[string]string{}
	format, err := accesslog.Parse(p.Format)
	if err != nil {
		return // the linter has said so
	}
	fields := map[string]string{}
	for variable, field := range format.Fields().ByVariable {
		fields[field] = variable
	}
	for _, n := range []struct {
		key  string
		name *string
	}{{"usage_plan", &p.Names.UsagePlan}, {"customer", &p.Names.Customer}, {"usage_plan_id", &p.Names.UsagePlanID}} {
		c := m[n.key]
		if c.exists() {
			text, ok := c.literal()
			if ok && text != "" && !fieldPattern.MatchString(text) {
				c.wrong("", "expected the name of a field: letters, digits, _, - and ., found %s", c.shown())
				continue
			}
			*n.name = text
		} else if *n.name == "" {
			continue
		}
		if other := used[*n.name]; other != "" && *n.name != "" {
			c.orTop(v).wrong("", "%s and %s have the same name %s", other, n.key, *n.name)
		}
		used[*n.name] = n.key
		if variable := fields[*n.name]; variable != "" && !strings.HasPrefix(variable, "$context.authorizer.") {
			c.orTop(v).wrong("choose another name", "the format has a field %s already, with %s", *n.name, variable)
		}
	}
}

// orTop is v, or where v would be if it were there.
func (v value) orTop(above value) value {
	if v.file != nil {
		return v
	}
	return above
}

func readDeliver(p *Pipeline, v value) {
	m := v.mapping("interval", "size", "compression", "prefix", "error_prefix")
	d := &p.Deliver
	if c := m["interval"]; c.exists() {
		d.Interval = c.duration(0, maxInterval)
		if d.Interval%time.Second != 0 {
			c.wrong("", "expected whole seconds, found %s", c.shown())
		}
	}
	if c := m["size"]; c.exists() {
		d.Size = c.mebibytes(1, maxSizeMiB)
	}
	if c := m["compression"]; c.exists() {
		d.Compression = c.compression()
	}
	if c := m["prefix"]; c.node != nil {
		d.Prefix, _ = c.literal()
	}
	if c := m["error_prefix"]; c.node != nil {
		d.ErrorPrefix, _ = c.literal()
	}
	checkPrefixes(p, v, m)
}

// duration is a time span with its unit, like 60s or 2m.
func (v value) duration(least, most time.Duration) time.Duration {
	text, ok := v.literal()
	if !ok {
		return 0
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		v.wrong("write "+text+"s for seconds", "expected a time with its unit, found %s", v.shown())
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		v.wrong("write it like 60s or 2m", "expected a time, found %s", v.shown())
		return 0
	}
	if d < least || d > most {
		v.wrong("", "expected a time from %s to %s, found %s", seconds(least), seconds(most), v.shown())
		return 0
	}
	return d
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}

// mebibytes is a size in whole MiB, in bytes.
func (v value) mebibytes(least, most int) int64 {
	text, ok := v.literal()
	if !ok {
		return 0
	}
	digits := strings.TrimRight(text, "BKMGTbikmgt ")
	unit := strings.TrimSpace(text[len(digits):])
	n, err := strconv.Atoi(digits)
	switch {
	case err == nil && unit == "MiB" && n >= least && n <= most:
		return int64(n) * mebibyte
	case err == nil && unit == "MiB":
		v.wrong("", "expected a size from %dMiB to %dMiB, found %s", least, most, v.shown())
	case err == nil && (unit == "" || strings.EqualFold(unit, "MB") || strings.EqualFold(unit, "M") || strings.EqualFold(unit, "MiB")):
		v.wrong("write "+digits+"MiB", "expected a size in MiB, found %s", v.shown())
	default:
		v.wrong("write it like 5MiB", "expected a size in whole MiB, found %s", v.shown())
	}
	return 0
}

// compression is a format by its name in lower case, or as Firehose's API names it.
func (v value) compression() string {
	text, ok := v.literal()
	if !ok {
		return ""
	}
	switch strings.ToLower(strings.ReplaceAll(text, "_", "-")) {
	case "gzip":
		return GZIP
	case "none", "uncompressed":
		return Uncompressed
	case "zip":
		return ZIP
	case "snappy":
		return Snappy
	case "hadoop-snappy":
		return HadoopSnappy
	}
	v.wrong(didYouMean(text, []string{"gzip", "none", "zip", "snappy", "hadoop-snappy"}), "%s is not a compression", v.shown())
	return ""
}
