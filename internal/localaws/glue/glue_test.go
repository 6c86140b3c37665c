package glue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/glue"
	"github.com/stagelog/stagelog/internal/localaws/wire/wiretest"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
	"github.com/stagelog/stagelog/internal/testenv"
)

func serve(t *testing.T, store *recordtest.Store) (*glue.Service, *sdk.Client) {
	t.Helper()
	s, err := glue.Open(t.Context(), wiretest.Account, store)
	if err != nil {
		t.Fatal(err)
	}
	return s, sdk.New(sdk.Options{Region: wiretest.Region, BaseEndpoint: aws.String(wiretest.Serve(t, "glue", s)), RetryMaxAttempts: 1, HTTPClient: testenv.SDKClient(nil), Credentials: wiretest.Credentials()})
}

func lines(columns ...string) *types.TableInput {
	in := &types.TableInput{Name: aws.String("Lines"), TableType: aws.String("EXTERNAL_TABLE"), Parameters: map[string]string{"projection.enabled": "true"},
		StorageDescriptor: &types.StorageDescriptor{Location: aws.String("s3://acme-logs/logs/"), NumberOfBuckets: -1}, PartitionKeys: []types.Column{{Name: aws.String("date"), Type: aws.String("string")}}}
	for _, c := range columns {
		in.StorageDescriptor.Columns = append(in.StorageDescriptor.Columns, types.Column{Name: aws.String(c), Type: aws.String("string")})
	}
	return in
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDatabasesAndTables(t *testing.T) {
	ctx, store := t.Context(), &recordtest.Store{}
	_, c := serve(t, store)
	db, name := aws.String("stagelog_acme"), aws.String("lines")
	_, err := c.CreateDatabase(ctx, &sdk.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{Name: aws.String("Stagelog_Acme"), Description: aws.String("logs")}})
	must(t, err)
	_, err = c.CreateTable(ctx, &sdk.CreateTableInput{DatabaseName: db, TableInput: lines("requestid", "ip")})
	must(t, err)
	_, err = c.UpdateTable(ctx, &sdk.UpdateTableInput{DatabaseName: db, TableInput: lines("requestid", "ip", "customer")})
	must(t, err)
	_, err = c.UpdateDatabase(ctx, &sdk.UpdateDatabaseInput{Name: db, DatabaseInput: &types.DatabaseInput{Name: db, Description: aws.String("more logs"), Parameters: map[string]string{"stagelog": "acme"}}})
	must(t, err)

	s, c := serve(t, store) // as after a restart
	got, err := c.GetTable(ctx, &sdk.GetTableInput{DatabaseName: db, Name: name})
	must(t, err)
	if table := got.Table; aws.ToString(table.Name) != "lines" || aws.ToString(table.VersionId) != "1" || aws.ToString(table.StorageDescriptor.Location) != "s3://acme-logs/logs/" ||
		len(table.PartitionKeys) != 1 || table.Parameters["projection.enabled"] != "true" || table.UpdateTime == nil || table.StorageDescriptor.NumberOfBuckets != -1 {
		t.Errorf("table %+v", table)
	}
	columns, err := s.Columns("STAGELOG_acme", "LINES")
	must(t, err)
	if diff := cmp.Diff([]glue.Column{{Name: "requestid", Type: "string"}, {Name: "ip", Type: "string"}, {Name: "customer", Type: "string"}}, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	list, err := c.GetDatabases(ctx, &sdk.GetDatabasesInput{})
	must(t, err)
	if len(list.DatabaseList) != 1 || aws.ToString(list.DatabaseList[0].Description) != "more logs" || list.DatabaseList[0].Parameters["stagelog"] != "acme" {
		t.Errorf("databases %+v", list.DatabaseList)
	}
	tables, err := c.GetTables(ctx, &sdk.GetTablesInput{DatabaseName: db})
	must(t, err)
	if len(tables.TableList) != 1 {
		t.Errorf("tables %+v", tables.TableList)
	}
	_, err = c.DeleteTable(ctx, &sdk.DeleteTableInput{DatabaseName: db, Name: name})
	must(t, err)
	_, err = c.DeleteDatabase(ctx, &sdk.DeleteDatabaseInput{Name: db})
	must(t, err)
	if len(store.Docs()) != 0 {
		t.Errorf("left: %v", store.Docs())
	}
	if _, err := s.Columns("stagelog_acme", "lines"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("columns of what is gone: %v, want ErrNotFound", err)
	}
}

func TestRefusals(t *testing.T) {
	ctx, store := t.Context(), &recordtest.Store{}
	_, c := serve(t, store)
	db := aws.String("d")
	create := func(name string) error {
		_, err := c.CreateDatabase(ctx, &sdk.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{Name: &name}})
		return err
	}
	table := func(in *types.TableInput) error {
		_, err := c.CreateTable(ctx, &sdk.CreateTableInput{DatabaseName: db, TableInput: in})
		return err
	}
	must(t, create("d"))
	must(t, table(lines("a")))
	large := lines("a")
	large.Name, large.Parameters = aws.String("large"), map[string]string{"x": strings.Repeat("y", 1<<20)}
	_, noTable := c.GetTable(ctx, &sdk.GetTableInput{DatabaseName: db, Name: aws.String("other")})
	_, noDatabase := c.GetTable(ctx, &sdk.GetTableInput{DatabaseName: aws.String("other"), Name: aws.String("lines")})
	_, notUpdated := c.UpdateTable(ctx, &sdk.UpdateTableInput{DatabaseName: db, TableInput: &types.TableInput{Name: aws.String("other")}})
	_, renamed := c.UpdateDatabase(ctx, &sdk.UpdateDatabaseInput{Name: db, DatabaseInput: &types.DatabaseInput{Name: aws.String("other")}})
	_, unserved := c.GetCrawlers(ctx, &sdk.GetCrawlersInput{})
	for _, tt := range []struct {
		what, want string
		err        error
	}{
		{"a database twice", "AlreadyExistsException", create("D")},
		{"a table twice", "AlreadyExistsException", table(lines("a"))},
		{"a column twice", "InvalidInputException", table(lines("a", "A"))},
		{"a large table", "InvalidInputException", table(large)},
		{"a name of two lines", "InvalidInputException", create("a\nb")},
		{"no such table", "EntityNotFoundException", noTable},
		{"no such database", "EntityNotFoundException", noDatabase},
		{"an update of no table", "EntityNotFoundException", notUpdated},
		{"a database's new name", "InvalidInputException", renamed},
		{"an operation that is not served", "UnknownOperationException", unserved},
	} {
		if got := wiretest.Code(tt.err); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
	store.Fail(errors.New("the disk said no"))
	if got := wiretest.Code(create("e")); got != "InternalServiceException" {
		t.Errorf("on a bad disk: %s, want InternalServiceException", got)
	}
	store.Fail(nil)
	must(t, create("e"))
}
