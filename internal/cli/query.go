package cli

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/sandbox"
	"github.com/stagelog/stagelog/internal/lake/table"
)

type queryFlags struct {
	lake     lakeFlags
	from, to when
	csv      bool
	parquet  string
	memory   size
	timeout  time.Duration
}

func newQuery(e *env) *cobra.Command {
	flags := queryFlags{from: when{now: time.Now}, to: when{now: time.Now}}
	cmd := &cobra.Command{
		Use:   "query [SQL]",
		Short: "Run SQL over the delivered logs",
		Long: `Runs DuckDB SQL. The view requests has one row for each request:
  time, request_id, extended_request_id, api_id, stage, key_id, customer, usage_plan,
  usage_plan_id, method, route, path, status, latency, integration_latency (ms), bytes, ip,
  user_agent, error, extra (JSON: every other field), object, line
Times are UTC, and a logged "-" is NULL. The tables objects and bad_lines hold the imported objects and
the lines that could not be parsed. Without SQL, query starts an interactive prompt.

A statement may use as much time and memory as it needs. For SQL that others wrote, set --timeout and --memory. In CSV, a
text that a spreadsheet would run as a formula begins with an apostrophe, and control characters are escaped; in
JSON no value is changed.

` + lakeHelp,
		Example: `  stagelog query "SELECT customer, count(*) FROM requests GROUP BY 1 ORDER BY 2 DESC"
  stagelog query "SELECT * FROM requests WHERE status >= 500 ORDER BY time DESC LIMIT 20" --json
  stagelog query "FROM requests WHERE customer = 'Acme'" --parquet acme.parquet
  stagelog query                                     start a prompt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.lake.run(e, func() error { return runQuery(cmd.Context(), e, &flags, args) })
		},
	}
	flags.lake.bind(cmd)
	f := cmd.Flags()
	f.Var(&flags.from, "from", "import requests from this time on (default 30 days ago): "+whenHelp)
	f.Var(&flags.to, "to", "import requests before this time")
	f.BoolVar(&flags.csv, "csv", false, "print CSV")
	f.StringVar(&flags.parquet, "parquet", "", "write the result to this Parquet file")
	f.DurationVar(&flags.timeout, "timeout", 0, "stop a statement after this time (default no limit)")
	f.Var(&flags.memory, "memory", "memory for the statements; DuckDB writes to disk above half of it (default no limit, to disk above 1GiB)")
	cmd.MarkFlagsMutuallyExclusive("csv", "parquet")
	return cmd
}

func runQuery(ctx context.Context, e *env, flags *queryFlags, args []string) error {
	flags.lake.memoryMiB = int(flags.memory >> 21)
	if flags.memory > 0 && flags.lake.memoryMiB < minMemoryMiB {
		return usageError{fmt.Errorf("--memory %s: at least %dMiB is required", &flags.memory, 2*minMemoryMiB)}
	}
	var at *logs
	err := flags.lake.read(ctx, e, flags.from.or(time.Now().Add(-recent)), flags.to.Time, func(l *lake.Lake, from *logs) error {
		at = from
		if flags.memory > 0 {
			if err := sandbox.LimitMemory(int(flags.memory >> 20)); err != nil {
				return err
			}
		}
		switch {
		case len(args) == 0:
			return nil
		case flags.parquet != "":
			return flags.limited(ctx, e, func(ctx context.Context) error { return writeParquet(ctx, l, args[0], flags.parquet) })
		}
		return flags.run(ctx, e, l, args[0])
	})
	if err != nil || len(args) > 0 {
		return err
	}
	flags.lake.noImport = true
	return prompt(ctx, e, at, func(ctx context.Context, statement string) error { // other commands use the lake between two statements
		return flags.lake.readAt(ctx, e, at, func(l *lake.Lake) error { return flags.run(ctx, e, l, statement) })
	})
}

const (
	minMemoryMiB = 64 // of DuckDB
	// stopWait is how long an interrupted statement may take to end. DuckDB checks for interrupts between chunks of rows.
	stopWait = 2 * time.Second
)

// limited calls fn with the limit of time. It ends the process if fn goes on all the same.
func (f *queryFlags) limited(ctx context.Context, e *env, fn func(context.Context) error) error {
	if f.timeout <= 0 {
		return fn(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	stopped := fmt.Errorf("statement stopped after %v, the limit set by --timeout", f.timeout)
	defer time.AfterFunc(f.timeout+stopWait, func() { os.Exit(exitCode(stopped, "stagelog query", e.stderr)) }).Stop()
	err := fn(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return stopped
	}
	return err
}

// run runs one statement and prints its rows.
func (f *queryFlags) run(ctx context.Context, e *env, l *lake.Lake, statement string) error {
	return f.limited(ctx, e, func(ctx context.Context) error {
		return l.Read(ctx, statement, func(rows *sql.Rows) error {
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			switch {
			case e.json:
				return rowsAsJSON(e.stdout, rows, names)
			case f.csv:
				return rowsAsCSV(e.stdout, rows, names)
			}
			return rowsAsTable(e.stdout, rows, names)
		})
	})
}

// scan calls fn with the values of each row.
func scan(rows *sql.Rows, n int, fn func([]any) error) error {
	values, into := make([]any, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := fn(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// text formats a value for people. NULL becomes the empty text.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.999")
	case []byte:
		return string(v)
	case map[string]any, []any:
		data, err := json.Marshal(v)
		if err == nil {
			return string(data)
		}
	}
	return fmt.Sprint(v)
}

// maxTableRows limits the rows of a table: all of them are in memory to compute its widths.
const maxTableRows = 10_000

func rowsAsTable(w io.Writer, rows *sql.Rows, names []string) error {
	columns := make([]table.Column, len(names))
	for i, name := range names {
		columns[i] = table.Column{Head: name, Right: true}
	}
	n := 0
	err := scan(rows, len(names), func(values []any) error {
		if n++; n > maxTableRows {
			return nil
		}
		for i, v := range values {
			switch v.(type) {
			case nil, int, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64:
			default:
				columns[i].Right = false
			}
			columns[i].Cells = append(columns[i].Cells, table.Printable(text(v)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := table.Write(w, columns, width(w)); err != nil {
		return err
	}
	if n > maxTableRows {
		_, err = fmt.Fprintf(w, "%s more rows; use --csv, --json or --parquet to get all\n", table.Thousands(int64(n-maxTableRows)))
	}
	return err
}

// rowsAsCSV prints CSV. It escapes texts as reports do.
func rowsAsCSV(w io.Writer, rows *sql.Rows, names []string) error {
	out := csv.NewWriter(w)
	record := make([]string, len(names))
	for i, name := range names {
		record[i] = table.Cell(name)
	}
	if err := out.Write(record); err != nil {
		return err
	}
	err := scan(rows, len(names), func(values []any) error {
		for i, v := range values {
			switch v.(type) {
			case string, []byte:
				record[i] = table.Cell(text(v))
			default: // a number may begin with a sign
				record[i] = table.Printable(text(v))
			}
		}
		return out.Write(record)
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

// rowsAsJSON prints a list of objects with their members in column order. Unprintable characters are escaped, which does not
// change the parsed text.
func rowsAsJSON(w io.Writer, rows *sql.Rows, names []string) error {
	between := "[\n"
	err := scan(rows, len(names), func(values []any) error {
		line := []byte(between + "{")
		between = ",\n"
		for i, v := range values {
			if i > 0 {
				line = append(line, ',')
			}
			if t, ok := v.(time.Time); ok {
				v = t.UTC()
			}
			name, err := json.Marshal(names[i])
			if err != nil {
				return err
			}
			value, err := json.Marshal(v)
			if err != nil {
				if value, err = json.Marshal(text(v)); err != nil {
					return err
				}
			}
			line = append(append(append(line, name...), ':'), value...)
		}
		_, err := w.Write(table.JSON(append(line, '}')))
		return err
	})
	if err == nil {
		end := "\n]\n"
		if between == "[\n" {
			end = "[]\n"
		}
		_, err = io.WriteString(w, end)
	}
	return err
}

// writeParquet copies the Parquet file that the query process writes to path.
func writeParquet(ctx context.Context, l *lake.Lake, statement, path string) error {
	made, err := l.Parquet(ctx, statement)
	if err != nil {
		return err
	}
	defer os.Remove(made)
	from, err := os.Open(made)
	if err != nil {
		return err
	}
	defer from.Close()
	return writeTo(path, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

// words lists the prompt's completions.
var words = strings.Fields(`SELECT FROM WHERE GROUP ORDER BY LIMIT count(*) DISTINCT HAVING AND OR NOT NULL IS LIKE DESC ASC quantile_cont( date_trunc('hour',
	requests objects bad_lines time request_id extended_request_id api_id stage key_id customer usage_plan usage_plan_id method route path
	status latency integration_latency bytes ip user_agent error extra`)
