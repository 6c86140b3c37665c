// Package glue serves the part of the Glue Data Catalog that delivery needs on one machine: databases and
// tables, whose columns are the schema of converted records. Tables are stored as clients sent them.
package glue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	maxDatabases = 1000
	maxTables    = 1000 // of a database
	maxNameBytes = 255
)

// Service serves the Data Catalog of one account. It is safe for concurrent use.
type Service struct {
	account   string
	now       func() time.Time
	databases *documents.Set[database]
	operations
}

type operations = wire.JSONService[request]

// database is the stored form of a database with its tables. Inputs are stored as clients sent them.
type database struct {
	Name    string            `json:"name"` // in lower case
	Created time.Time         `json:"created"`
	Input   json.RawMessage   `json:"input"`
	Tables  map[string]*table `json:"tables,omitempty"`
}

type table struct {
	Name    string          `json:"name"`
	Created time.Time       `json:"created"`
	Updated time.Time       `json:"updated"`
	Version int             `json:"version"`
	Input   json.RawMessage `json:"input"`
}

// Column is a column of a table, with its type in Hive's notation.
type Column struct{ Name, Type string }

// Open reads the catalog. account has 12 digits and is the catalog's id.
func Open(ctx context.Context, account string, store record.Store) (*Service, error) {
	s := &Service{account: account, now: time.Now}
	var err error
	s.databases, err = documents.Open[database](ctx, store, documents.Config{Prefix: "database/", Max: maxDatabases, Errors: documents.Errors{
		NotFound: func(name string) *wire.Error {
			return &wire.Error{Code: "EntityNotFoundException", Message: "Database " + name + " not found."}
		},
		Exists:    func(string) *wire.Error { return exists("Database") },
		Limit:     limit(),
		TooLarge:  invalid("A database and its tables can have at most 960 KiB."),
		NotStored: &wire.Error{Code: "InternalServiceException", Message: "The service cannot complete the request.", Fault: true},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the Data Catalog: %w", err)
	}
	s.operations = operations{Target: "AWSGlue.", Serves: "databases and tables of the Data Catalog", Operations: map[string]func(context.Context, *request) (any, *wire.Error){
		"CreateDatabase": s.createDatabase,
		"UpdateDatabase": s.updateDatabase,
		"GetDatabase":    s.getDatabase,
		"GetDatabases":   s.getDatabases,
		"DeleteDatabase": s.deleteDatabase,
		"CreateTable":    s.createTable,
		"UpdateTable":    s.updateTable,
		"GetTable":       s.getTable,
		"GetTables":      s.getTables,
		"DeleteTable":    s.deleteTable,
	}}
	return s, nil
}

// Follow applies the changes of other processes of the cluster until ctx ends.
func (s *Service) Follow(ctx context.Context) error { return s.databases.Follow(ctx) }

// Refresh applies the changes that other processes made before the call.
func (s *Service) Refresh(ctx context.Context) error { return s.databases.Refresh(ctx) }

// Columns returns a table's columns without its partition columns. The error wraps record.ErrNotFound if
// the database or the table does not exist.
func (s *Service) Columns(databaseName, tableName string) ([]Column, error) {
	_, t, refused := s.table(databaseName, tableName)
	if refused != nil {
		return nil, fmt.Errorf("table %s.%s: %w", databaseName, tableName, record.ErrNotFound)
	}
	var in tableInput
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return nil, fmt.Errorf("read table %s.%s: %w", databaseName, tableName, err)
	}
	return in.StorageDescriptor.Columns, nil
}

// tableInput holds the members of a TableInput that this package reads.
type tableInput struct {
	Name              string
	StorageDescriptor struct{ Columns []Column }
}

// request holds the members of all supported requests.
type request struct {
	Name          string
	DatabaseName  string
	DatabaseInput json.RawMessage
	TableInput    json.RawMessage
}

type empty struct{}

func (s *Service) createDatabase(ctx context.Context, in *request) (any, *wire.Error) {
	name, refused := nameOf(in.DatabaseInput)
	if refused != nil {
		return nil, refused
	}
	return empty{}, s.databases.Create(ctx, name, &database{Name: name, Created: s.now().UTC(), Input: in.DatabaseInput})
}

func (s *Service) updateDatabase(ctx context.Context, in *request) (any, *wire.Error) {
	name, refused := nameOf(in.DatabaseInput)
	switch {
	case refused != nil:
		return nil, refused
	case name != strings.ToLower(in.Name):
		return nil, invalid("The name of a database cannot change.")
	}
	return s.change(ctx, in.Name, func(d *database) *wire.Error {
		d.Input = in.DatabaseInput
		return nil
	})
}

// nameOf returns the name in a DatabaseInput or TableInput, in lower case as in the catalog.
func nameOf(input json.RawMessage) (string, *wire.Error) {
	var in tableInput
	if err := json.Unmarshal(input, &in); err != nil {
		return "", invalid("The input does not have the form that this operation expects.")
	}
	switch {
	case in.Name == "" || len(in.Name) > maxNameBytes || strings.ContainsAny(in.Name, "\r\n/"):
		return "", invalid("A name must have 1 to 255 characters without line breaks or slashes.")
	}
	seen := map[string]bool{}
	for _, c := range in.StorageDescriptor.Columns {
		if seen[strings.ToLower(c.Name)] || c.Name == "" {
			return "", invalid("Column '" + c.Name + "' is duplicated or has no name.")
		}
		seen[strings.ToLower(c.Name)] = true
	}
	return strings.ToLower(in.Name), nil
}

func (s *Service) getDatabase(_ context.Context, in *request) (any, *wire.Error) {
	d, refused := s.databases.Get(strings.ToLower(in.Name))
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"Database": s.describe(d)}, nil
}

func (s *Service) getDatabases(context.Context, *request) (any, *wire.Error) {
	all := []any{}
	for _, d := range s.databases.All() {
		all = append(all, s.describe(d))
	}
	return map[string]any{"DatabaseList": all}, nil
}

func (s *Service) describe(d *database) map[string]any {
	out := members(d.Input)
	out["Name"], out["CatalogId"], out["CreateTime"] = d.Name, s.account, seconds(d.Created)
	return out
}

// members decodes an input.
func members(input json.RawMessage) map[string]any {
	out := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(input))
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		panic("BUG: decode stored input: " + err.Error())
	}
	return out
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (s *Service) deleteDatabase(ctx context.Context, in *request) (any, *wire.Error) {
	return empty{}, s.databases.Delete(ctx, strings.ToLower(in.Name), nil)
}

func (s *Service) createTable(ctx context.Context, in *request) (any, *wire.Error) {
	name, refused := nameOf(in.TableInput)
	if refused != nil {
		return nil, refused
	}
	return s.change(ctx, in.DatabaseName, func(d *database) *wire.Error {
		switch {
		case d.Tables[name] != nil:
			return exists("Table")
		case len(d.Tables) >= maxTables:
			return limit()
		case d.Tables == nil:
			d.Tables = map[string]*table{}
		}
		now := s.now().UTC()
		d.Tables[name] = &table{Name: name, Created: now, Updated: now, Input: in.TableInput}
		return nil
	})
}

func (s *Service) updateTable(ctx context.Context, in *request) (any, *wire.Error) {
	name, refused := nameOf(in.TableInput)
	if refused != nil {
		return nil, refused
	}
	return s.change(ctx, in.DatabaseName, func(d *database) *wire.Error {
		old := d.Tables[name]
		if old == nil {
			return noTable(name)
		}
		d.Tables[name] = &table{Name: name, Created: old.Created, Updated: s.now().UTC(), Version: old.Version + 1, Input: in.TableInput}
		return nil
	})
}

func (s *Service) getTable(_ context.Context, in *request) (any, *wire.Error) {
	d, t, refused := s.table(in.DatabaseName, in.Name)
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"Table": s.describeTable(d, t)}, nil
}

// table finds a table and its database.
func (s *Service) table(databaseName, name string) (*database, *table, *wire.Error) {
	d, refused := s.databases.Get(strings.ToLower(databaseName))
	if refused != nil {
		return nil, nil, refused
	}
	t := d.Tables[strings.ToLower(name)]
	if t == nil {
		return nil, nil, noTable(name)
	}
	return d, t, nil
}

func (s *Service) getTables(_ context.Context, in *request) (any, *wire.Error) {
	d, refused := s.databases.Get(strings.ToLower(in.DatabaseName))
	if refused != nil {
		return nil, refused
	}
	all := []any{}
	for _, name := range slices.Sorted(maps.Keys(d.Tables)) {
		all = append(all, s.describeTable(d, d.Tables[name]))
	}
	return map[string]any{"TableList": all}, nil
}

func (s *Service) describeTable(d *database, t *table) map[string]any {
	out := members(t.Input)
	out["Name"], out["DatabaseName"], out["CatalogId"] = t.Name, d.Name, s.account
	out["CreateTime"], out["UpdateTime"], out["VersionId"] = seconds(t.Created), seconds(t.Updated), strconv.Itoa(t.Version)
	return out
}

func (s *Service) deleteTable(ctx context.Context, in *request) (any, *wire.Error) {
	return s.change(ctx, in.DatabaseName, func(d *database) *wire.Error {
		name := strings.ToLower(in.Name)
		if d.Tables[name] == nil {
			return noTable(in.Name)
		}
		delete(d.Tables, name)
		return nil
	})
}

// change applies change to a database and its tables.
func (s *Service) change(ctx context.Context, name string, change func(*database) *wire.Error) (any, *wire.Error) {
	return empty{}, s.databases.Change(ctx, strings.ToLower(name), change)
}

func invalid(message string) *wire.Error {
	return &wire.Error{Code: "InvalidInputException", Message: message}
}

func exists(what string) *wire.Error {
	return &wire.Error{Code: "AlreadyExistsException", Message: what + " already exists."}
}

func noTable(name string) *wire.Error {
	return &wire.Error{Code: "EntityNotFoundException", Message: "Table " + name + " not found."}
}

func limit() *wire.Error {
	return &wire.Error{Code: "ResourceNumberLimitExceededException", Message: "The limit of this resource is reached."}
}
