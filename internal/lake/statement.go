//go:build cgo

package lake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// dialect holds read_csv's options for our files. They leave nothing to detection.
//
// Rows are passed to DuckDB as CSV because the alternatives are slower or need more. For a million rows, CSV took 5.9 seconds of processor
// time to write and insert, Arrow 5.0, Parquet 7.0, and DuckDB's Appender 9.9; inserting rows that DuckDB had already took 3.4. Arrow
// needs its Go library, a build tag and memory outside Go. On disk, all but the Appender took 30 to 31 bytes per row.
const dialect = "auto_detect = false, delim = '\x1f', " + `quote = '', escape = '', new_line = '\n', comment = '', thousands = '', decimal_separator = '.',
	header = false, skip = 0, nullstr = '', null_padding = false, strict_mode = true, ignore_errors = false, encoding = 'utf-8', compression = 'none',
	dateformat = '%Y-%m-%d', timestampformat = '%Y-%m-%d %H:%M:%S.%f', max_line_size = 4194304, buffer_size = 33554432`

// reading returns the FROM clause that reads files of rows. columns lists the names and types of their columns but the last.
func reading(columns string, files ...string) string {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = quote(f)
	}
	return fmt.Sprintf("FROM read_csv([%s], %s, columns = {%s, 'escaped': 'BOOLEAN'})", strings.Join(quoted, ", "), dialect, columns)
}

// unescaped returns the expression for a column of text.
func unescaped(name string) string {
	plain := name
	for _, c := range []int{'\n', '\r', separator, escape} { // the escape itself is the last
		plain = fmt.Sprintf("replace(%s, chr(%d) || chr(%d), chr(%d))", plain, escape, c|0x40, c)
	}
	return fmt.Sprintf("CASE WHEN escaped THEN %s ELSE %s END", plain, name)
}

func insertObjects(file string) string {
	return "INSERT INTO objects SELECT id, " + unescaped("bucket") + ", " + unescaped("key") + ", coalesce(" + unescaped("etag") + ", ''), size, modified, imported, lines, bad, " + unescaped("problem") + ", other, repaired, " + unescaped("repair") + " " +
		reading("'id': 'INTEGER', 'bucket': 'VARCHAR', 'key': 'VARCHAR', 'etag': 'VARCHAR', 'size': 'BIGINT', 'modified': 'TIMESTAMP', 'imported': 'TIMESTAMP', 'lines': 'BIGINT', 'bad': 'BIGINT', 'problem': 'VARCHAR', 'other': 'BIGINT', 'repaired': 'BIGINT', 'repair': 'VARCHAR'", file)
}

func insertBad(file string) string {
	return "INSERT INTO bad_lines SELECT object, line, reason, coalesce(" + unescaped("content") + ", '') " +
		reading("'object': 'INTEGER', 'line': 'BIGINT', 'reason': 'VARCHAR', 'content': 'VARCHAR'", file)
}

// rowColumns names the columns of a file of rows, in the order of type column.
var rowColumns = []string{
	"time", "request_id", "api_id", "stage", "key_id", "customer", "usage_plan", "usage_plan_id", "method", "route", "path",
	"status", "latency", "integration_latency", "bytes", "ip", "user_agent", "error", "extra", "extended_request_id",
}

func insertRows(files []string) string {
	types, values := []string{"'object': 'INTEGER'", "'line': 'BIGINT'"}, []string{"object", "line", "false"}
	for c, name := range rowColumns {
		kind, value := "VARCHAR", name
		switch column(c) {
		case colTime:
			kind, value = "BIGINT", "make_timestamp(time)"
		case colBytes:
			kind = "BIGINT"
		case colStatus:
			kind = "SMALLINT"
		case colLatency, colIntegrationLatency:
			kind = "INTEGER"
		default:
			value = unescaped(name)
		}
		types, values = append(types, quote(name)+": "+quote(kind)), append(values, value)
	}
	return "INSERT INTO request_rows SELECT " + strings.Join(values, ", ") + " " + reading(strings.Join(types, ", "), files...)
}

// table collects rows for a small CSV file.
type table struct {
	dir  string
	data []byte
}

func (t *table) row(values ...any) {
	escaped := false
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			t.data = appendInt(t.data, v)
		case string:
			var special bool
			t.data, special = appendField(t.data, []byte(strings.ToValidUTF8(v, "\uFFFD")))
			escaped = escaped || special
		case time.Time:
			t.data = v.AppendFormat(t.data, "2006-01-02 15:04:05.000000")
		default:
			panic(fmt.Sprintf("BUG: a value of type %T", v))
		}
		t.data = append(t.data, separator)
	}
	t.data = endRow(t.data, escaped)
}

// insert runs the statement for a file of the rows, if there are any.
func (t *table) insert(ctx context.Context, tx *sql.Tx, statement func(file string) string) error {
	if len(t.data) == 0 {
		return nil
	}
	f, err := os.CreateTemp(t.dir, "table-*.csv")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // Close removes what is left
	_, err = f.Write(t.data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, statement(f.Name()))
	return err
}

// dropObjects removes objects. If a removed row was the first of its request, the next remaining row counts instead.
func dropObjects(ctx context.Context, tx *sql.Tx, ids ...int32) error {
	if len(ids) == 0 {
		return nil
	}
	these := "(SELECT unnest(" + strings.ReplaceAll(fmt.Sprint(ids), " ", ",") + "::INTEGER[]))"
	_, err := tx.ExecContext(ctx, `INSERT INTO unchecked SELECT DISTINCT object FROM request_rows
			WHERE object NOT IN `+these+` AND duplicate AND `+RequestKey+` IN (SELECT `+RequestKey+` FROM request_rows WHERE object IN `+these+`);
		DELETE FROM request_rows WHERE object IN `+these+`;
		DELETE FROM bad_lines WHERE object IN `+these+`;
		DELETE FROM unchecked WHERE object IN `+these+`;
		DELETE FROM objects WHERE id IN `+these)
	return err
}

// markDuplicates compares the requests of the unchecked objects with all others, and returns how many rows it marked. It
// compares hashes of keys first, and the rest only of rows whose hashes are equal.
func markDuplicates(ctx context.Context, tx *sql.Tx) (marked int64, err error) {
	var fresh int64
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM unchecked").Scan(&fresh); err != nil || fresh == 0 {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `CREATE OR REPLACE TEMP TABLE fresh AS
			SELECT DISTINCT hash(`+RequestKey+`) AS h FROM request_rows SEMI JOIN unchecked USING (object) WHERE `+RequestKey+` IS NOT NULL;
		CREATE OR REPLACE TEMP TABLE twice AS
			SELECT hash(`+RequestKey+`) AS h FROM request_rows WHERE h IN (SELECT h FROM fresh) GROUP BY 1 HAVING count(*) > 1 OR bool_or(duplicate);
		CREATE OR REPLACE TEMP TABLE ranked AS
			SELECT object, line, row_number() OVER (PARTITION BY `+SameRequest+` ORDER BY object, line) > 1 AS repeated
			FROM request_rows WHERE hash(`+RequestKey+`) IN (SELECT h FROM twice)`); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM ranked SEMI JOIN unchecked USING (object) WHERE repeated").Scan(&marked); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE request_rows SET duplicate = ranked.repeated FROM ranked
			WHERE request_rows.object = ranked.object AND request_rows.line = ranked.line AND request_rows.duplicate <> ranked.repeated;
		DELETE FROM unchecked;
		DROP TABLE fresh; DROP TABLE twice; DROP TABLE ranked`)
	return marked, err
}
