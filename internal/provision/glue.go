package provision

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// database is the pipeline's Glue database. It holds the table whose columns Firehose uses to convert records. The owner is a
// parameter of both: tables have no tags, and CloudFormation cannot tag databases.
type database struct {
	s    *desired.Spec
	want *types.DatabaseInput
	c    *glue.Client
}

func newDatabase(d *desired.Resources, c *Clients) *database {
	return &database{d.Spec, d.Database, c.Glue}
}

func (r *database) Kind() string { return "Glue database" }
func (r *database) Name() string { return r.s.Pipeline.Database() }

func (r *database) Read(ctx context.Context) (State, error) {
	have, err := r.describe(ctx)
	if err != nil {
		return State{}, err
	}
	if have == nil {
		return State{Fields: []Field{{Name: fieldTag, Want: r.s.Owner()}}}, nil
	}
	state := State{Exists: true}
	state.ownedBy(have.Parameters[desired.OwnerTag], r.s.Owner())
	return state, nil
}

// describe returns the database, or nil if it does not exist.
func (r *database) describe(ctx context.Context) (*types.Database, error) {
	out, err := r.c.GetDatabase(ctx, &glue.GetDatabaseInput{Name: aws.String(r.Name())})
	if awserr.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out.Database, nil
}

func (r *database) Apply(ctx context.Context, found State, _ func(string)) error {
	if found.Exists && !found.Differs(fieldTag) {
		return nil
	}
	if !found.Exists {
		_, err := r.c.CreateDatabase(ctx, &glue.CreateDatabaseInput{DatabaseInput: r.want})
		return r.ignoreOwnDuplicate(ctx, err)
	}
	have, err := r.describe(ctx)
	if err != nil {
		return err
	}
	if have == nil {
		return errDeletedByOther
	}
	parameters := map[string]string{}
	maps.Copy(parameters, have.Parameters)
	parameters[desired.OwnerTag] = r.s.Owner()
	_, err = r.c.UpdateDatabase(ctx, &glue.UpdateDatabaseInput{Name: have.Name, DatabaseInput: &types.DatabaseInput{
		Name: have.Name, Description: have.Description, LocationUri: have.LocationUri, Parameters: parameters,
		CreateTableDefaultPermissions: have.CreateTableDefaultPermissions, TargetDatabase: have.TargetDatabase, FederatedDatabase: have.FederatedDatabase,
	}})
	return err
}

// ignoreOwnDuplicate ignores an AlreadyExists error for the pipeline's own database: the SDK may have retried a request whose
// response was lost.
func (r *database) ignoreOwnDuplicate(ctx context.Context, err error) error {
	if !awserr.Exists(err) {
		return err
	}
	have, err := r.describe(ctx)
	if err == nil && (have == nil || have.Parameters[desired.OwnerTag] != r.s.Owner()) {
		err = errCreatedByOther
	}
	return err
}

// Destroy deletes the database unless it holds other tables, which would be deleted with it.
func (r *database) Destroy(ctx context.Context, found State, _ func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	pages := glue.NewGetTablesPaginator(r.c, &glue.GetTablesInput{DatabaseName: aws.String(r.Name())})
	var err error
	for err == nil && pages.HasMorePages() {
		var page *glue.GetTablesOutput
		if page, err = pages.NextPage(ctx); err == nil && len(page.TableList) > 0 {
			return fmt.Sprintf("kept because it still holds table %s", aws.ToString(page.TableList[0].Name)), nil
		}
	}
	if err == nil {
		_, err = r.c.DeleteDatabase(ctx, &glue.DeleteDatabaseInput{Name: aws.String(r.Name())})
	}
	if awserr.NotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return "deleted", nil
}

// table is the Glue table whose columns Firehose uses to convert records and Athena to read the objects.
type table struct {
	s    *desired.Spec
	want *types.TableInput
	c    *glue.Client
}

func newTable(d *desired.Resources, c *Clients) *table { return &table{d.Spec, d.Table, c.Glue} }

func (r *table) Kind() string { return "Glue table" }
func (r *table) Name() string { return r.s.Pipeline.Database() + "." + config.LinesTable }

func (r *table) Read(ctx context.Context) (State, error) {
	want := r.want
	var state State
	if len(want.PartitionKeys) == 0 {
		state.Notes = []string{"Athena cannot derive dates from this prefix, so each query scans (and bills) all objects; use logs/ or logs/!{timestamp:yyyy/MM/dd}/"}
	}
	out, err := r.c.GetTable(ctx, &glue.GetTableInput{DatabaseName: aws.String(r.s.Pipeline.Database()), Name: want.Name})
	have := &types.Table{}
	switch {
	case awserr.NotFound(err):
		state.Fields = []Field{{Name: fieldTag, Want: r.s.Owner()}}
	case err != nil:
		return State{}, err
	default:
		have, state.Exists = out.Table, true
		state.ownedBy(have.Parameters[desired.OwnerTag], r.s.Owner())
	}
	for _, f := range []struct {
		name string
		of   func(columns, partitions []types.Column, d *types.StorageDescriptor, parameters map[string]string) string
	}{
		{"columns", func(columns, _ []types.Column, _ *types.StorageDescriptor, _ map[string]string) string {
			return columnsText(columns)
		}},
		{"location", func(_, _ []types.Column, d *types.StorageDescriptor, _ map[string]string) string {
			return aws.ToString(d.Location)
		}},
		{"format", func(_, _ []types.Column, d *types.StorageDescriptor, _ map[string]string) string {
			if d.SerdeInfo == nil {
				return ""
			}
			return aws.ToString(d.SerdeInfo.SerializationLibrary)
		}},
		{"partitions", func(_, partitions []types.Column, _ *types.StorageDescriptor, parameters map[string]string) string {
			return partitionsText(partitions, parameters)
		}},
	} {
		field := Field{Name: f.name, Want: f.of(want.StorageDescriptor.Columns, want.PartitionKeys, want.StorageDescriptor, want.Parameters)}
		if d := have.StorageDescriptor; d != nil {
			field.Have = f.of(d.Columns, have.PartitionKeys, d, have.Parameters)
		}
		if field.Have != "" || field.Want != "" {
			state.Fields = append(state.Fields, field)
		}
	}
	return state, nil
}

func columnsText(columns []types.Column) string {
	var lines []string
	for _, c := range columns {
		lines = append(lines, aws.ToString(c.Name)+" "+aws.ToString(c.Type))
	}
	return strings.Join(lines, "\n")
}

// partitionsText formats the table's partition keys and projection settings.
func partitionsText(keys []types.Column, parameters map[string]string) string {
	text := columnsText(keys)
	for _, name := range []string{"type", "format", "range", "interval", "interval.unit"} {
		if v := parameters["projection."+config.PartitionColumn+"."+name]; v != "" {
			text += "\n" + name + " " + v
		}
	}
	if v := parameters["storage.location.template"]; v != "" {
		text += "\n" + v
	}
	if strings.EqualFold(parameters["projection.enabled"], "true") {
		text += "\nprojected by Athena"
	}
	return strings.TrimPrefix(text, "\n")
}

func (r *table) Apply(ctx context.Context, found State, _ func(string)) error {
	want, in := r.want, aws.String(r.s.Pipeline.Database())
	if !found.Exists {
		_, err := r.c.CreateTable(ctx, &glue.CreateTableInput{DatabaseName: in, TableInput: want})
		if !awserr.Exists(err) {
			return err
		}
		out, err := r.c.GetTable(ctx, &glue.GetTableInput{DatabaseName: in, Name: want.Name})
		if err == nil && out.Table.Parameters[desired.OwnerTag] != r.s.Owner() {
			err = errCreatedByOther
		}
		return err // nil if ours: the SDK may have retried a request whose response was lost
	}
	if len(found.Changed()) == 0 {
		return nil
	}
	_, err := r.c.UpdateTable(ctx, &glue.UpdateTableInput{DatabaseName: in, TableInput: want})
	return err
}

func (r *table) Destroy(ctx context.Context, found State, _ func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	_, err := r.c.DeleteTable(ctx, &glue.DeleteTableInput{DatabaseName: aws.String(r.s.Pipeline.Database()), Name: aws.String(config.LinesTable)})
	if awserr.NotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return "deleted", nil
}
