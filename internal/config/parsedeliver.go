package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config/yamlfile"
	"github.com/stagelog/stagelog/internal/record"
)

// readNames reads the names of the added fields. Problems of a default name are reported at the position of format.
func readNames(p *Pipeline, v, format yamlfile.Value) {
	m := v.Mapping("usage_plan", "customer", "usage_plan_id")
	used := map[string]string{}
	fields := map[string]string{}
	for _, place := range accesslog.Parse(p.Format).Places() {
		if len(place.Path) == 1 {
			fields[place.Path[0]] = place.Variable()
		} else {
			fields[place.Path[0]] = "other fields in it"
		}
	}
	for _, n := range []struct {
		key  string
		name *string
	}{{"usage_plan", &p.Names.UsagePlan}, {"customer", &p.Names.Customer}, {"usage_plan_id", &p.Names.UsagePlanID}} {
		c := m[n.key]
		if c.Exists() {
			text, ok := c.Literal()
			if ok && text != "" && !fieldPattern.MatchString(text) {
				c.Problemf("", "expected a field name of letters, digits, _, - and ., found %s", c.Shown())
				continue
			}
			*n.name = text
		} else if *n.name == "" {
			continue
		}
		if other := used[*n.name]; other != "" && *n.name != "" {
			c.Or(v).Or(format).Problemf("", "%s and %s have the same name %s", other, n.key, *n.name)
		}
		used[*n.name] = n.key
		if variable := fields[*n.name]; variable != "" && !strings.HasPrefix(variable, "$context.authorizer.") {
			c.Or(v).Or(format).Problemf("choose another name in names", "the format already has a field %s, with %s", *n.name, variable)
		}
	}
}

func readDeliver(p *Pipeline, v yamlfile.Value) {
	m := v.Mapping("interval", "size", "format", "compression", "prefix", "error_prefix")
	d := &p.Deliver
	if c := m["interval"]; c.Exists() {
		d.Interval = c.Duration(0, record.MaxInterval)
		if d.Interval%time.Second != 0 {
			c.Problemf("", "expected whole seconds, found %s", c.Shown())
		}
	}
	if c := m["format"]; c.Exists() {
		if text, ok := c.Literal(); ok && text != "json" && text != "parquet" {
			c.Problemf(yamlfile.DidYouMean(text, []string{"json", "parquet"}), "unknown object format %s", c.Shown())
		} else if d.Parquet = text == "parquet"; d.Parquet {
			d.Size, d.Compression = record.MinLargeSizeMiB*mebibyte, Snappy
			checkColumns(p, c)
		}
	}
	if c := m["size"]; c.Exists() {
		d.Size = readMebibytes(c)
		if d.Parquet && d.Size > 0 && d.Size < record.MinLargeSizeMiB*mebibyte {
			c.Problemf("", "expected at least %dMiB, Firehose's minimum with format parquet, found %s", record.MinLargeSizeMiB, c.Shown())
		}
	}
	if c := m["compression"]; c.Exists() {
		d.Compression = readCompression(c)
		if d.Parquet && (d.Compression == ZIP || d.Compression == HadoopSnappy) {
			c.Problemf("", "expected snappy, gzip or none with format parquet, found %s", c.Shown())
		}
	}
	if c := m["prefix"]; c.Given() {
		d.Prefix, _ = c.Literal()
	}
	if c := m["error_prefix"]; c.Given() {
		d.ErrorPrefix, _ = c.Literal()
	}
	checkPrefixes(p, v, m)
}

// columnPattern matches the names of columns that need no quotes in any SQL engine.
var columnPattern = regexp.MustCompile(`^[a-z0-9_]{1,255}$`)

// checkColumns reports the fields that cannot be columns of a table.
func checkColumns(p *Pipeline, v yamlfile.Value) {
	from := map[string]string{}
	for _, name := range append(accesslog.Parse(p.Format).Names(), p.Names.UsagePlan, p.Names.Customer, p.Names.UsagePlanID) {
		column := strings.ToLower(name)
		switch other := from[column]; {
		case name == "" || other == name:
		case other != "":
			v.Problemf("rename one", "the format's fields %s and %s are the same column: column names are case-insensitive", other, name)
		case column == PartitionColumn:
			v.Problemf("rename it", "the format's field %s has the name of the table's partition column", name)
		case !columnPattern.MatchString(column):
			v.Problemf("use letters, digits and _", "the format's field %s cannot be a column name", name)
		}
		from[column] = name
	}
	if len(from) == 0 {
		v.Problemf("log a JSON object", "the format has no fields to use as columns")
	}
}

// readMebibytes reads a size in whole MiB and returns bytes.
func readMebibytes(v yamlfile.Value) int64 {
	text, ok := v.Literal()
	if !ok {
		return 0
	}
	digits := strings.TrimRight(text, "BKMGTbikmgt ")
	unit := strings.TrimSpace(text[len(digits):])
	n, err := strconv.Atoi(digits)
	switch {
	case err == nil && unit == "MiB" && n >= 1 && n <= record.MaxSizeMiB:
		return int64(n) * mebibyte
	case err == nil && unit == "MiB":
		v.Problemf("", "expected a size from 1MiB to %dMiB, found %s", record.MaxSizeMiB, v.Shown())
	case err == nil && (unit == "" || strings.EqualFold(unit, "MB") || strings.EqualFold(unit, "M") || strings.EqualFold(unit, "MiB")):
		v.Problemf("write "+digits+"MiB", "expected a size in MiB, found %s", v.Shown())
	default:
		v.Problemf("write it like 5MiB", "expected a size in whole MiB, found %s", v.Shown())
	}
	return 0
}

// readCompression reads a compression by its name in lower case or by its name in Firehose's API.
func readCompression(v yamlfile.Value) string {
	text, ok := v.Literal()
	word := strings.ToLower(strings.ReplaceAll(text, "_", "-"))
	if word == "uncompressed" {
		return Uncompressed
	}
	i := slices.Index(compressionWords, word)
	if ok && i < 0 {
		v.Problemf(yamlfile.DidYouMean(text, compressionWords), "unknown compression %s", v.Shown())
	}
	if i < 0 {
		return ""
	}
	return compressions[i]
}

// The compressions by the file's words and by Firehose's names.
var (
	compressionWords = []string{"gzip", "none", "zip", "snappy", "hadoop-snappy"}
	compressions     = []string{GZIP, Uncompressed, ZIP, Snappy, HadoopSnappy}
)
