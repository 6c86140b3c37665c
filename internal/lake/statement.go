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

// csv holds read_csv's options for our files. They disable format detection.
const csv = "header = false, auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', max_line_size = 4194304, buffer_size = 33554432"

const insertObjects = `INSERT INTO objects SELECT * FROM read_csv(%s, ` + csv + `, columns = {
	'id': 'INTEGER', 'bucket': 'VARCHAR', 'key': 'VARCHAR', 'etag': 'VARCHAR', 'size': 'BIGINT', 'modified': 'TIMESTAMP', 'imported': 'TIMESTAMP',
	'lines': 'BIGINT', 'bad': 'BIGINT', 'problem': 'VARCHAR'})`

const insertBad = `INSERT INTO bad_lines SELECT object, line, reason, coalesce(content, '') FROM read_csv(%s, ` + csv + `, columns = {
	'object': 'INTEGER', 'line': 'BIGINT', 'reason': 'VARCHAR', 'content': 'VARCHAR'})`

// rowColumns names the columns of a file of rows, in the order of type column.
var rowColumns = []string{
	"time", "request_id", "api_id", "stage", "key_id", "customer", "usage_plan", "usage_plan_id", "method", "route", "path",
	"status", "latency", "integration_latency", "bytes", "ip", "user_agent", "error", "extra", "extended_request_id",
}

func insertRows(files []string) string {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = quote(f)
	}
	types := []string{"'object': 'INTEGER'", "'line': 'BIGINT'"}
	for c, name := range rowColumns {
		kind := "VARCHAR"
		switch column(c) {
		case colTime, colBytes:
			kind = "BIGINT"
		case colStatus:
			kind = "SMALLINT"
		case colLatency, colIntegrationLatency:
			kind = "INTEGER"
		}
		types = append(types, quote(name)+": "+quote(kind))
	}
	return fmt.Sprintf("INSERT INTO request_rows SELECT object, line, false, make_timestamp(time), %s FROM read_csv([%s], %s, columns = {%s})",
		strings.Join(rowColumns[1:], ", "), strings.Join(quoted, ", "), csv, strings.Join(types, ", "))
}

// table collects rows for a small CSV file.
type table struct {
	dir  string
	data []byte
}

func (t *table) row(values ...any) {
	for i, v := range values {
		if i > 0 {
			t.data = append(t.data, ',')
		}
		switch v := v.(type) {
		case int64:
			t.data = appendInt(t.data, v)
		case string:
			t.data = appendField(t.data, []byte(v))
		case time.Time:
			t.data = v.AppendFormat(t.data, "2006-01-02 15:04:05.999999")
		default:
			panic(fmt.Sprintf("BUG: a value of type %T", v))
		}
	}
	t.data = append(t.data, '\n')
}

// insert runs a statement over a file of the rows, if there are any.
func (t *table) insert(ctx context.Context, tx *sql.Tx, statement string) error {
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
	_, err = tx.ExecContext(ctx, fmt.Sprintf(statement, quote(f.Name())))
	return err
}

// dropObjects removes objects. If a removed row was the first of its request, the next remaining row counts instead.
func dropObjects(ctx context.Context, tx *sql.Tx, ids ...int32) error {
	if len(ids) == 0 {
		return nil
	}
	these := "(SELECT unnest(" + strings.ReplaceAll(fmt.Sprint(ids), " ", ",") + "::INTEGER[]))"
	_, err := tx.ExecContext(ctx, `INSERT INTO unchecked SELECT DISTINCT object FROM request_rows
			WHERE object NOT IN `+these+` AND duplicate AND `+identity+` IN (SELECT `+identity+` FROM request_rows WHERE object IN `+these+`);
		DELETE FROM request_rows WHERE object IN `+these+`;
		DELETE FROM bad_lines WHERE object IN `+these+`;
		DELETE FROM unchecked WHERE object IN `+these+`;
		DELETE FROM objects WHERE id IN `+these)
	return err
}

// identity is the SQL expression that identifies a request.
const identity = "coalesce(extended_request_id, request_id)"

// markDuplicates compares the requests of the unchecked objects with all others, and returns how many rows it marked. It
// compares hashes first and the ids only of rows whose hashes are equal.
func markDuplicates(ctx context.Context, tx *sql.Tx) (marked int64, err error) {
	var fresh int64
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM unchecked").Scan(&fresh); err != nil || fresh == 0 {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `CREATE OR REPLACE TEMP TABLE fresh AS
			SELECT DISTINCT hash(`+identity+`) AS h FROM request_rows SEMI JOIN unchecked USING (object) WHERE `+identity+` IS NOT NULL;
		CREATE OR REPLACE TEMP TABLE twice AS
			SELECT hash(`+identity+`) AS h FROM request_rows WHERE h IN (SELECT h FROM fresh) GROUP BY 1 HAVING count(*) > 1 OR bool_or(duplicate);
		CREATE OR REPLACE TEMP TABLE ranked AS
			SELECT object, line, row_number() OVER (PARTITION BY `+identity+` ORDER BY object, line) > 1 AS repeated
			FROM request_rows WHERE hash(`+identity+`) IN (SELECT h FROM twice)`); err != nil {
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
