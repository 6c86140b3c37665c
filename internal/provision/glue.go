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
// parameter of both: tables have no tags, and CloudFormation cannot tag databases. Only the tags of stagelog.yaml are tags of
// the database.
type database struct {
	s    *desired.Spec
	want *types.DatabaseInput
	c    *glue.Client
	all  *Clients
}

func newDatabase(d *desired.Resources, c *Clients) *database {
	return &database{d.Spec, d.Database, c.Glue, c}
}

func (r *database) Kind() string { return "Glue database" }
func (r *database) Name() string { return r.s.Pipeline.Database() }

func (r *database) Read(ctx context.Context) (_ State, err error) {
	defer func() { err = explainCatalog(ctx, r.s, r.all, err) }()
	have, err := r.describe(ctx)
	if err != nil {
		return State{}, err
	}
	if have == nil {
		return State{Fields: append([]Field{{Name: fieldTag, Want: r.s.Owner()}}, tagFields(nil, r.wantTags())...)}, nil
	}
	state := State{Exists: true}
	state.ownedBy(have.Parameters[desired.OwnerTag], r.s.Owner())
	tags, err := r.tags(ctx)
	want := r.wantTags()
	switch {
	case awserr.Unsupported(err), awserr.Denied(err) && want == nil:
		return state, nil // stagelog.yaml has no tags, or the endpoint does not support them
	case err != nil:
		return State{}, err
	}
	state.Fields = append(state.Fields, tagFields(tags, want)...)
	return state, nil
}

// wantTags returns the tags of stagelog.yaml, nil without any.
func (r *database) wantTags() map[string]string {
	if len(r.s.Pipeline.AWS.Tags) == 0 {
		return nil
	}
	return r.s.Tags()
}

func (r *database) arn() *string { return aws.String(r.s.DatabaseARN()) }

func (r *database) tags(ctx context.Context) (map[string]string, error) {
	out, err := r.c.GetTags(ctx, &glue.GetTagsInput{ResourceArn: r.arn()})
	if err != nil {
		return nil, fmt.Errorf("read its tags: %w", err)
	}
	return out.Tags, nil
}

func (r *database) tag(ctx context.Context, tags map[string]string) error {
	_, err := r.c.TagResource(ctx, &glue.TagResourceInput{ResourceArn: r.arn(), TagsToAdd: tags})
	return err
}

func (r *database) untag(ctx context.Context, keys []string) error {
	_, err := r.c.UntagResource(ctx, &glue.UntagResourceInput{ResourceArn: r.arn(), TagsToRemove: keys})
	return err
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

func (r *database) Apply(ctx context.Context, found State, progress func(string)) (err error) {
	defer func() { err = explainCatalog(ctx, r.s, r.all, err) }()
	if !found.Exists {
		err := repeat(ctx, progress, func() error {
			_, err := r.c.CreateDatabase(ctx, &glue.CreateDatabaseInput{DatabaseInput: r.want, Tags: r.wantTags()})
			return err
		})
		return ignoreOwnDuplicate(ctx, r, progress, err)
	}
	if found.Differs(fieldTag) {
		if err := r.adopt(ctx, progress); err != nil {
			return err
		}
	}
	if found.Differs(fieldTags) {
		return setTags(ctx, r, r.wantTags())
	}
	return nil
}

// adopt adds the owner to the parameters of an existing database.
func (r *database) adopt(ctx context.Context, progress func(string)) error {
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
	return repeat(ctx, progress, func() error {
		_, err := r.c.UpdateDatabase(ctx, &glue.UpdateDatabaseInput{Name: have.Name, DatabaseInput: &types.DatabaseInput{
			Name: have.Name, Description: have.Description, LocationUri: have.LocationUri, Parameters: parameters,
			CreateTableDefaultPermissions: have.CreateTableDefaultPermissions, TargetDatabase: have.TargetDatabase, FederatedDatabase: have.FederatedDatabase,
		}})
		return err
	})
}

// Destroy deletes the database unless it holds other tables, which would be deleted with it.
func (r *database) Destroy(ctx context.Context, found State, _ func(string)) (_ string, err error) {
	defer func() { err = explainCatalog(ctx, r.s, r.all, err) }()
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	for page, err := range Pages(ctx, glue.NewGetTablesPaginator(r.c, &glue.GetTablesInput{DatabaseName: aws.String(r.Name())})) {
		if err != nil {
			return deleted(err)
		}
		if len(page.TableList) > 0 {
			return fmt.Sprintf("kept because it still holds table %s", aws.ToString(page.TableList[0].Name)), nil
		}
	}
	_, err = r.c.DeleteDatabase(ctx, &glue.DeleteDatabaseInput{Name: aws.String(r.Name())})
	return deleted(err)
}

// table is the Glue table whose columns Firehose uses to convert records and Athena to read the objects.
type table struct {
	s    *desired.Spec
	want *types.TableInput
	c    *glue.Client
	all  *Clients
}

func newTable(d *desired.Resources, c *Clients) *table {
	return &table{d.Spec, d.Table, c.Glue, c}
}

func (r *table) Kind() string { return "Glue table" }
func (r *table) Name() string { return r.s.Pipeline.Database() + "." + config.LinesTable }

func (r *table) Read(ctx context.Context) (_ State, err error) {
	defer func() { err = explainCatalog(ctx, r.s, r.all, err) }()
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
	wants, has := tableTexts(want.StorageDescriptor, want.PartitionKeys, want.Parameters), tableTexts(have.StorageDescriptor, have.PartitionKeys, have.Parameters)
	for i, name := range []string{"columns", "location", "format", "partitions"} {
		if has[i] != "" || wants[i] != "" {
			state.Fields = append(state.Fields, Field{Name: name, Have: has[i], Want: wants[i]})
		}
	}
	return state, nil
}

// tableTexts returns the normal form of a table's columns, location, format and partitions.
func tableTexts(d *types.StorageDescriptor, partitions []types.Column, parameters map[string]string) (texts [4]string) {
	if d == nil {
		return texts
	}
	if d.SerdeInfo != nil {
		texts[2] = aws.ToString(d.SerdeInfo.SerializationLibrary)
	}
	texts[0], texts[1], texts[3] = columnsText(d.Columns), aws.ToString(d.Location), partitionsText(partitions, parameters)
	return texts
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

func (r *table) Apply(ctx context.Context, found State, progress func(string)) (err error) {
	defer func() { err = explainCatalog(ctx, r.s, r.all, err) }()
	want, in := r.want, aws.String(r.s.Pipeline.Database())
	if !found.Exists {
		err := repeat(ctx, progress, func() error {
			_, err := r.c.CreateTable(ctx, &glue.CreateTableInput{DatabaseName: in, TableInput: want})
			return err
		})
		return ignoreOwnDuplicate(ctx, r, progress, err)
	}
	if len(found.Changed()) == 0 {
		return nil
	}
	return repeat(ctx, progress, func() error {
		_, err := r.c.UpdateTable(ctx, &glue.UpdateTableInput{DatabaseName: in, TableInput: want})
		return err
	})
}

func (r *table) Destroy(ctx context.Context, found State, _ func(string)) (_ string, err error) {
	defer func() { err = explainCatalog(ctx, r.s, r.all, err) }()
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	_, err = r.c.DeleteTable(ctx, &glue.DeleteTableInput{DatabaseName: aws.String(r.s.Pipeline.Database()), Name: aws.String(config.LinesTable)})
	return deleted(err)
}
