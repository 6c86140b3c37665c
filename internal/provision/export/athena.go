package export

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Athena returns SQL for Amazon Athena: a table of the pipeline's objects, with partitions that
// Athena computes from the dates in their keys (partition projection), a view with the columns
// and types of the lake's view, and queries for the usual reports. Partition projection requires
// a prefix with Firehose's default dates or with year=/month=/day=(/hour=).
func Athena(p *config.Pipeline) ([]byte, error) {
	projection, err := desired.ProjectionOf(p.Deliver.Prefix)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(projection.Root, func(r rune) bool { return r == '\'' || r == '\\' || unicode.IsControl(r) }) {
		return nil, fmt.Errorf("prefix %q: the location of an Athena table cannot contain quotes, backslashes or control characters", p.Deliver.Prefix)
	}
	if p.Deliver.Compression == config.ZIP {
		return nil, errors.New("Athena cannot read ZIP; set deliver: {compression: gzip}")
	}
	format := accesslog.Parse(p.Format)
	a := athena{p: p, layout: projection, fields: format.Fields(), database: p.Database(), columns: p.Columns()}
	return []byte(a.text()), nil
}

type athena struct {
	p        *config.Pipeline
	layout   desired.Projection
	fields   map[string]accesslog.Path // by variable
	database string
	columns  []string
}

// text returns the whole file.
func (a *athena) text() string {
	return strings.Join([]string{a.head(), a.table(), a.view(), a.reports()}, "\n")
}

func (a *athena) head() string {
	return fmt.Sprintf(`-- SQL for Amazon Athena over the access logs of %s in s3://%s/%s, written by stagelog export athena.
-- Run the statements one by one in Athena's query editor. Partitions need no maintenance, because
-- Athena computes them. A query with a condition on "date" reads, and is billed for, only those days.

CREATE DATABASE IF NOT EXISTS %s;
`, a.p.Name, a.p.Bucket, a.layout.Root, a.database)
}

// table returns the table. All columns are strings, so that non-numeric values cause no errors; an object is its JSON text.
func (a *athena) table() string {
	var columns, properties []string
	for _, c := range a.columns {
		columns = append(columns, "  "+quoteName('`', c)+" string")
	}
	for _, p := range a.layout.Properties(a.p.Bucket) {
		properties = append(properties, "  "+sqlText(p[0])+" = "+sqlText(p[1]))
	}
	return fmt.Sprintf("CREATE EXTERNAL TABLE IF NOT EXISTS %s.lines (\n%s\n)\nPARTITIONED BY (`%s` string)\n%s\nLOCATION %s\nTBLPROPERTIES (\n%s\n);\n",
		a.database, strings.Join(columns, ",\n"), config.PartitionColumn, a.serde(), sqlText(a.layout.Location(a.p.Bucket)), strings.Join(properties, ",\n"))
}

// serde returns the clauses with the format of the objects.
func (a *athena) serde() string {
	if a.p.Deliver.Parquet {
		return "STORED AS PARQUET"
	}
	return "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\nWITH SERDEPROPERTIES ('ignore.malformed.json' = 'true', 'case.insensitive' = 'true')"
}

// athenaColumn is a column of the view: the first of fields that has a value, converted with read.
type athenaColumn struct {
	name   string
	read   string // SQL expression with {} for the field's text or NULL
	fields []accesslog.Path
}

func (a *athena) view() string {
	of := func(variables ...string) (fields []accesslog.Path) {
		for _, v := range variables {
			if f, ok := a.fields[v]; ok {
				fields = append(fields, f)
			}
		}
		return fields
	}
	added := func(name string) []accesslog.Path {
		if name == "" {
			return nil
		}
		return []accesslog.Path{{name}}
	}
	const (
		text   = "{}"
		number = "try_cast({} AS bigint)"
	)
	columns := []athenaColumn{
		{"request_id", text, of("$context.requestId")},
		{"extended_request_id", text, of("$context.extendedRequestId")},
		{"api_id", text, of("$context.apiId")}, {"stage", text, of("$context.stage")},
		{"key_id", text, of("$context.identity.apiKeyId")},
		{"customer", text, added(a.p.Names.Customer)}, {"usage_plan", text, added(a.p.Names.UsagePlan)}, {"usage_plan_id", text, added(a.p.Names.UsagePlanID)},
		{"method", text, of("$context.httpMethod")}, {"route", text, of("$context.resourcePath", "$context.routeKey")}, {"path", text, of("$context.path")},
		{"status", number, of("$context.status")}, {"latency", number, of("$context.responseLatency")},
		{"integration_latency", number, of("$context.integration.latency", "$context.integrationLatency")}, {"bytes", number, of("$context.responseLength")},
		{"ip", text, of("$context.identity.sourceIp")}, {"user_agent", text, of("$context.identity.userAgent")},
		{"error", text, of("$context.error.message", "$context.integration.error")},
	}
	var lines []string
	for _, c := range append([]athenaColumn{a.time()}, columns...) {
		var texts []string
		for _, f := range c.fields {
			texts = append(texts, fieldText(f))
		}
		value := fieldText(nil)
		switch len(texts) {
		case 0:
		case 1:
			value = texts[0]
		default:
			value = "coalesce(" + strings.Join(texts, ", ") + ")"
		}
		lines = append(lines, fmt.Sprintf("  %s AS %s", strings.ReplaceAll(c.read, "{}", value), c.name))
	}
	lines = append(lines, fmt.Sprintf("  coalesce(%s, %s) AS id", fieldText(a.fields["$context.extendedRequestId"]), fieldText(a.fields["$context.requestId"])))
	return fmt.Sprintf(`-- Firehose delivers at least once, so a request may appear twice: count distinct ids.
CREATE OR REPLACE VIEW %[1]s.requests AS
SELECT
%[2]s,
  "date"
FROM %[1]s.lines;
`, a.database, strings.Join(lines, ",\n"))
}

func (a *athena) time() athenaColumn {
	if f, ok := a.fields["$context.requestTimeEpoch"]; ok {
		return athenaColumn{"time", "from_unixtime(try_cast({} AS double) / 1000)", []accesslog.Path{f}}
	}
	if f, ok := a.fields["$context.requestTime"]; ok {
		return athenaColumn{"time", "try(date_parse({}, '%d/%b/%Y:%H:%i:%s +0000'))", []accesslog.Path{f}}
	}
	return athenaColumn{"time", "CAST({} AS timestamp)", nil}
}

// reports returns the queries of the usual reports over the last 30 days.
func (a *athena) reports() string {
	// The condition is on the partition column, because otherwise Athena reads and bills all objects.
	day := strings.NewReplacer("'", "", "yyyy", "%Y", "MM", "%m", "dd", "%d", "HH", "00").Replace(a.layout.Format)
	bound := fmt.Sprintf(`WHERE "date" >= date_format(date_add('day', -30, current_timestamp), %s)`, sqlText(day))
	queries := []struct{ about, columns, group string }{
		{"Usage by customer", "key_id, max_by(customer, time) AS customer", "key_id"},
		{"Usage by plan", "usage_plan_id, max_by(usage_plan, time) AS usage_plan", "usage_plan_id"},
		{"Usage by route", "method, route", "method, route"},
		{"Usage by status", "status", "status"},
		{"Usage by day", "date_trunc('day', time) AS day", "date_trunc('day', time)"},
	}
	var b strings.Builder
	b.WriteString("-- Reports of the last 30 days.\n")
	for _, q := range queries {
		fmt.Fprintf(&b, `
-- %s
SELECT %s, count(DISTINCT id) AS requests, count(DISTINCT CASE WHEN status >= 400 THEN id END) AS errors, sum(bytes) AS bytes,
  approx_percentile(latency, 0.5) AS p50, approx_percentile(latency, 0.95) AS p95, approx_percentile(latency, 0.99) AS p99,
  min(time) AS first, max(time) AS last
FROM %s.requests %s
GROUP BY %s ORDER BY requests DESC;
`, q.about, q.columns, a.database, bound, q.group)
	}
	return b.String()
}

// fieldText returns SQL for the text of a field, with NULL instead of "-", which means no value, and without a field. In the
// text of an object, format conversion may have changed the names to lower case.
func fieldText(field accesslog.Path) string {
	if field == nil {
		return "CAST(NULL AS varchar)"
	}
	column := quoteName('"', strings.ToLower(field[0]))
	if len(field) == 1 {
		return "nullif(" + column + ", '-')"
	}
	path := jsonPath(field[1:])
	text := "json_extract_scalar(" + column + ", " + sqlText(path) + ")"
	if lower := strings.ToLower(path); lower != path {
		text = "coalesce(" + text + ", json_extract_scalar(" + column + ", " + sqlText(lower) + "))"
	}
	return "nullif(" + text + ", '-')"
}

// plainField matches the names that need no quotes in a JSON path, listIndex those of a list's elements.
var (
	plainField = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	listIndex  = regexp.MustCompile(`^\[[0-9]+\]$`)
)

// jsonPath returns the JSON path of a field in an object.
func jsonPath(field accesslog.Path) string {
	path := "$"
	for _, name := range field {
		switch {
		case plainField.MatchString(name):
			path += "." + name
		case listIndex.MatchString(name):
			path += name
		default:
			path += `["` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"]`
		}
	}
	return path
}

// quoteName quotes an identifier. The fields of a format may contain any characters.
func quoteName(quote rune, name string) string {
	q := string(quote)
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// sqlText returns text as an SQL string.
func sqlText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
