package console

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/sandbox"
	"github.com/stagelog/stagelog/internal/lake/table"
)

const (
	sqlTimeout   = 10 * time.Second // of a statement
	sqlMemoryMiB = 1024             // of a statement's process
	sqlBody      = 256 << 10        // maximum length of a form with a statement
	sqlRows      = 1000             // maximum number of rows on the page
	sqlSize      = 16 << 20         // maximum size of a result on the page, approximately
	csvRows      = 1_000_000        // maximum number of rows in a download
	sqlAtOnce    = 8                // maximum number of statements that wait, run, or send their result
)

// example is an example statement.
type example struct{ Label, SQL, URL string }

func examples() []example {
	all := []example{
		{"Requests by customer and day", "SELECT customer, time::DATE AS day, count(*) AS requests\nFROM requests\nGROUP BY ALL\nORDER BY day DESC, requests DESC", ""},
		{"Slowest routes", "SELECT method, route, count(*) AS requests, quantile_disc(latency, 0.95) AS p95_ms\nFROM requests\nWHERE time > now()::TIMESTAMP - INTERVAL 7 DAY\nGROUP BY ALL\nHAVING requests >= 10\nORDER BY p95_ms DESC\nLIMIT 20", ""},
		{"Errors by hour", "SELECT time_bucket(INTERVAL 1 HOUR, time) AS hour, status, count(*) AS requests\nFROM requests\nWHERE status >= 400\nGROUP BY ALL\nORDER BY hour DESC, status", ""},
		{"Objects with lines that do not count", "SELECT bucket, key, lines, bad, other, repaired, repair, problem\nFROM objects\nWHERE bad + other + repaired > 0 OR problem IS NOT NULL\nORDER BY imported DESC", ""},
	}
	for i := range all {
		all[i].URL = view{}.URL("/sql", "q", all[i].SQL)
	}
	return all
}

// sqlResult is the data of the SQL page.
type sqlResult struct {
	SQL      string
	Ran      bool
	Err      string
	Took     string
	Columns  []resultColumn
	Rows     [][]cell
	More     bool
	Limit    int64
	Examples []example
	Schema   []fact // the columns of requests and their types
}

// resultColumn is a column of a result. Numbers are right-aligned.
type resultColumn struct {
	Name string
	Num  bool
}

// cell is a value of a result.
type cell struct {
	Text string
	Kind string // num, null or ""
}

// sqlPage serves the form and runs a posted statement. A statement in the URL only fills the form, so that a link cannot run
// it.
func (c *Console) sqlPage(w http.ResponseWriter, r *http.Request) {
	f := c.newFrame(r, "SQL", "/sql", nil)
	result := sqlResult{SQL: r.URL.Query().Get("q"), Limit: sqlRows, Examples: examples()}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, sqlBody)
		if err := r.ParseForm(); err != nil {
			c.refuse(w, r, "/sql", fmt.Errorf("the statement could not be read: %w", err))
			return
		}
		result.SQL, result.Ran = r.PostForm.Get("q"), true
	}
	c.render(w, "top", f)
	defer c.render(w, "bottom", f)
	flush(w)
	l, err := c.lake(r.Context())
	if err != nil {
		c.renderProblem(w, f, err)
		return
	}
	if result.Ran {
		end, err := c.startStatement(w)
		if err != nil {
			result.Err = sqlError(err, c.sqlTimeout)
		} else {
			defer end()
			if err := result.run(r.Context(), l, c.sqlTimeout); err != nil {
				c.cfg.Failed(l.DB(), err)
			}
		}
	}
	result.Schema = schema(r.Context(), l.DB())
	c.render(w, "sql", result)
}

// startStatement reserves memory for the result of a statement until end is called. A client that does not read its result is
// disconnected, so that it does not keep that memory. It returns sandbox.ErrBusy if too many statements have started.
func (c *Console) startStatement(w http.ResponseWriter) (end func(), err error) {
	select {
	case c.statements <- struct{}{}:
	default:
		return nil, sandbox.ErrBusy
	}
	conn := http.NewResponseController(w)
	late := time.AfterFunc(3*c.sqlTimeout, func() { _ = conn.SetWriteDeadline(time.Now()) }) // only fails in tests, which have no connection
	return func() {
		late.Stop()
		<-c.statements
	}, nil
}

// Count returns the number of rows shown.
func (s sqlResult) Count() int64 { return int64(len(s.Rows)) }

// errFull ends a result that is too large for the page.
var errFull = errors.New("the result is too large for the page")

// run runs the statement and returns the error that the page shows.
func (s *sqlResult) run(ctx context.Context, l *lake.Lake, timeout time.Duration) (err error) {
	start := time.Now()
	size := 0
	s.More, err = sandbox.Statement{SQL: s.SQL, Rows: sqlRows, Timeout: timeout, MemoryMiB: sqlMemoryMiB}.Run(ctx, l,
		func(columns []string) error {
			for _, name := range columns {
				s.Columns = append(s.Columns, resultColumn{Name: name})
			}
			return nil
		},
		func(values []sandbox.Cell) error {
			row := make([]cell, len(values))
			for i, v := range values {
				row[i] = newCell(v).truncate()
				s.Columns[i].Num = s.Columns[i].Num || row[i].Kind == "num"
				size += len(row[i].Text) + cellSize
			}
			if size > sqlSize {
				return errFull
			}
			s.Rows = append(s.Rows, row)
			return nil
		})
	s.Took = age(time.Since(start))
	if errors.Is(err, errFull) && len(s.Rows) > 0 {
		s.More, err = true, nil
	}
	if err != nil {
		s.Err, s.Columns, s.Rows = sqlError(err, timeout), nil, nil
	}
	return err
}

// cellSize is the approximate size of an empty cell in memory and on the page.
const cellSize = 64

// sqlError returns an error for the page, without DuckDB's excerpt of the statement, which shows our wrapper, its stack trace
// and its advice to change settings.
func sqlError(err error, timeout time.Duration) string {
	text := err.Error()
	for _, part := range []string{"\n\nLINE ", "\n\nStack Trace:", "\nPossible solutions:"} {
		text, _, _ = strings.Cut(text, part)
	}
	switch {
	case errors.Is(err, sandbox.ErrTimeout):
		return fmt.Sprintf("stopped after %s; select a shorter time range, or use `stagelog query`, which has no time limit", age(timeout))
	case errors.Is(err, sandbox.ErrBusy):
		return text + "; try again in a few seconds"
	case errors.Is(err, sandbox.ErrCrashed), strings.HasPrefix(text, "Out of Memory Error"):
		return text + "; make it smaller, or use `stagelog query`, which has no memory limit"
	}
	return text
}

// schema returns the columns of requests. It returns none on an error, because the page works without.
func schema(ctx context.Context, db *sql.DB) []fact {
	var all []fact
	err := lake.EachRow(ctx, db, `SELECT column_name, lower(data_type) FROM duckdb_columns() WHERE table_name = 'requests' ORDER BY column_index`, nil,
		func(rows *sql.Rows) error {
			all = append(all, fact{})
			f := &all[len(all)-1]
			return rows.Scan(&f.Label, &f.Value)
		})
	if err != nil {
		return nil
	}
	return all
}

// sqlCSV runs a statement and sends its rows as a CSV file. It prefixes texts that a spreadsheet would run as a formula with
// an apostrophe. If the result is truncated, it aborts the connection, so that the file does not seem complete.
func (c *Console) sqlCSV(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, sqlBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the statement could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	l, err := c.lake(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	end, err := c.startStatement(w)
	if err != nil {
		http.Error(w, sqlError(err, c.sqlTimeout), http.StatusServiceUnavailable)
		return
	}
	defer end()
	out := csv.NewWriter(w)
	begun := false
	var texts []string
	statement := sandbox.Statement{SQL: r.PostForm.Get("q"), Rows: csvRows, Timeout: c.sqlTimeout, MemoryMiB: sqlMemoryMiB}
	more, err := statement.Run(r.Context(), l,
		func(columns []string) error {
			begun = true
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			w.Header().Set("Content-Disposition", `attachment; filename="stagelog.csv"`)
			for i := range columns {
				columns[i] = table.Guard(columns[i])
			}
			return out.Write(columns)
		},
		func(values []sandbox.Cell) error {
			texts = texts[:0]
			for _, v := range values {
				texts = append(texts, csvText(v))
			}
			return out.Write(texts)
		})
	if err != nil {
		c.cfg.Failed(l.DB(), err)
	}
	if err != nil && !begun {
		http.Error(w, sqlError(err, c.sqlTimeout), http.StatusUnprocessableEntity)
		return
	}
	out.Flush()
	if err := errors.Join(err, out.Error()); err != nil || more {
		c.log.Warn("download truncated", "rows", csvRows, "more", more, "error", err)
		panic(http.ErrAbortHandler)
	}
}

func csvText(c sandbox.Cell) string {
	if c.Kind == sandbox.Text {
		return table.Guard(c.Text)
	}
	return c.Text
}

// truncate shortens a long value for the page.
func (c cell) truncate() cell {
	const most = 4000
	if len(c.Text) > most {
		c.Text = strings.ToValidUTF8(c.Text[:most], "") + "…"
	}
	return c
}

// newCell formats a value for the page.
func newCell(c sandbox.Cell) cell {
	switch c.Kind {
	case sandbox.Null:
		return cell{"NULL", "null"}
	case sandbox.Number:
		return cell{c.Text, "num"}
	case sandbox.Time:
		if at, err := time.Parse(time.RFC3339Nano, c.Text); err == nil {
			return cell{Text: strings.TrimSuffix(at.Format("2006-01-02 15:04:05.999999"), " 00:00:00")}
		}
	}
	return cell{Text: c.Text}
}
