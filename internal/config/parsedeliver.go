package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// Firehose's limits (API model: BufferingHints).
const (
	maxInterval = 900 * time.Second
	maxSizeMiB  = 128
	// minParquetMiB is the least size with format conversion.
	minParquetMiB = 64
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
	m := v.mapping("interval", "size", "format", "compression", "prefix", "error_prefix")
	d := &p.Deliver
	if c := m["interval"]; c.exists() {
		d.Interval = c.duration(0, maxInterval)
		if d.Interval%time.Second != 0 {
			c.wrong("", "expected whole seconds, found %s", c.shown())
		}
	}
	if c := m["format"]; c.exists() {
		if text, ok := c.literal(); ok && text != "json" && text != "parquet" {
			c.wrong(didYouMean(text, []string{"json", "parquet"}), "%s is no format of objects: json or parquet", c.shown())
		} else if d.Parquet = text == "parquet"; d.Parquet {
			d.Size, d.Compression = minParquetMiB*mebibyte, Snappy
			checkColumns(p, c)
		}
	}
	if c := m["size"]; c.exists() {
		d.Size = c.mebibytes(1, maxSizeMiB)
		if d.Parquet && d.Size > 0 && d.Size < minParquetMiB*mebibyte {
			c.wrong("", "Firehose converts to Parquet with a size of at least %dMiB, found %s", minParquetMiB, c.shown())
		}
	}
	if c := m["compression"]; c.exists() {
		d.Compression = c.compression()
		if d.Parquet && (d.Compression == ZIP || d.Compression == HadoopSnappy) {
			c.wrong("", "the pages of a Parquet file are compressed with snappy, gzip or none, found %s", c.shown())
		}
	}
	if c := m["prefix"]; c.node != nil {
		d.Prefix, _ = c.literal()
	}
	if c := m["error_prefix"]; c.node != nil {
		d.ErrorPrefix, _ = c.literal()
	}
	checkPrefixes(p, v, m)
}

// columnPattern is what a column is called that every reader of a table takes without quotes.
var columnPattern = regexp.MustCompile(`^[a-z0-9_]{1,255}$`)

// partitionColumn is that of the table's partitions, which a field may not be called.
const partitionColumn = "date"

// checkColumns says which fields of the format cannot be columns of a table.
func checkColumns(p *Pipeline, v value) {
	format, err := accesslog.Parse(p.Format)
	if err != nil {
		return // the linter has said so
	}
	from := map[string]string{}
	for _, name := range append(format.Names(), p.Names.UsagePlan, p.Names.Customer, p.Names.UsagePlanID) {
		column := strings.ToLower(name)
		switch other := from[column]; {
		case name == "" || other == name:
		case other != "":
			v.wrong("rename one", "the format's fields %s and %s are one column: a table knows no upper case", other, name)
		case column == partitionColumn:
			v.wrong("rename it", "the format's field %s has the name of the table's partitions", name)
		case !columnPattern.MatchString(column):
			v.wrong("rename it: letters, digits and _", "the format's field %s cannot be a column", name)
		}
		from[column] = name
	}
	if len(from) == 0 {
		v.wrong("log a JSON object", "the format has no fields that could be columns")
	}
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
