//go:build cgo

package lake_test

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/laketest"
	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/report"
	"github.com/stagelog/stagelog/internal/testenv"
)

// TestReportsOfAnyPipelineEqualPlainGo delivers random requests by random pipelines, and compares their reports with sums over
// the requests.
func TestReportsOfAnyPipelineEqualPlainGo(t *testing.T) {
	testenv.NeedPlain(t, testenv.Kill)
	rounds := uint64(5)
	if testenv.Asked(testenv.Kill) {
		rounds = 300
	}
	duck := laketest.Open(t)
	for seed := range rounds {
		(&pipeline{Rand: rand.New(rand.NewPCG(seed, 13)), duck: duck}).compare(t, fmt.Sprint("seed ", seed))
	}
	(&pipeline{Rand: laketest.Rand(t), duck: duck}).compare(t, "random seed")
}

// pipeline is a random way of requests into a bucket.
type pipeline struct {
	*rand.Rand
	duck     *sql.DB // converts objects
	format   *accesslog.Format
	logged   map[string]bool // variables with a field or a partition
	known    bool            // whether the import knows the format
	customer string          // name of the added field; "" if none
	objects  string          // kind of objects
	wrapper  string          // what each line is in; "" for nothing
	folders  string          // layout of the dates in keys
	hive     string          // variable whose values are a partition instead of a field; "" if none
	zone     *time.Location  // of the dates in keys
	named    bool            // whether objects have Firehose's names
	bursts   []time.Time     // when requests arrive
}

// call is a request as API Gateway knows it.
type call struct {
	at       time.Time
	values   map[string]string // by variable, "-" if it has none
	customer string
}

const customerField = "customer" // stands for the added field among the variables

// fieldsByName are names that say which variable a field has, as paths.
var fieldsByName = map[string][]string{
	"$context.requestId":          {"request_id", "requestId", "context.requestId", "request.id", "requestContext.requestId", "http.request.id"},
	"$context.extendedRequestId":  {"extended_request_id", "extendedRequestId", "request.extendedRequestId"},
	"$context.requestTimeEpoch":   {"request_time_epoch", "requestTimeEpoch", "requestContext.timeEpoch"},
	"$context.requestTime":        {"request_time", "requestTime", "time", "requestContext.requestTime"},
	"$context.apiId":              {"api_id", "apiId", "api.id", "api.apiId"},
	"$context.stage":              {"stage", "api.stage", "requestContext.stage"},
	"$context.identity.apiKeyId":  {"key_id", "keyId", "identity.apiKeyId", "userIdentity.apiKeyId"},
	"$context.identity.apiKey":    {"api_key", "apiKey", "identity.apiKey", "deep.in.it.apiKey"},
	"$context.httpMethod":         {"method", "httpMethod", "http.method", "request.method"},
	"$context.resourcePath":       {"resource_path", "route", "http.route", "context.resourcePath"},
	"$context.path":               {"path", "uri", "http.path", "url.path", "http.url_details.path"},
	"$context.status":             {"status", "response_status", "http.status_code", "http.response.status_code", "response.status"},
	"$context.responseLatency":    {"latency", "request_latency", "response.latency", "response.responseLatency"},
	"$context.responseLength":     {"bytes", "response_size", "response.size", "response.length"},
	"$context.identity.sourceIp":  {"ip", "client.ip", "identity.sourceIp", "network.client.ip", "source.ip"},
	"$context.identity.userAgent": {"user_agent", "identity.userAgent", "http.useragent", "user_agent.original"},
	"$context.error.message":      {"error_message", "error.message"},
	"$context.integration.status": {"integration_status", "integration.status"},
	"$context.authorizer.error":   {"authorizer.error", "authorizer_error"},
	"$context.waf.latency":        {"waf.latency", "waf-latency"},
}

// numeric are the variables that always have a number, which formats may have without quotes.
var numeric = []string{"$context.status", "$context.responseLatency", "$context.requestTimeEpoch", "$context.integration.status"}

// misleading are names that say something else than the variables which get them here.
var misleading = []string{"status", "customer", "bytes", "method", "api_id", "key_id", "error", "time", "identity", "http.status", "response.size", "stage.stage"}

// design chooses the format and how objects are written.
func (p *pipeline) design() {
	p.known = p.IntN(2) == 0
	p.objects = pick(p, "lines", "lines", "CRLF", "run together", "list", "delivered Parquet", "Parquet of DuckDB")
	if !strings.Contains(p.objects, "Parquet") && p.IntN(2) == 0 {
		p.wrapper = pick(p, "subscription", "export", "Docker", "Filebeat", "Insights", "HEC", "object")
		if p.wrapper == "export" && p.objects != "CRLF" {
			p.objects = "lines"
		}
	}
	p.folders = pick(p, "2006/01/02/15/", "2006/01/02/", "year=2006/month=01/day=02/", "year=2006/month=1/day=2/hour=15/", "dt=2006-01-02/", "")
	p.zone = time.FixedZone("", (p.IntN(27)-12)*3600)
	p.named = p.IntN(2) == 0
	if p.IntN(4) == 0 {
		p.hive = pick(p, "$context.apiId", "$context.stage", "$context.identity.apiKeyId", "$context.httpMethod", "$context.resourcePath", "$context.status")
	}
	for range 8 {
		p.bursts = append(p.bursts, begin.Add(time.Duration(p.Int64N(int64(period)))).Truncate(time.Millisecond))
	}
	p.logged = map[string]bool{}
	for _, v := range slices.Sorted(maps.Keys(fieldsByName)) {
		p.logged[v] = p.IntN(4) > 0 || v == p.hive || v == "$context.requestId" || v == "$context.status"
	}
	if !p.logged["$context.requestTimeEpoch"] {
		p.logged["$context.requestTime"] = true
	}
	for !p.chooseFields() {
	}
}

// chooseFields chooses a field for each variable, and sets the format. It returns false if two fields have the same place.
func (p *pipeline) chooseFields() bool {
	root := &node{}
	p.customer = pick(p, "", "customer", "subscription_id")
	if p.known && p.customer != "" && p.IntN(2) == 0 {
		p.customer = "wer"
	}
	if p.customer != "" && !root.add([]string{p.customer}, "") {
		return false
	}
	variables := slices.Sorted(maps.Keys(fieldsByName))
	p.Shuffle(len(variables), func(i, j int) { variables[i], variables[j] = variables[j], variables[i] })
	for _, variable := range variables {
		if !p.logged[variable] || variable == p.hive {
			continue
		}
		path := strings.Split(pick(p, fieldsByName[variable]...), ".")
		if p.known && p.IntN(2) == 0 {
			path = p.anyPath()
		}
		text := `"` + variable + `"`
		if slices.Contains(numeric, variable) && p.IntN(3) == 0 {
			text = variable
		}
		if !root.add(path, text) {
			return false
		}
	}
	var text strings.Builder
	root.write(&text, p.customer)
	p.format = accesslog.Parse(text.String())
	return true
}

// anyPath returns a path that only the format explains.
func (p *pipeline) anyPath() []string {
	if p.IntN(3) == 0 && p.hive == "" { // the name of a partition must have its usual meaning
		return strings.Split(pick(p, misleading...), ".")
	}
	var path []string
	for range p.IntN(3) {
		path = append(path, pick(p, "http", "integration", "x y", "Deep", "waf", "ä"))
	}
	return append(path, pick(p, "f", `"q"`, "Größe", "d-e", "Upper_")+strconv.Itoa(p.IntN(1000)))
}

// node is a field of a format: an object, or a text that is a value.
type node struct {
	text  string
	names []string
	inner []*node
}

// add adds a field, and returns false if there is already one at its place.
func (n *node) add(path []string, text string) bool {
	i := slices.IndexFunc(n.names, func(name string) bool { return strings.EqualFold(name, path[0]) })
	if i < 0 {
		i = len(n.names)
		n.names, n.inner = append(n.names, path[0]), append(n.inner, &node{})
	} else if len(path) == 1 || n.inner[i].text != "" || len(n.inner[i].names) == 0 || n.names[i] != path[0] {
		return false
	}
	if len(path) > 1 {
		return n.inner[i].add(path[1:], text)
	}
	n.inner[i].text = text
	return true
}

// write writes the object without one of its fields.
func (n *node) write(b *strings.Builder, without string) {
	b.WriteByte('{')
	first := true
	for i, name := range n.names {
		if name == without {
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		b.WriteString(quoted(name) + ":")
		if inner := n.inner[i]; inner.text != "" {
			b.WriteString(inner.text)
		} else {
			inner.write(b, "")
		}
	}
	b.WriteByte('}')
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func pick[T any](p *pipeline, from ...T) T { return from[p.IntN(len(from))] }

// begin is when the first request arrives.
var begin = time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC) // clocks go back in Europe on the next day

const period = 3 * 24 * time.Hour

// call returns a random request.
func (p *pipeline) call(i int) call {
	key, status := pick(p, "k1", "k2", "k3", "-"), pick(p, 200, 200, 201, 304, 403, 404, 429, 500, 503)
	c := call{at: pick(p, p.bursts...).Add(time.Duration(p.IntN(600_000)) * time.Millisecond), customer: "-"}
	if key != "-" {
		c.customer = "Customer of " + key
	}
	c.values = map[string]string{
		"$context.requestId":         fmt.Sprintf("c6af9ac6-7b61-11e6-9a41-%012x", i),
		"$context.extendedRequestId": fmt.Sprintf("JKJaXm%06d=", i),
		"$context.requestTimeEpoch":  strconv.FormatInt(c.at.UnixMilli(), 10),
		"$context.requestTime":       c.at.Format("02/Jan/2006:15:04:05 -0700"),
		"$context.apiId":             pick(p, "a1b2c3", "d4e5f6"), "$context.stage": pick(p, "prod", "test"),
		"$context.identity.apiKeyId": key, "$context.identity.apiKey": pick(p, "-", "SECRETSECRETSECRET"),
		"$context.httpMethod": pick(p, "GET", "POST", "-"), "$context.resourcePath": pick(p, "/orders/{id}", "/items", "/ä b/{x}", "-"),
		"$context.path": "/" + pick(p, texts...), "$context.status": strconv.Itoa(status),
		"$context.responseLatency": strconv.Itoa(p.IntN(3000)), "$context.responseLength": pick(p, "-", "0", "17", strconv.Itoa(p.IntN(1<<20))),
		"$context.identity.sourceIp": pick(p, "192.0.2.1", "2001:db8::1"), "$context.identity.userAgent": pick(p, texts...),
		"$context.error.message": pick(p, texts...), "$context.integration.status": pick(p, "200", "502"),
		"$context.authorizer.error": pick(p, "-", "no"), "$context.waf.latency": "3",
	}
	return c
}

// seen returns the value of a variable that the log has; "-" if it has none.
func (p *pipeline) seen(c call, variable string) string {
	if variable == customerField && p.customer != "" {
		return c.customer
	}
	if !p.logged[variable] {
		return "-"
	}
	return c.values[variable]
}

// time returns the time of a request in the log.
func (p *pipeline) time(c call) time.Time {
	if p.logged["$context.requestTimeEpoch"] {
		return c.at
	}
	return c.at.Truncate(time.Second)
}

// line returns the record of a request.
func (p *pipeline) line(c call) string {
	line := string(p.format.AppendLine(nil, func(variable string) (string, bool) { return c.values[variable], true }))
	if p.customer != "" {
		line = strings.TrimSuffix(line, "}") + `, ` + quoted(p.customer) + `: ` + quoted(c.customer) + "}"
	}
	return line
}

// wrap returns a line as a tool between API Gateway and the bucket writes it.
func (p *pipeline) wrap(line string, at time.Time) string {
	at = at.Add(time.Duration(p.IntN(5000)) * time.Millisecond)
	const iso = "2006-01-02T15:04:05.000Z"
	switch p.wrapper {
	case "subscription":
		return fmt.Sprintf(`{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[{"id":"3","timestamp":%d,"message":%s}]}`, at.UnixMilli(), quoted(line))
	case "export":
		return at.Format(iso) + " " + line
	case "Docker":
		return fmt.Sprintf(`{"log":%s,"stream":"stdout","time":"%s"}`, quoted(line+"\n"), at.Format(time.RFC3339Nano))
	case "Filebeat":
		return fmt.Sprintf(`{"@timestamp":"%s","message":%s,"host":{"name":"h"},"log":{"offset":1,"file":{"path":"/x"}}}`, at.Format(iso), quoted(line))
	case "Insights":
		return fmt.Sprintf(`{"@timestamp":"%s","@message":%s,"@ptr":"x"}`, at.Format("2006-01-02 15:04:05.000"), quoted(line))
	case "HEC":
		return fmt.Sprintf(`{"time":%d.5,"host":"h","source":"firehose","event":%s}`, at.Unix(), line)
	case "object":
		return fmt.Sprintf(`{"timestamp":"%s","%s":%s}`, at.Format(iso), pick(p, "log", "message", "body"), line)
	}
	return line
}

// key returns the key of the object for a request.
func (p *pipeline) key(c call) string {
	delivered := c.at.Add(time.Duration(p.IntN(900)) * time.Second).In(p.zone)
	folders := "logs/"
	if p.hive != "" {
		value := url.PathEscape(c.values[p.hive])
		if value == "-" {
			value = "__HIVE_DEFAULT_PARTITION__"
		}
		folders += strings.ReplaceAll(fieldsByName[p.hive][0], ".", "_") + "=" + value + "/"
	}
	folders += delivered.Format(p.folders)
	object := p.IntN(3)
	if p.named {
		return fmt.Sprintf("%ss-1-%s-%04d", folders, delivered.Truncate(30*time.Minute).Format("2006-01-02-15-04-05"), object)
	}
	return fmt.Sprintf("%s%04d.gz", folders, object)
}

// object returns the body of an object.
func (p *pipeline) object(t *testing.T, lines []string) []byte {
	t.Helper()
	var body []byte
	switch p.objects {
	case "lines":
		body = []byte(strings.Join(lines, "\n") + "\n")
	case "CRLF":
		body = []byte(strings.Join(lines, "\r\n"))
	case "run together":
		body = []byte(strings.Join(lines, ""))
	case "list":
		body = []byte("[" + strings.Join(lines, ",\n") + "]")
	case "delivered Parquet":
		return deliveredParquet(t, append(p.format.Names(), p.customer), lines)
	case "Parquet of DuckDB":
		return duckParquet(t, p.duck, lines)
	}
	switch p.IntN(3) {
	case 0:
		return gzipped(t, string(body))
	case 1:
		return zipped(t, string(body))
	}
	return body
}

// duckParquet returns lines as DuckDB converts them: nested columns, and types that it guesses.
func duckParquet(t *testing.T, db *sql.DB, lines []string) []byte {
	t.Helper()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "lines.json"), filepath.Join(dir, "rows.parquet")
	if err := writeFile(from, strings.Join(lines, "\n")); err != nil {
		t.Fatal(err)
	}
	laketest.Exec(t, db, "COPY (FROM read_json('"+from+"', format = 'newline_delimited')) TO '"+to+"' (FORMAT parquet)")
	body, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// figures are the measures that are compared.
type figures struct{ Requests, Errors, Bytes int64 }

// sums returns the figures of a period's requests by the values of dimensions.
func (p *pipeline) sums(calls []call, by []query.Dimension, from, to time.Time, zone *time.Location) map[string]figures {
	all := map[string]figures{}
	for _, c := range calls {
		at := p.time(c)
		if !from.IsZero() && at.Before(from) || !to.IsZero() && !at.Before(to) {
			continue
		}
		var keys []string
		for _, d := range by {
			key := p.seen(c, variableOf[d])
			if d == query.Customer && key == "-" {
				key = p.seen(c, customerField) // a customer without a key
			} else if d == query.Day {
				key = at.In(zone).Format(time.DateOnly)
			}
			keys = append(keys, key)
		}
		f := all[strings.Join(keys, " | ")]
		f.Requests++
		if p.seen(c, "$context.status") >= "400" {
			f.Errors++
		}
		n, _ := strconv.ParseInt(p.seen(c, "$context.responseLength"), 10, 64)
		f.Bytes += n
		all[strings.Join(keys, " | ")] = f
	}
	return all
}

var variableOf = map[query.Dimension]string{
	query.Customer: "$context.identity.apiKeyId", query.Status: "$context.status", query.Route: "$context.resourcePath", query.API: "$context.apiId",
	query.Stage: "$context.stage", query.Method: "$context.httpMethod", query.IP: "$context.identity.sourceIp",
}

// shown returns the same figures of a report.
func shown(r *report.Report) map[string]figures {
	all := map[string]figures{}
	for _, row := range append(r.Rows, r.Total) {
		if row.Requests == 0 || len(row.Keys) < len(r.Query.By) {
			continue
		}
		var keys []string
		for _, v := range row.Keys {
			if v.Value == "-" {
				v.Value = cmp.Or(v.Name, "-")
			}
			keys = append(keys, v.Value)
		}
		all[strings.Join(keys, " | ")] = figures{row.Requests, row.Errors, row.Bytes}
	}
	return all
}

// compare delivers and imports requests, and compares the reports.
func (p *pipeline) compare(t *testing.T, name string) {
	t.Helper()
	p.design()
	about := fmt.Sprintf("%s: %s of %q in %q, known %v, customer %q, partition %s, zone %s\nformat %s", name, p.objects, p.wrapper, p.folders, p.known, p.customer, p.hive, p.zone, p.format)
	calls := make([]call, 60)
	objects := map[string][]string{}
	for i := range calls {
		calls[i] = p.call(i)
		key, line := p.key(calls[i]), p.wrap(p.line(calls[i]), calls[i].at)
		objects[key] = append(objects[key], line)
		if p.IntN(20) == 0 { // delivered twice
			objects[key+"-again"] = append(objects[key+"-again"], line)
		}
	}
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		b.bodies[key] = p.object(t, objects[key])
	}
	b.sort()
	opts := lake.ImportOptions{Prefix: "logs/"}
	if p.known {
		opts.Mapping = lake.MappingOf(p.format, "", p.customer, "")
	}
	if p.IntN(2) == 0 {
		opts.From = begin.Add(time.Duration(p.Int64N(int64(period))))
		opts.To = opts.From.Add(time.Duration(1 + p.Int64N(int64(period))))
	}
	zone := pick(p, time.UTC, p.zone)
	l, err := lake.Open(t.Context(), "", lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sum, err := l.Import(t.Context(), b, opts)
	if err != nil || sum.Bad+sum.Other+sum.Misfit > 0 || len(sum.Problems) > 0 {
		t.Fatalf("%s\nimport: %+v, %v", about, sum, err)
	}
	for _, by := range [][]query.Dimension{nil, {query.Customer, query.Status}, {query.Route, query.API, query.Stage}, {query.Method, query.IP, query.Day}} {
		r, err := report.Run(t.Context(), l.DB(), query.Query{By: by, From: opts.From, To: opts.To, Zone: zone, CountsOnly: true})
		if err != nil {
			t.Fatalf("%s\n%s: %v", about, by, err)
		}
		if diff := gocmp.Diff(p.sums(calls, by, opts.From, opts.To, zone), shown(r)); diff != "" {
			t.Fatalf("%s\nby %s from %s to %s (-want +got):\n%s", about, by, opts.From, opts.To, diff)
		}
	}
	if n := ask(t, l, "SELECT count(*) FROM request_rows WHERE contains(request_rows::VARCHAR, 'SECRET')")[0]; n != "0" {
		t.Fatalf("%s\n%s rows have the API key", about, n)
	}
}
