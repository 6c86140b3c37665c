package provision

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// parquetSpec returns a pipeline that delivers Parquet.
func parquetSpec(t testing.TB, deliver string) *desired.Spec {
	t.Helper()
	p, err := config.Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-api-logs\ndeliver: {format: parquet"+deliver+"}\n"), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return &desired.Spec{Pipeline: p, Partition: "aws", Region: moto.Region, Account: moto.Account, Architecture: "arm64"}
}

func TestTableLifecycle(t *testing.T) {
	m := moto.Start(t)
	c, s := NewClients(m.Config(nil)), parquetSpec(t, "")
	d, r := newDatabase(wantOf(s), c), newTable(wantOf(s), c)
	if readOf(t, d).Exists || readOf(t, r).Exists {
		t.Fatal("an empty account has the database or table")
	}
	applyTo(t, d)
	applyTo(t, r)
	settled := readOf(t, r)
	if !settled.Exists || settled.RequiredFlag != NoFlag || len(settled.Changed()) > 0 || settled.Notes != nil {
		t.Fatalf("after creation Read = %+v", settled)
	}
	if found := readOf(t, d); !found.Exists || found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
		t.Fatalf("Read of the database = %+v", found)
	}
	for _, tt := range []struct {
		want   string
		change func(*types.TableInput)
	}{
		{"columns", func(in *types.TableInput) { in.StorageDescriptor.Columns[1].Type = aws.String("int") }},
		{"columns", func(in *types.TableInput) { in.StorageDescriptor.Columns = in.StorageDescriptor.Columns[2:] }},
		{"location", func(in *types.TableInput) { in.StorageDescriptor.Location = aws.String("s3://elsewhere/") }},
		{"format", func(in *types.TableInput) {
			in.StorageDescriptor.SerdeInfo.SerializationLibrary = aws.String("org.openx.data.jsonserde.JsonSerDe")
		}},
		{"partitions", func(in *types.TableInput) { in.Parameters["projection.enabled"] = "false" }},
		{"partitions", func(in *types.TableInput) { in.Parameters["projection.date.range"] = "NOW-1DAYS,NOW" }},
	} {
		in := wantOf(s).Table
		tt.change(in)
		if _, err := c.Glue.UpdateTable(t.Context(), &glue.UpdateTableInput{DatabaseName: aws.String(d.Name()), TableInput: in}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{tt.want}, changedNames(readOf(t, r))); diff != "" {
			t.Errorf("after a manual change of its %s, Read differs in (-want +got):\n%s", tt.want, diff)
		}
		applyTo(t, r)
		if diff := cmp.Diff(settled, readOf(t, r)); diff != "" {
			t.Errorf("after the repair of its %s (-want +got):\n%s", tt.want, diff)
		}
	}

	// A database with a foreign table is kept.
	if _, err := c.Glue.CreateTable(t.Context(), &glue.CreateTableInput{DatabaseName: aws.String(d.Name()), TableInput: &types.TableInput{Name: aws.String("theirs")}}); err != nil {
		t.Fatal(err)
	}
	if did, err := r.Destroy(t.Context(), readOf(t, r), quiet); did != "deleted" || err != nil || readOf(t, r).Exists {
		t.Errorf("Destroy of the table = %q, %v", did, err)
	}
	if did, err := d.Destroy(t.Context(), readOf(t, d), quiet); !strings.Contains(did, "theirs") || err != nil || !readOf(t, d).Exists {
		t.Errorf("Destroy of a database with another table = %q, %v", did, err)
	}
	if _, err := c.Glue.DeleteTable(t.Context(), &glue.DeleteTableInput{DatabaseName: aws.String(d.Name()), Name: aws.String("theirs")}); err != nil {
		t.Fatal(err)
	}
	if did, err := d.Destroy(t.Context(), readOf(t, d), quiet); did != "deleted" || err != nil || readOf(t, d).Exists {
		t.Errorf("Destroy of the database = %q, %v", did, err)
	}
	for _, r := range []Resource{r, d} {
		if did, err := r.Destroy(t.Context(), State{Exists: true}, quiet); did != "" || err != nil {
			t.Errorf("Destroy of a %s that is gone = %q, %v", r.Kind(), did, err)
		}
	}
}

func TestCatalogAdoption(t *testing.T) {
	m := moto.Start(t)
	c, s := NewClients(m.Config(nil)), parquetSpec(t, "")
	d, r := newDatabase(wantOf(s), c), newTable(wantOf(s), c)
	kept := map[string]string{"team": "data"}
	if _, err := c.Glue.CreateDatabase(t.Context(), &glue.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{Name: aws.String(d.Name()), Parameters: kept, Description: aws.String("theirs")}}); err != nil {
		t.Fatal(err)
	}
	in := wantOf(s).Table
	in.Parameters = map[string]string{desired.OwnerTag: "eu-west-1/other"}
	if _, err := c.Glue.CreateTable(t.Context(), &glue.CreateTableInput{DatabaseName: aws.String(d.Name()), TableInput: in}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		r    Resource
		flag Flag
		why  string
	}{{d, AdoptFlag, "not created by stagelog"}, {r, TakeFrom("eu-west-1/other"), "the pipeline eu-west-1/other"}} {
		found := readOf(t, tt.r)
		if found.RequiredFlag != tt.flag || !strings.Contains(found.Reason, tt.why) {
			t.Errorf("%s requires %q because %q, want %s because %q", tt.r.Kind(), found.RequiredFlag, found.Reason, tt.flag, tt.why)
		}
		if did, err := tt.r.Destroy(t.Context(), found, quiet); did != "" || err != nil {
			t.Errorf("Destroy of the %s = %q, %v, want nothing done", tt.r.Kind(), did, err)
		}
		if err := tt.r.Apply(t.Context(), State{}, quiet); !errors.Is(err, ErrChanged) {
			t.Errorf("Apply to a %s that was not there = %v, want ErrChanged", tt.r.Kind(), err)
		}
		applyTo(t, tt.r)
		if found := readOf(t, tt.r); found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
			t.Errorf("after adoption Read of the %s = %+v", tt.r.Kind(), found)
		}
	}
	have, err := d.describe(t.Context())
	if err != nil || have.Parameters["team"] != "data" || aws.ToString(have.Description) != "theirs" {
		t.Errorf("the adopted database is %+v (%v), want its other properties kept", have, err)
	}
}

// If a response is lost, the SDK repeats the request for a database that exists by then.
func TestCatalogCreateIsRepeatable(t *testing.T) {
	m := moto.Start(t)
	s := parquetSpec(t, "")
	for _, resource := range []func(*desired.Spec, *Clients) Resource{
		func(s *desired.Spec, c *Clients) Resource { return newDatabase(wantOf(s), c) },
		func(s *desired.Spec, c *Clients) Resource { return newTable(wantOf(s), c) },
	} {
		applyTo(t, resource(s, NewClients(m.Config(nil))))
		if err := resource(s, NewClients(m.Config(http.DefaultTransport))).Apply(t.Context(), State{}, quiet); err != nil {
			t.Errorf("second Apply: %v", err)
		}
	}
}

func TestStreamToParquetAndBack(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	plain, columns := newStream(wantOf(streamSpec(t)), c), newStream(wantOf(parquetSpec(t, ", compression: gzip")), c)
	applyTo(t, plain)
	for _, r := range []*Stream{columns, plain, columns} {
		found := readOf(t, r)
		names := strings.Join(changedNames(found), ", ")
		if noted := strings.Contains(strings.Join(found.Notes, "\n"), "stay JSON"); noted != (r == columns) {
			t.Errorf("Notes = %q", found.Notes)
		}
		if !strings.Contains(names, "format conversion") || !strings.Contains(names, "compression") || !strings.Contains(names, "buffering") {
			t.Errorf("Read differs in %s", names)
		}
		applyTo(t, r)
		if found := readOf(t, r); len(found.Changed()) > 0 {
			t.Errorf("after the change there is still %v", found.Changed())
		}
	}
	d, err := columns.describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = "to Parquet, GZIP\ncolumns of stagelog_acme.lines, version LATEST, in eu-west-1, as arn:aws:iam::123456789012:role/stagelog-acme-firehose.eu-west-1"
	if got := conversionText(destinationOf(d).DataFormatConversionConfiguration, moto.Region, ""); got != want {
		t.Errorf("the stream converts %q, want %q", got, want)
	}
	if got := destinationOf(d).CompressionFormat; got != "UNCOMPRESSED" {
		t.Errorf("its objects are %s, want UNCOMPRESSED", got)
	}
}

func TestTableNotesMissingPartitions(t *testing.T) {
	s := parquetSpec(t, `, prefix: "logs/!{timestamp:yyyy}-!{timestamp:MM}/", error_prefix: "errors/!{firehose:error-output-type}/"`)
	in := wantOf(s).Table
	if len(in.PartitionKeys) != 0 || in.Parameters["projection.enabled"] != "" || aws.ToString(in.StorageDescriptor.Location) != "s3://acme-api-logs/logs/" {
		t.Errorf("the table is %+v, want one without partitions", in)
	}
	m := moto.Start(t)
	if found := readOf(t, newTable(wantOf(s), NewClients(m.Config(nil)))); len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "scans (and bills) all objects") {
		t.Errorf("Notes = %q", found.Notes)
	}
}

// FindRemovals finds the table of a pipeline that no longer delivers Parquet.
func TestRemovalsFindLeftTable(t *testing.T) {
	m := moto.Start(t)
	c, s := NewClients(m.Config(nil)), parquetSpec(t, "")
	applyTo(t, newDatabase(wantOf(s), c))
	applyTo(t, newTable(wantOf(s), c))
	now := streamSpec(t)
	removals, err := FindRemovals(t.Context(), now, c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range removals {
		got = append(got, r.Kind)
	}
	if diff := cmp.Diff([]string{"Glue table", "Glue database"}, got); diff != "" {
		t.Errorf("removals (-want +got):\n%s", diff)
	}
}

// pagedTables returns empty pages of GetTables before the real one.
type pagedTables struct{ empty int }

func (p *pagedTables) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("X-Amz-Target") != "AWSGlue.GetTables" || p.empty == 0 {
		return http.DefaultTransport.RoundTrip(r)
	}
	p.empty--
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(`{"TableList":[],"NextToken":"1"}`))}, nil
}

func TestDatabaseDestroyReadsAllPages(t *testing.T) {
	m := moto.Start(t)
	s := parquetSpec(t, "")
	plain := NewClients(m.Config(nil))
	applyTo(t, newDatabase(wantOf(s), plain))
	applyTo(t, newTable(wantOf(s), plain))
	pages := &pagedTables{empty: 1}
	d := newDatabase(wantOf(s), NewClients(m.Config(pages)))
	if did, err := d.Destroy(t.Context(), readOf(t, d), quiet); !strings.Contains(did, "kept because it still holds table lines") || err != nil || pages.empty != 0 {
		t.Errorf("Destroy with a table on the second page = %q, %v, want it kept", did, err)
	}
	if !readOf(t, d).Exists {
		t.Error("the database was deleted with its table")
	}
}
