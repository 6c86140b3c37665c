//go:build cgo

package lake

import (
	"context"
	"database/sql"
	_ "embed" // of the schema
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"golang.org/x/sync/semaphore"
)

// Schema is the SQL that creates the tables of a new lake.
//
//go:embed schema.sql
var Schema string

// schemaVersion is the newest version of the tables that this code supports.
const schemaVersion = 3

// Lake is a DuckDB database of imported requests. It is safe for parallel use.
type Lake struct {
	db   *sql.DB
	dir  string // temporary; holds files of rows
	path string // absolute; "" in memory

	// users has one unit for each call of Lend, and a call of Write has all of them.
	users      *semaphore.Weighted
	statements *semaphore.Weighted // has one unit for each call of Share
	lock       *fileLock           // nil if the lake is in memory or read-only
}

const defaultMemoryMiB = 1024

const (
	maxShares = 2  // calls of Share that run at once
	maxUsers  = 64 // calls of Lend
)

// Open opens the database file at path and creates it if it is missing; "" opens a database in memory. DuckDB allows one
// process at a time; opts.Wait bounds the wait for another one. A damaged file is set aside if opts.Rebuilt is set.
func Open(ctx context.Context, path string, opts Options) (*Lake, error) {
	l, err := open(ctx, path, opts)
	if err == nil || opts.Rebuilt == nil || path == "" || opts.ReadOnly || !damaged(err) {
		return l, err
	}
	aside, err := SetAside(path)
	if err != nil {
		return nil, err
	}
	opts.Rebuilt(aside)
	return open(ctx, path, opts)
}

// Damaged reports whether an import or a query found that an open lake's file is damaged: DuckDB checks each block that it
// reads. SetAside makes way for a new file. Damaged compares the message, as DuckDB's I/O errors have no code.
func Damaged(err error) bool {
	var e *duckdb.Error
	return errors.Is(err, ErrDamaged) || errors.As(err, &e) && (e.Type == duckdb.ErrorTypeIO || e.Type == duckdb.ErrorTypeFatal) &&
		(strings.Contains(e.Msg, "Corrupt database file") || strings.Contains(e.Msg, "Could not read enough bytes"))
}

// damaged reports whether DuckDB found that a file is not one of its databases, or that its contents are wrong. It compares
// the message, as DuckDB's I/O errors have no code.
func damaged(err error) bool {
	var e *duckdb.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Type {
	case duckdb.ErrorTypeSerialization, duckdb.ErrorTypeInternal, duckdb.ErrorTypeFatal:
		return true
	}
	for _, text := range []string{"not a valid DuckDB database", "orrupt", "checksum", "Could not read enough bytes", "Could not read all", "replaying WAL"} {
		if strings.Contains(e.Msg, text) {
			return true
		}
	}
	return false
}

func open(ctx context.Context, path string, opts Options) (_ *Lake, err error) {
	l := &Lake{users: semaphore.NewWeighted(maxUsers), statements: semaphore.NewWeighted(maxShares)}
	if opts.MemoryMiB == 0 {
		opts.MemoryMiB = defaultMemoryMiB
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.dir, err = makeDirs(path, &opts); err != nil {
		return nil, err
	}
	if path != "" {
		if l.path, err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("open lake: %w", err)
		}
	}
	connector, err := connect(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	l.db = sql.OpenDB(connector)
	if path != "" && !opts.ReadOnly {
		if err := l.own(); err != nil {
			return nil, err
		}
	}
	if err := l.configure(ctx, opts); err != nil {
		return nil, err
	}
	return l, l.migrate(ctx, opts.ReadOnly)
}

// makeDirs makes the directories of the lake and of temporary files, which it returns. A process that only reads gets one of its own for
// what does not fit in memory too: DuckDB's usual one is for the process that writes.
func makeDirs(path string, opts *Options) (temp string, err error) {
	if path != "" && opts.ReadOnly {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("open lake: %w", err)
		}
	} else if path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", fmt.Errorf("create the lake's directory: %w", err)
		}
	}
	switch {
	case opts.Temp != "":
		return opts.Temp, nil
	case opts.ReadOnly:
		temp, err = os.MkdirTemp(filepath.Dir(path), filepath.Base(path)+readerTemp+"*")
		opts.Temp = temp
	default:
		temp, err = os.MkdirTemp("", "stagelog-lake-")
	}
	if err != nil {
		return "", fmt.Errorf("create a temporary directory: %w", err)
	}
	return temp, nil
}

// own makes the file that this process has open for writing its own: for its user only, with a lock that can be shared, and without
// what killed readers left.
func (l *Lake) own() (err error) {
	if err := os.Chmod(l.path, 0o600); err != nil { //nolint:gosec // for the owner only
		return fmt.Errorf("protect the lake: %w", err)
	}
	if l.lock, err = newFileLock(l.path); err != nil {
		return fmt.Errorf("open lake: %w", err)
	}
	if err := removeReaderTemp(l.path); err != nil {
		return fmt.Errorf("remove temporary files of killed readers: %w", err)
	}
	return nil
}

// readerTemp follows the name of the lake's file in that of the temporary directory of a process that only reads it.
const readerTemp = ".reader-"

// removeReaderTemp removes the temporary directories of readers that were killed. No reader is alive while the lake is open for
// writing and was not shared yet.
func removeReaderTemp(path string) error {
	files, err := os.ReadDir(filepath.Dir(path))
	for _, f := range files {
		if strings.HasPrefix(f.Name(), filepath.Base(path)+readerTemp) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(filepath.Dir(path), f.Name())))
		}
	}
	return err
}

// configure sets DuckDB's limits. SQL, which users may write, can read no files but those in dir.
func (l *Lake) configure(ctx context.Context, opts Options) error {
	settings := []string{
		fmt.Sprintf("SET memory_limit = '%dMiB'", opts.MemoryMiB),
		"SET allowed_directories = [" + quote(l.dir+string(filepath.Separator)) + "]",
		"SET enable_external_access = false",
		"SET autoinstall_known_extensions = false",
		"SET TimeZone = 'UTC'",
		"SET preserve_insertion_order = false",
		"PRAGMA disable_checkpoint_on_shutdown", // see Close
		"SET lock_configuration = true",
	}
	if opts.Temp != "" {
		settings = slices.Insert(settings, 0, "SET temp_directory = "+quote(opts.Temp))
	}
	if opts.SpillMiB > 0 {
		settings = slices.Insert(settings, 0, fmt.Sprintf("SET max_temp_directory_size = '%dMiB'", opts.SpillMiB))
	}
	for _, set := range settings {
		if _, err := l.db.ExecContext(ctx, set); err != nil {
			return fmt.Errorf("configure the lake: %s: %w", set, err)
		}
	}
	return nil
}

// storageVersion is the oldest DuckDB version that can open a new lake. Its text compression needs two thirds of the time of
// the compatible one and no more space.
const storageVersion = "v1.5.0"

// blockSize is half of DuckDB's default, for new lakes. Most columns fill only a part of a block in each row group, so a million
// rows take 28 bytes each instead of 30.5, and 400,000 take 29 to 30 instead of 31 to 44. With a quarter it is 30. Queries that
// read few columns take up to half as long again.
const blockSize = "131072"

func mode(readOnly bool) string {
	if readOnly {
		return "?access_mode=read_only"
	}
	return "?storage_compatibility_version=" + storageVersion + "&default_block_size=" + blockSize
}

// retryEvery is the pause between attempts to open a lake that another process has open.
const retryEvery = 100 * time.Millisecond

// connect opens the file, if necessary after the process that has it open closes it.
func connect(ctx context.Context, path string, opts Options) (*duckdb.Connector, error) {
	timeout := time.NewTimer(opts.Wait)
	defer timeout.Stop()
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for waiting := false; ; waiting = true {
		connector, err := duckdb.NewConnector(path+mode(opts.ReadOnly), nil)
		switch {
		case err == nil:
			return connector, nil
		case !inUse(err):
			return nil, fmt.Errorf("open lake %s: %w\n  the lake is a copy of the bucket; delete the file to recreate it", path, err)
		case opts.Wait > 0 && !waiting && opts.Waiting != nil:
			opts.Waiting()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timeout.C:
			return nil, fmt.Errorf("the lake %s is %w; try again when it has ended, or choose another file with --lake: %w", path, ErrInUse, err)
		case <-retry.C:
		}
	}
}

// inUse reports whether another process has the file open. It compares the message, as DuckDB has no code for this error.
func inUse(err error) bool {
	var e *duckdb.Error
	if !errors.As(err, &e) || e.Type != duckdb.ErrorTypeIO {
		return false
	}
	text := strings.TrimPrefix(e.Msg, "IO Error: ")
	return strings.HasPrefix(text, "Could not set lock on file") || // on Unix
		strings.HasPrefix(text, "Cannot open file") && strings.Contains(text, "used by another process") // on Windows
}

// migrate creates the tables of a new lake and refuses a lake of a newer stagelog.
func (l *Lake) migrate(ctx context.Context, readOnly bool) error {
	var tables int
	if err := l.db.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_tables() WHERE table_name IN ('objects', 'lake')").Scan(&tables); err != nil {
		return fmt.Errorf("list the lake's tables: %w", err)
	}
	if tables == 0 && !readOnly {
		return l.tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, Schema+fmt.Sprintf("CREATE TABLE lake (version INTEGER NOT NULL); INSERT INTO lake VALUES (%d);", schemaVersion))
			return err
		})
	}
	var version int
	if err := l.db.QueryRowContext(ctx, "SELECT version FROM lake").Scan(&version); err != nil {
		return fmt.Errorf("the file is a database but not a stagelog lake: %w", err)
	}
	if version > schemaVersion {
		return fmt.Errorf("the lake has version %d, this stagelog supports up to %d: use a newer stagelog", version, schemaVersion)
	}
	if version == schemaVersion {
		return nil
	}
	if readOnly {
		return fmt.Errorf("the lake has version %d: run `stagelog report` to update it to version %d", version, schemaVersion)
	}
	for ; version < schemaVersion; version++ {
		if err := l.tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, migrations[version])
			return err
		}); err != nil {
			return fmt.Errorf("update the lake from version %d: %w", version, err)
		}
	}
	return nil
}

// migrations change the tables of a version to those of the next. They keep the rows, because objects may have expired in the
// bucket; without an ETag, the next import reads an object again.
var migrations = map[int]string{
	// Version 1 compared only ids to find duplicates.
	1: `UPDATE request_rows SET duplicate = false WHERE duplicate AND ` + RequestKey + ` IS NULL;
		DELETE FROM unchecked; INSERT INTO unchecked SELECT id FROM objects; UPDATE lake SET version = 2`,
	// Version 2 took every JSON object for a request, read no nested fields and no partition columns, and repaired and unwrapped
	// fewer lines.
	2: `ALTER TABLE objects ADD COLUMN other BIGINT DEFAULT 0; ALTER TABLE objects ADD COLUMN repaired BIGINT DEFAULT 0; ALTER TABLE objects ADD COLUMN repair VARCHAR;
		CREATE TABLE mappings (bucket VARCHAR NOT NULL, mapping VARCHAR NOT NULL);
		UPDATE objects SET etag = '' WHERE bad > 0 OR key LIKE '%=%/%' OR id IN (SELECT object FROM request_rows
			WHERE coalesce(api_id, stage, key_id, customer, usage_plan, usage_plan_id, method, route, path) IS NULL AND status IS NULL AND latency IS NULL
			OR extra::VARCHAR LIKE '%:{%' OR extra::VARCHAR LIKE '%:[%');
		UPDATE lake SET version = 3`,
}

// DB returns the database, for reading only.
func (l *Lake) DB() *sql.DB { return l.db }

// Read runs a statement in a read-only transaction and calls fn with its rows.
func (l *Lake) Read(ctx context.Context, statement string, fn func(*sql.Rows) error) error {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // nothing was written
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	return fn(rows)
}

// Parquet writes the result of a statement to a new file, which the caller removes.
func (l *Lake) Parquet(ctx context.Context, statement string) (path string, err error) {
	f, err := os.CreateTemp(l.dir, "result-*.parquet")
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	_, err = l.db.ExecContext(ctx, fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, COMPRESSION zstd)", strings.TrimRight(strings.TrimSpace(statement), ";"), quote(f.Name())))
	return f.Name(), err
}

// Close closes the database and removes the temporary files. While another process still reads the file, Close does not change it
// and leaves what was written last in the write-ahead log, like a kill.
func (l *Lake) Close() error {
	if l.db == nil {
		return os.RemoveAll(l.dir)
	}
	if l.lock != nil && l.lock.exclude() == nil {
		_, _ = l.db.Exec("CHECKPOINT") // a damaged file has none
	}
	return errors.Join(l.db.Close(), l.lock.Close(), os.RemoveAll(l.dir))
}

// Share does the same as Lend, for short uses: no more than maxShares run at once.
func (l *Lake) Share(ctx context.Context, fn func(path string) error) error {
	if err := l.statements.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.statements.Release(1)
	return l.Lend(ctx, fn)
}

// Lend calls fn with the absolute path of the lake's file, which other processes may open for reading until fn returns. The
// lake does not change meanwhile. If an import writes to it, Lend waits until ctx ends, and returns ctx's error. If a process
// still has the file open when fn returns, the lake cannot be written until that process closes it.
//
// DuckDB keeps other processes out of a file that one has open for writing. Lend avoids a copy of the file, which may have
// gigabytes, and a reopening, which would discard what DuckDB has cached.
func (l *Lake) Lend(ctx context.Context, fn func(path string) error) error {
	if l.lock == nil {
		return errors.New("the lake is not a file that is open for writing, so that other processes cannot read it")
	}
	if err := l.users.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.users.Release(1)
	if err := l.lock.share(); err != nil {
		return fmt.Errorf("share the lake: %w", err)
	}
	return fn(l.path)
}

// Write calls fn, which may write to the database, while no other process reads the file.
func (l *Lake) Write(ctx context.Context, fn func() error) error {
	if err := l.users.Acquire(ctx, maxUsers); err != nil {
		return err
	}
	defer l.users.Release(maxUsers)
	if err := l.lock.exclude(); err != nil {
		return err
	}
	return fn()
}

// tx runs fn in a transaction, while the lake is not shared.
func (l *Lake) tx(ctx context.Context, fn func(*sql.Tx) error) error {
	return l.Write(ctx, func() error {
		tx, err := l.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// quote returns text as an SQL string.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
