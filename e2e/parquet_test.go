package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/stagelog/stagelog/internal/testenv"
)

const parquetYAML = `name: columns
bucket: columns-logs
deliver: {interval: 1s, format: %s}
local:
  apis: [{id: shop, upstream: %q, stages: [prod]}]
  usage_plans:
    - {name: Gold, stages: [shop/prod], customers: [{name: Acme, key: acmeacmeacmeacmeacme1}]}
`

// A stream delivers Parquet files that DuckDB reads, and queries return the same as for JSON: also after a change of the format,
// and after the table's columns no longer fit the records.
func TestParquetDelivery(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	t.Cleanup(api.Close)
	write(t, dir, "stagelog.yaml", fmt.Sprintf(parquetYAML, "parquet", api.URL))
	u := startUp(t, dir, cleanEnv())
	c := sdk(t, u, "stagelog")
	call := func(n int) {
		t.Helper()
		for i := range n {
			if status := u.call(t, "/shop/prod/orders", "acmeacmeacmeacmeacme1"); status != http.StatusOK {
				t.Fatalf("request %d = %d", i, status)
			}
		}
	}
	call(20)
	db := must(sql.Open("duckdb", ""))(t, "open DuckDB")
	t.Cleanup(func() { _ = db.Close() })
	eventually(t, "20 rows in Parquet files", func() bool { return parquetRows(c, db, "customer = 'Acme' AND response_status = '200'") == 20 })
	for _, key := range c.keys("columns-logs", "logs/") {
		if !strings.HasSuffix(key, ".parquet") {
			t.Errorf("object %s does not end in .parquet", key)
		}
	}
	report := func(what string, want int) {
		t.Helper()
		eventually(t, what, func() bool {
			stdout, stderr, code := runBinary(t, dir, cleanEnv(), "query", "SELECT count(*) FROM requests WHERE customer = 'Acme' AND usage_plan = 'Gold' AND status = 200 AND time > now() - INTERVAL 1 HOUR", "--csv")
			if code != 0 {
				t.Fatalf("query = %d: %s", code, stderr)
			}
			_, n, _ := strings.Cut(strings.TrimSpace(stdout), "\n")
			return n == fmt.Sprint(want)
		})
	}
	report("the rows from Parquet", 20)

	// Change the type of a column so that records do not fit.
	tables := glue.NewFromConfig(c.cfg)
	database, name := aws.String("stagelog_columns"), aws.String("lines")
	table := must(tables.GetTable(t.Context(), &glue.GetTableInput{DatabaseName: database, Name: name}))(t, "get the table").Table
	for i, column := range table.StorageDescriptor.Columns {
		if aws.ToString(column.Name) == "customer" {
			table.StorageDescriptor.Columns[i].Type = aws.String("bigint")
		}
	}
	must(tables.UpdateTable(t.Context(), &glue.UpdateTableInput{DatabaseName: database, TableInput: &types.TableInput{Name: name, StorageDescriptor: table.StorageDescriptor}}))(t, "update the table")
	call(3)
	eventually(t, "records that do not fit in the error output", func() bool {
		return strings.Count(c.text("columns-logs", "errors/format-conversion-failed/"), `"lastErrorCode":"DataFormatConversion.MalformedData"`) == 3
	})

	// The next start changes the stream to JSON.
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "stagelog.yaml", fmt.Sprintf(parquetYAML, "json", api.URL))
	u = startUp(t, dir, cleanEnv())
	c = sdk(t, u, "stagelog")
	stream := must(c.firehose.DescribeDeliveryStream(t.Context(), &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: aws.String("amazon-apigateway-columns")}))(t, "describe the stream")
	if d := stream.DeliveryStreamDescription.Destinations[0].ExtendedS3DestinationDescription; aws.ToBool(d.DataFormatConversionConfiguration.Enabled) || d.CompressionFormat != "GZIP" {
		t.Errorf("the stream still converts: %+v, %s", d.DataFormatConversionConfiguration, d.CompressionFormat)
	}
	call(5)
	report("the rows from both", 25)
	write(t, dir, "parquet.yaml", fmt.Sprintf(parquetYAML, "parquet", api.URL))
	if _, stderr, code := runBinary(t, dir, u.clientEnv("stagelog"), "replay", "--file", "parquet.yaml", "--into", "logs/again/", "--endpoint-url", u.Endpoints.AWS); code != 3 || !strings.Contains(stderr, "choose a prefix outside of it") {
		t.Errorf("replay of JSON among Parquet = %d: %s", code, stderr)
	}
	if stdout, stderr, code := runBinary(t, dir, u.clientEnv("stagelog"), "replay", "--into", "again/", "--endpoint-url", u.Endpoints.AWS); code != 0 {
		t.Fatalf("replay = %d: %s%s", code, stdout, stderr)
	}
	if got := len(c.lines("columns-logs", "again/")); got != 3 {
		t.Errorf("%d records replayed, want the 3 that did not fit", got)
	}
}

// parquetRows counts the matching rows of the delivered Parquet files with DuckDB.
func parquetRows(c awsClients, db *sql.DB, where string) (n int) {
	c.t.Helper()
	for i, key := range c.keys("columns-logs", "logs/") {
		path := filepath.Join(c.t.TempDir(), fmt.Sprint(i, ".parquet"))
		if err := os.WriteFile(path, c.object("columns-logs", key), 0o600); err != nil {
			c.t.Fatal(err)
		}
		var rows int
		if err := db.QueryRow("SELECT count(*) FROM read_parquet('" + path + "') WHERE " + where).Scan(&rows); err != nil {
			c.t.Fatalf("DuckDB reads %s: %v", key, err)
		}
		n += rows
	}
	return n
}
