// Package glue is the Glue Data Catalog for one machine, as far as delivery needs it: databases and tables, whose columns
// are the schema of records that are converted. Tables are kept as they were given.
package glue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	keyPrefix    = "database/"
	maxDatabases = 1000
	maxTables    = 1000 // of a database
	maxNameBytes = 255
	// maxBytes bounds a database with its tables: it is one document, and NATS's default max_payload is 1 MiB.
	maxBytes = 512 << 10
)

// Service is the Data Catalog of one account. It may be used in parallel.
type Service struct {
	account string
	store   record.Store
	now     func() time.Time

	mu        sync.RWMutex // guards databases, and keeps the order of writes
	databases map[string]*database
}

// database is a database as it is stored. What others gave is kept as it came.
type database struct {
	Name    string            `json:"name"`
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

// Column is a column of a table, with its type as Hive writes it.
type Column struct{ Name, Type string }

// Open reads the catalog. account is of 12 digits, and the catalog's id.
func Open(ctx context.Context, account string, store record.Store) (*Service, error) {
	s := &Service{account: account, store: store, now: time.Now, databases: map[string]*database{}}
	err := store.All(ctx, keyPrefix, func(key string, value []byte, _ uint64) error {
		var d database
		if err := json.Unmarshal(value, &d); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		s.databases[d.Name] = &d
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open the Data Catalog: %w", err)
	}
	return s, nil
}

// Columns returns a table's columns, without those of its partitions. It wraps record.ErrNotFound
// when there is no such database or table.
func (s *Service) Columns(databaseName, tableName string) ([]Column, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := s.databases[strings.ToLower(databaseName)]
	if d == nil || d.Tables[strings.ToLower(tableName)] == nil {
		return nil, fmt.Errorf("table %s.%s: %w", databaseName, tableName, record.ErrNotFound)
	}
	var in tableInput
	if err := json.Unmarshal(d.Tables[strings.ToLower(tableName)].Input, &in); err != nil {
		return nil, fmt.Errorf("read table %s.%s: %w", databaseName, tableName, err)
	}
	return in.StorageDescriptor.Columns, nil
}

// tableInput is what this package reads of a TableInput.
type tableInput struct {
	Name              string
	StorageDescriptor struct{ Columns []Column }
}

// request is the members of all requests that are served.
type request struct {
	Name          string
	DatabaseName  string
	DatabaseInput json.RawMessage
	TableInput    json.RawMessage
}

// targetPrefix is before the operation in X-Amz-Target.
const targetPrefix = "AWSGlue."

var operations = map[string]struct {
	serve  func(*Service, context.Context, *request) (any, *wire.Error)
	writes bool
}{
	"CreateDatabase": {(*Service).createDatabase, true},
	"UpdateDatabase": {(*Service).updateDatabase, true},
	"GetDatabase":    {(*Service).getDatabase, false},
	"GetDatabases":   {(*Service).getDatabases, false},
	"DeleteDatabase": {(*Service).deleteDatabase, true},
	"CreateTable":    {(*Service).createTable, true},
	"UpdateTable":    {(*Service).updateTable, true},
	"GetTable":       {(*Service).getTable, false},
	"GetTables":      {(*Service).getTables, false},
	"DeleteTable":    {(*Service).deleteTable, true},
}

// ServeHTTP answers a request that awswire has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	op, ok := operations[name]
	if !ok {
		wire.WriteError(w, wire.JSON11, &wire.Error{Code: "UnknownOperationException", Message: "stagelog serves databases and tables of the Data Catalog, and not the operation " + name + "."})
		return
	}
	var in request
	if err := json.Unmarshal(wire.Body(r), &in); err != nil {
		wire.WriteError(w, wire.JSON11, &wire.Error{Code: "SerializationException", Message: "The request's body is not the JSON that " + name + " takes."})
		return
	}
	if op.writes {
		s.mu.Lock()
		defer s.mu.Unlock()
	} else {
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	result, refused := op.serve(s, r.Context(), &in)
	if refused != nil {
		wire.WriteError(w, wire.JSON11, refused)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(result) // the client has gone, or gets it
}

type empty struct{}

func (s *Service) createDatabase(ctx context.Context, in *request) (any, *wire.Error) {
	name, refused := nameOf(in.DatabaseInput)
	switch {
	case refused != nil:
		return nil, refused
	case s.databases[name] != nil:
		return nil, &wire.Error{Code: "AlreadyExistsException", Message: "Database already exists."}
	case len(s.databases) >= maxDatabases:
		return nil, limit
	}
	return empty{}, s.save(ctx, &database{Name: name, Created: s.now().UTC(), Input: in.DatabaseInput})
}

func (s *Service) updateDatabase(ctx context.Context, in *request) (any, *wire.Error) {
	name, refused := nameOf(in.DatabaseInput)
	switch {
	case refused != nil:
		return nil, refused
	case name != strings.ToLower(in.Name):
		return nil, invalid("A database keeps its name.")
	}
	return s.change(ctx, in.Name, func(d *database) *wire.Error {
		d.Input = in.DatabaseInput
		return nil
	})
}

// nameOf is the name of a DatabaseInput or TableInput, in lower case as the catalog has it.
func nameOf(input json.RawMessage) (string, *wire.Error) {
	var in tableInput
	if err := json.Unmarshal(input, &in); err != nil {
		return "", invalid("The input is not of the form that this operation takes.")
	}
	switch {
	case in.Name == "" || len(in.Name) > maxNameBytes || strings.ContainsAny(in.Name, "\r\n/"):
		return "", invalid("A name has 1 to 255 characters, of one line.")
	}
	seen := map[string]bool{}
	for _, c := range in.StorageDescriptor.Columns {
		if seen[strings.ToLower(c.Name)] || c.Name == "" {
			return "", invalid("Column " + c.Name + " is there twice, or has no name.")
		}
		seen[strings.ToLower(c.Name)] = true
	}
	return strings.ToLower(in.Name), nil
}

func (s *Service) getDatabase(_ context.Context, in *request) (any, *wire.Error) {
	d, refused := s.find(in.Name)
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"Database": s.describe(d)}, nil
}

func (s *Service) getDatabases(context.Context, *request) (any, *wire.Error) {
	all := []any{}
	for _, name := range slices.Sorted(maps.Keys(s.databases)) {
		all = append(all, s.describe(s.databases[name]))
	}
	return map[string]any{"DatabaseList": all}, nil
}

func (s *Service) describe(d *database) map[string]any {
	out := members(d.Input)
	out["Name"], out["CatalogId"], out["CreateTime"] = d.Name, s.account, seconds(d.Created)
	return out
}

// members are those of what was given.
func members(input json.RawMessage) map[string]any {
	out := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(input))
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		panic("BUG: an input that was read before: " + err.Error())
	}
	return out
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (s *Service) deleteDatabase(ctx context.Context, in *request) (any, *wire.Error) {
	d, refused := s.find(in.Name)
	if refused != nil {
		return nil, refused
	}
	if err := s.store.Delete(ctx, keyPrefix+d.Name); err != nil {
		return nil, notStored
	}
	delete(s.databases, d.Name)
	return empty{}, nil
}

func (s *Service) createTable(ctx context.Context, in *request) (any, *wire.Error) {
	name, refused := nameOf(in.TableInput)
	if refused != nil {
		return nil, refused
	}
	return s.change(ctx, in.DatabaseName, func(d *database) *wire.Error {
		switch {
		case d.Tables[name] != nil:
			return &wire.Error{Code: "AlreadyExistsException", Message: "Table already exists."}
		case len(d.Tables) >= maxTables:
			return limit
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
	d, refused := s.find(in.DatabaseName)
	if refused != nil {
		return nil, refused
	}
	t := d.Tables[strings.ToLower(in.Name)]
	if t == nil {
		return nil, noTable(in.Name)
	}
	return map[string]any{"Table": s.describeTable(d, t)}, nil
}

func (s *Service) getTables(_ context.Context, in *request) (any, *wire.Error) {
	d, refused := s.find(in.DatabaseName)
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

func (s *Service) find(name string) (*database, *wire.Error) {
	if d := s.databases[strings.ToLower(name)]; d != nil {
		return d, nil
	}
	return nil, &wire.Error{Code: "EntityNotFoundException", Message: "Database " + name + " not found."}
}

// change stores a changed copy of a database, and keeps it once it is durable.
func (s *Service) change(ctx context.Context, name string, do func(*database) *wire.Error) (any, *wire.Error) {
	found, refused := s.find(name)
	if refused != nil {
		return nil, refused
	}
	d := *found
	d.Tables = maps.Clone(d.Tables)
	if refused := do(&d); refused != nil {
		return nil, refused
	}
	return empty{}, s.save(ctx, &d)
}

func (s *Service) save(ctx context.Context, d *database) *wire.Error {
	value, err := json.Marshal(d)
	if len(value) > maxBytes {
		return invalid("A database and its tables are larger than stagelog keeps (512 KiB).")
	}
	if err == nil {
		_, err = s.store.Set(ctx, keyPrefix+d.Name, value)
	}
	if err != nil {
		return notStored
	}
	s.databases[d.Name] = d
	return nil
}

func invalid(message string) *wire.Error {
	return &wire.Error{Code: "InvalidInputException", Message: message}
}

func noTable(name string) *wire.Error {
	return &wire.Error{Code: "EntityNotFoundException", Message: "Table " + name + " not found."}
}

var (
	limit     = &wire.Error{Code: "ResourceNumberLimitExceededException", Message: "The limit of this resource is reached."}
	notStored = &wire.Error{Code: "InternalServiceException", Message: "The service cannot complete the request.", Fault: true}
)
