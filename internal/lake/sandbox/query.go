package sandbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/lake"
)

// maxSQL is the maximum length of a statement.
const maxSQL = 64 << 10

// explainWords matches the beginning of EXPLAIN statements, which query() does not accept.
var explainWords = regexp.MustCompile(`(?is)^\s*explain\s+(analyze\s+)?`)

// pivotWord matches a PIVOT, whose columns DuckDB may have to read from the data first.
var pivotWord = regexp.MustCompile(`(?i)\bpivot(_wider)?\b`)

// word matches what can be the name of a function.
var word = regexp.MustCompile(`\w+`)

// escapedName matches the beginning of a name or text with Unicode escapes, which can hide a word.
var escapedName = regexp.MustCompile(`(?i)\bu&["']`)

// query calls head with the names of the columns and each with every row, up to the limit; more reports whether there were more
// rows. Five measures limit a statement to reading the lake; each of them alone stops most other statements:
//
//   - the lake is opened read-only;
//   - it is opened with enable_external_access=false;
//   - the statement is run in a read-only transaction;
//   - it is run as query(text) or as a subquery, which can only be one SELECT (or DESCRIBE, SHOW, SUMMARIZE, VALUES, FROM);
//   - it may only call the table functions in tableFunctions: some of DuckDB's read files or change settings.
func (s Statement) query(ctx context.Context, db *sql.DB, head func([]string) error, each func([]any) error) (more bool, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("open a connection: %w", err)
	}
	defer conn.Close()
	text, args, err := s.wrap(ctx, conn)
	if err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // nothing was written
	rows, err := conn.QueryContext(ctx, text, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	return walk(rows, s.Rows, head, each)
}

// wrap returns the SQL that runs a statement, if it is allowed, and its arguments.
func (s Statement) wrap(ctx context.Context, conn *sql.Conn) (text string, args []any, err error) {
	prefix := explainWords.FindString(s.SQL)
	body := strings.TrimPrefix(s.SQL, prefix)
	if strings.TrimSpace(body) == "" {
		return "", nil, fmt.Errorf("%w: the statement is empty", ErrRefused)
	}
	serializable, err := checkSQL(ctx, conn, body)
	switch {
	case err != nil:
		return "", nil, err
	case serializable:
		return prefix + "SELECT * FROM query(?::VARCHAR) LIMIT ?", []any{body, s.Rows + 1}, nil
	case prefix != "" || !pivotWord.MatchString(body):
		return "", nil, fmt.Errorf("%w: expected one read-only statement: SELECT, FROM, WITH, PIVOT, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN of one", ErrRefused)
	}
	body = strings.TrimRight(body, "; \t\r\n")
	return "SELECT * FROM (\n" + body + "\n) LIMIT ?", []any{s.Rows + 1}, checkPivot(ctx, conn, body)
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

// tableFunctions lists the functions that a statement may call in FROM: those that read only their arguments and the
// catalogue.
func tableFunctions() []string {
	return []string{
		"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row", "summary",
		"duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_functions", "duckdb_types", "duckdb_constraints", "duckdb_schemas", "duckdb_keywords",
		"pragma_table_info", "pragma_version", "pragma_show", "show_tables", "pg_timezone_names",
	}
}

// checkSQL parses a statement with DuckDB and refuses it unless it is one query over tables. It returns false for a statement
// that DuckDB can parse, but not as one query.
func checkSQL(ctx context.Context, conn *sql.Conn, text string) (query bool, err error) {
	var open bool
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('enable_external_access')").Scan(&open); err != nil {
		return false, fmt.Errorf("read the lake's settings: %w", err)
	}
	if open {
		return false, fmt.Errorf("%w: the lake was opened without enable_external_access=false, so a statement could read files of this machine", ErrRefused)
	}
	var tree string
	err = conn.QueryRowContext(ctx, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", text).Scan(&tree)
	if err != nil {
		return false, fmt.Errorf("parse the statement: %w", err)
	}
	var parsed struct {
		Error   bool   `json:"error"`
		Type    string `json:"error_type"`
		Message string `json:"error_message"`
		Node    any    `json:"statements"`
	}
	if err := json.Unmarshal([]byte(tree), &parsed); err != nil {
		return false, fmt.Errorf("parse the statement: %w", err)
	}
	switch {
	case parsed.Error && parsed.Type == "not implemented":
		return false, nil
	case parsed.Error:
		return false, fmt.Errorf("%w: %s", ErrRefused, parsed.Message)
	}
	return true, checkTree(parsed.Node)
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
				return fmt.Errorf("%w: %s() is not allowed: it does more than read the lake's tables", ErrRefused, name)
			}
		}
		if n["class"] == "PARAMETER" {
			return fmt.Errorf("%w: placeholders are not supported; write the value", ErrRefused)
		}
		for _, child := range n {
			if err := checkTree(child); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPivot refuses a PIVOT that may be more than one query or call a table function. DuckDB runs a PIVOT without a list of
// values as several statements and does not show its parts, so checkPivot compares words: it may refuse too much, never too
// little.
func checkPivot(ctx context.Context, conn *sql.Conn, text string) error {
	if strings.Contains(text, ";") {
		return fmt.Errorf("%w: a PIVOT without a list of values (IN) may not contain a semicolon", ErrRefused)
	}
	if escapedName.MatchString(text) {
		return fmt.Errorf("%w: a PIVOT without a list of values (IN) may not contain Unicode escapes (U&)", ErrRefused)
	}
	words := map[string]bool{}
	for _, w := range word.FindAllString(text, -1) {
		words[strings.ToLower(w)] = true
	}
	return lake.EachRow(ctx, conn, "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')", nil,
		func(rows *sql.Rows) error {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			if words[name] && !slices.Contains(tableFunctions(), name) {
				return fmt.Errorf("%w: a PIVOT without a list of values (IN) may not contain the word %s, which is the name of a table function", ErrRefused, name)
			}
			return nil
		})
}
