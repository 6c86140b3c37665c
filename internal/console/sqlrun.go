package console

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	sqlPatience = 10 * time.Second // how long a statement may run
	sqlBytes    = 64 << 10         // how long a statement may be
	sqlRows     = 1000             // how many rows a page shows
	csvRows     = 1_000_000        // how many rows a download has
)

// errRefused is for a statement that is not run because of what it is.
var errRefused = errors.New("not run")

// explainWords begin a statement that DuckDB's parser of its own does not take as a query.
var explainWords = regexp.MustCompile(`(?is)^\s*explain\s+(analyze\s+)?`)

// statement is SQL of a person's, and how far it may go.
type statement struct {
	text     string
	rows     int
	patience time.Duration
}

// run calls head with the names of the columns and each with every row, as many as there may be; more says that there were
// others. Four things hold it to reading the lake, each of them enough for most statements alone:
//
//   - it is run as query(text), which takes one SELECT (or DESCRIBE, SHOW, SUMMARIZE, VALUES, FROM) and nothing else;
//   - it is run in a transaction that is read-only;
//   - it may call no table function but those of tableFunctions: some of DuckDB's read files or switch settings;
//   - the lake must have been opened with enable_external_access=false.
func (s statement) run(ctx context.Context, db *sql.DB, head func([]string) error, each func([]any) error) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("open a connection: %w", err)
	}
	defer conn.Close()
	prefix := explainWords.FindString(s.text)
	body := strings.TrimPrefix(s.text, prefix)
	if strings.TrimSpace(body) == "" {
		return false, fmt.Errorf("%w: there is no statement", errRefused)
	}
	if err := checkSQL(ctx, conn, body); err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // a read-only transaction leaves nothing
	rows, err := conn.QueryContext(ctx, prefix+"SELECT * FROM query(?::VARCHAR) LIMIT ?", body, s.rows+1)
	if err != nil {
		return false, s.timedOut(ctx, err)
	}
	defer rows.Close()
	if more, err = walk(rows, s.rows, head, each); err != nil {
		return false, s.timedOut(ctx, err)
	}
	return more, nil
}

func walk(rows *sql.Rows, limit int, head func([]string) error, each func([]any) error) (more bool, err error) {
	columns, err := rows.Columns()
	if err != nil {
		return false, err
	}
	if err := head(columns); err != nil {
		return false, err
	}
	values := make([]any, len(columns))
	to := make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	for n := 0; rows.Next(); n++ {
		if n == limit {
			return true, nil
		}
		if err := rows.Scan(to...); err != nil {
			return false, err
		}
		if err := each(values); err != nil {
			return false, err
		}
	}
	return false, rows.Err()
}

// timedOut says of an error after the deadline that it was the deadline.
func (s statement) timedOut(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("stopped after %s: narrow it down by time, or use `stagelog query`, which has no limit", age(s.patience))
	}
	return err
}

// tableFunctions are what a statement may have in FROM beside tables: those that read nothing but their arguments and the
// catalogue.
func tableFunctions() []string {
	return []string{
		"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row", "summary",
		"duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_functions", "duckdb_types", "duckdb_constraints", "duckdb_schemas", "duckdb_keywords",
		"pragma_table_info", "pragma_version", "pragma_show", "show_tables", "pg_timezone_names",
	}
}

// checkSQL refuses a statement that is not one query over tables, by DuckDB's own reading of it.
func checkSQL(ctx context.Context, conn *sql.Conn, text string) error {
	var open bool
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('enable_external_access')").Scan(&open); err != nil {
		return fmt.Errorf("read the lake's settings: %w", err)
	}
	if open {
		return fmt.Errorf("%w: the lake was opened without enable_external_access=false, so that a statement could read this machine's files", errRefused)
	}
	if len(text) > sqlBytes {
		return fmt.Errorf("%w: the statement is longer than %s", errRefused, byteSize(sqlBytes))
	}
	var tree string
	err := conn.QueryRowContext(ctx, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", text).Scan(&tree)
	if err != nil {
		return fmt.Errorf("read the statement: %w", err)
	}
	var parsed struct {
		Error   bool   `json:"error"`
		Type    string `json:"error_type"`
		Message string `json:"error_message"`
		Node    any    `json:"statements"`
	}
	if err := json.Unmarshal([]byte(tree), &parsed); err != nil {
		return fmt.Errorf("read the statement: %w", err)
	}
	switch {
	case parsed.Error && parsed.Type == "not implemented":
		return fmt.Errorf("%w: only one statement that reads runs here: SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN of one", errRefused)
	case parsed.Error:
		return fmt.Errorf("%w: %s", errRefused, parsed.Message)
	}
	return checkTree(parsed.Node)
}

// checkTree looks for functions in FROM.
func checkTree(node any) error {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			if err := checkTree(child); err != nil {
				return err
			}
		}
	case map[string]any:
		if n["type"] == "TABLE_FUNCTION" {
			f, _ := n["function"].(map[string]any)
			name, _ := f["function_name"].(string)
			if !slices.Contains(tableFunctions(), strings.ToLower(name)) {
				return fmt.Errorf("%w: %s() may not be called here, as it does more than read the lake's tables", errRefused, name)
			}
		}
		if n["class"] == "PARAMETER" {
			return fmt.Errorf("%w: the statement has a placeholder; write the value", errRefused)
		}
		for _, child := range n {
			if err := checkTree(child); err != nil {
				return err
			}
		}
	}
	return nil
}
