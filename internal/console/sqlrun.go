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
	sqlTimeout = 10 * time.Second // of a statement
	sqlBytes   = 64 << 10         // maximum length of a statement
	sqlRows    = 1000             // maximum number of rows on the page
	csvRows    = 1_000_000        // maximum number of rows in a download
)

// errRefused is returned for a statement that is not allowed.
var errRefused = errors.New("refused")

// explainWords matches the beginning of EXPLAIN statements, which query() does not accept.
var explainWords = regexp.MustCompile(`(?is)^\s*explain\s+(analyze\s+)?`)

// statement is a user's SQL with its limits.
type statement struct {
	text    string
	rows    int
	timeout time.Duration
}

// run calls head with the names of the columns and each with every row, up to the limit; more reports whether there were more
// rows. Four measures limit a statement to reading the lake; each of them alone stops most other statements:
//
//   - it is run as query(text), which accepts only one SELECT (or DESCRIBE, SHOW, SUMMARIZE, VALUES, FROM);
//   - it is run in a read-only transaction;
//   - it may only call the table functions in tableFunctions: some of DuckDB's read files or change settings;
//   - the lake must have been opened with enable_external_access=false.
func (s statement) run(ctx context.Context, db *sql.DB, head func([]string) error, each func([]any) error) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("open a connection: %w", err)
	}
	defer conn.Close()
	prefix := explainWords.FindString(s.text)
	body := strings.TrimPrefix(s.text, prefix)
	if strings.TrimSpace(body) == "" {
		return false, fmt.Errorf("%w: the statement is empty", errRefused)
	}
	if err := checkSQL(ctx, conn, body); err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // nothing was written
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

// timedOut replaces an error that the deadline caused.
func (s statement) timedOut(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("stopped after %s; select a shorter time range, or use `stagelog query`, which has no time limit", age(s.timeout))
	}
	return err
}

// tableFunctions lists the functions that a statement may call in FROM: those that read only their arguments and the
// catalogue.
func tableFunctions() []string {
	return []string{
		"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row", "summary",
		"duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_functions", "duckdb_types", "duckdb_constraints", "duckdb_schemas", "duckdb_keywords",
		"pragma_table_info", "pragma_version", "pragma_show", "show_tables", "pg_timezone_names",
	}
}

// checkSQL parses a statement with DuckDB and refuses it unless it is one query over tables.
func checkSQL(ctx context.Context, conn *sql.Conn, text string) error {
	var open bool
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('enable_external_access')").Scan(&open); err != nil {
		return fmt.Errorf("read the lake's settings: %w", err)
	}
	if open {
		return fmt.Errorf("%w: the lake was opened without enable_external_access=false, so a statement could read files of this machine", errRefused)
	}
	if len(text) > sqlBytes {
		return fmt.Errorf("%w: the statement is longer than %s", errRefused, byteSize(sqlBytes))
	}
	var tree string
	err := conn.QueryRowContext(ctx, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", text).Scan(&tree)
	if err != nil {
		return fmt.Errorf("parse the statement: %w", err)
	}
	var parsed struct {
		Error   bool   `json:"error"`
		Type    string `json:"error_type"`
		Message string `json:"error_message"`
		Node    any    `json:"statements"`
	}
	if err := json.Unmarshal([]byte(tree), &parsed); err != nil {
		return fmt.Errorf("parse the statement: %w", err)
	}
	switch {
	case parsed.Error && parsed.Type == "not implemented":
		return fmt.Errorf("%w: expected one read-only statement: SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN of one", errRefused)
	case parsed.Error:
		return fmt.Errorf("%w: %s", errRefused, parsed.Message)
	}
	return checkTree(parsed.Node)
}

// checkTree refuses table functions and placeholders.
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
				return fmt.Errorf("%w: %s() is not allowed: it does more than read the lake's tables", errRefused, name)
			}
		}
		if n["class"] == "PARAMETER" {
			return fmt.Errorf("%w: placeholders are not supported; write the value", errRefused)
		}
		for _, child := range n {
			if err := checkTree(child); err != nil {
				return err
			}
		}
	}
	return nil
}
