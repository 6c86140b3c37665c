//go:build cgo

package export_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/export"
)

func athena(t *testing.T, yaml string) (string, error) {
	t.Helper()
	p, err := config.Parse("stagelog.yaml", []byte(yaml), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	text, err := export.Athena(p)
	return string(text), err
}

// DuckDB runs the view and the reports in place of Athena, with macros for the few functions that
// have different names.
func TestAthenaViewAndReportsRun(t *testing.T) {
	for name, yaml := range map[string]string{
		"usage":   "name: acme-shop\nbucket: acme-logs\n",
		"classic": "name: acme\nbucket: acme-logs\nformat: classic\n",
		"apiable": "name: acme\nbucket: acme-logs\npreset: apiable\n",
		"full":    "name: acme\nbucket: acme-logs\nformat: full\ndeliver: {prefix: \"logs/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/\"}\n",
		"nested": `{name: acme, bucket: acme-logs, format: '{"who":{"keyId":"$context.identity.apiKeyId"},"http":{"Response":{"status":$context.status}},"ids":["$context.requestId",{"Ext":"$context.extendedRequestId"}],` +
			`"api":{"id":"$context.apiId","stage":"$context.stage"},"time":{"ms":"$context.requestTimeEpoch"}}', deliver: {format: parquet}}`,
	} {
		t.Run(name, func(t *testing.T) {
			text, err := athena(t, yaml)
			if err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("duckdb", "")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			run := func(query string) {
				t.Helper()
				if _, err := db.Exec(query); err != nil {
					t.Fatalf("%v\n%s", err, query)
				}
			}
			for _, f := range []string{
				"from_unixtime(x) AS make_timestamp(CAST(x * 1000000 AS BIGINT))", "date_parse(x, f) AS strptime(x, '%d/%b/%Y:%H:%M:%S +0000')",
				"date_format(x, f) AS strftime(x, f)", "approx_percentile(x, p) AS quantile_disc(x, p)", "try(x) AS x", "json_extract_scalar(x, p) AS json_extract_string(x, p)",
				"add_days(unit, n, x) AS CAST(x AS TIMESTAMP) + to_days(CAST(n AS INTEGER))",
			} {
				run("CREATE MACRO " + f)
			}
			text = strings.ReplaceAll(text, "date_add(", "add_days(")
			statements := strings.Split(text, ";\n")
			columns, _, _ := strings.Cut(statements[1][strings.Index(statements[1], "(\n"):], "\n)\n")
			schema := strings.Split(strings.Split(statements[0], "EXISTS ")[1], ";")[0]
			run("CREATE SCHEMA " + schema)
			run("CREATE TABLE " + schema + ".lines " + strings.ReplaceAll(columns, "`", `"`) + `, "date" varchar)`)
			insert := func(values map[string]string) {
				t.Helper()
				var names, marks []string
				var args []any
				for name, v := range values {
					if strings.Contains(columns, "`"+name+"`") || name == "date" {
						names, marks, args = append(names, `"`+name+`"`), append(marks, "?"), append(args, v)
					}
				}
				if _, err := db.Exec(fmt.Sprintf("INSERT INTO %s.lines (%s) VALUES (%s)", schema, strings.Join(names, ","), strings.Join(marks, ",")), args...); err != nil {
					t.Fatal(err)
				}
			}
			for i, status := range []string{"200", "404", "404", "-"} {
				insert(map[string]string{"key_id": "k1", "response_status": status, "request_id": fmt.Sprint("r", min(i, 2)), "request_latency": "12",
					"extended_request_id": fmt.Sprint("e", min(i, 2)), "request_time_epoch": "1795000000000", "request_time": map[bool]string{true: "1795000000000", false: "23/Nov/2026:08:00:00 +0000"}[name == "apiable"],
					"customer": "Acme", "subscription_id": "Acme", "date": "9999/01/01/00", "method": "GET",
					"who": `{"keyid":"k1"}`, "http": `{"response":{"status":"` + status + `"}}`, "ids": fmt.Sprintf(`["r%[1]d",{"Ext":"e%[1]d"}]`, min(i, 2)), "time": `{"ms":1795000000000}`})
			}
			run(strings.Replace(statements[2], "CREATE OR REPLACE VIEW", "CREATE VIEW", 1))
			reports := 0
			for _, query := range statements[3:] {
				if !strings.Contains(query, "SELECT") {
					continue
				}
				reports++
				rows, err := db.Query(query)
				if err != nil {
					t.Fatalf("%v\n%s", err, query)
				}
				for rows.Next() {
				}
				if err := rows.Err(); err != nil {
					t.Fatalf("%v\n%s", err, query)
				}
				rows.Close()
			}
			if reports != 5 {
				t.Errorf("%d reports, want 5", reports)
			}
			var customer string
			var requests, errors int
			row := db.QueryRow("SELECT max(customer), count(DISTINCT id), count(DISTINCT CASE WHEN status >= 400 THEN id END) FROM " + schema + ".requests WHERE year(time) = 2026")
			if err := row.Scan(&customer, &requests, &errors); err != nil || customer != "Acme" || requests != 3 || errors != 2 {
				t.Errorf("customer %s with %d requests and %d errors (%v), want Acme, 3 and 2", customer, requests, errors, err)
			}
		})
	}
}

func TestAthenaRejectsUnsupportedDelivery(t *testing.T) {
	for yaml, want := range map[string]string{
		"name: a\nbucket: acme-logs\ndeliver: {compression: zip}\n":                                          "cannot read ZIP",
		"name: a\nbucket: acme-logs\ndeliver: {prefix: \"logs/!{timestamp:yyyy}-x/\"}\n":                     "partition projection",
		"name: a\nbucket: acme-logs\ndeliver: {prefix: \"logs/!{timestamp:yyyy/MM/dd}/\"}\n":                 "",
		"name: a\nbucket: acme-logs\ndeliver: {prefix: \"logs/!{firehose:random-string}/\"}\nformat: full\n": "partition projection",
		"name: a\nbucket: acme-logs\ndeliver: {prefix: \"lo'; DROP TABLE x; --/\"}\n":                        "cannot contain quotes",
		"name: a\nbucket: acme-logs\ndeliver: {prefix: \"logs\\nDROP TABLE x;/\"}\n":                         "cannot contain quotes",
	} {
		if _, err := athena(t, yaml); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
}

// The fields of a format may contain any characters.
func TestAthenaQuotesNames(t *testing.T) {
	text, err := athena(t, `{name: a, bucket: acme-logs, format: '{"id`+"`"+` string);--": "$context.requestId", "s\", (SELECT 1), \"": "$context.stage", "api": {"i\"d''": "$context.apiId"}, "key": "$context.identity.apiKeyId"}'}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  `id`` string);--` string,\n", "nullif(\"id` string);--\", '-')", `nullif("s"", (select 1), """, '-') AS stage`,
		`nullif(json_extract_scalar("api", '$["i\"d''"]'), '-') AS api_id`} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %s:\n%s", want, text)
		}
	}
}
