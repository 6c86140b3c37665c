package console

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/lake"
)

// example is an example statement.
type example struct{ Label, SQL, URL string }

func examples() []example {
	all := []example{
		{"Requests by customer and day", "SELECT customer, time::DATE AS day, count(*) AS requests\nFROM requests\nGROUP BY ALL\nORDER BY day DESC, requests DESC", ""},
		{"Slowest routes", "SELECT method, route, count(*) AS requests, quantile_disc(latency, 0.95) AS p95_ms\nFROM requests\nWHERE time > now()::TIMESTAMP - INTERVAL 7 DAY\nGROUP BY ALL\nHAVING requests >= 10\nORDER BY p95_ms DESC\nLIMIT 20", ""},
		{"Errors by hour", "SELECT time_bucket(INTERVAL 1 HOUR, time) AS hour, status, count(*) AS requests\nFROM requests\nWHERE status >= 400\nGROUP BY ALL\nORDER BY hour DESC, status", ""},
		{"Objects with unreadable lines", "SELECT bucket, key, lines, bad, problem\nFROM objects\nWHERE bad > 0 OR problem IS NOT NULL\nORDER BY imported DESC", ""},
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
		r.Body = http.MaxBytesReader(w, r.Body, 4*sqlBytes)
		if err := r.ParseForm(); err != nil {
			c.refuse(w, r, "/sql", fmt.Errorf("the statement could not be read: %w", err))
			return
		}
		result.SQL, result.Ran = r.PostForm.Get("q"), true
	}
	c.render(w, "top", f)
	defer c.render(w, "bottom", f)
	flush(w)
	db, err := c.db(r.Context())
	if err != nil {
		c.renderProblem(w, f, err)
		return
	}
	if result.Ran {
		result.run(r.Context(), db, c.sqlTimeout)
	}
	result.Schema = schema(r.Context(), db)
	c.render(w, "sql", result)
}

// Count returns the number of rows shown.
func (s sqlResult) Count() int64 { return int64(len(s.Rows)) }

func (s *sqlResult) run(ctx context.Context, db *sql.DB, timeout time.Duration) {
	start := time.Now()
	var err error
	s.More, err = statement{s.SQL, sqlRows, timeout}.run(ctx, db,
		func(columns []string) error {
			for _, name := range columns {
				s.Columns = append(s.Columns, resultColumn{Name: name})
			}
			return nil
		},
		func(values []any) error {
			row := make([]cell, len(values))
			for i, v := range values {
				row[i] = newCell(v).truncate()
				s.Columns[i].Num = s.Columns[i].Num || row[i].Kind == "num"
			}
			s.Rows = append(s.Rows, row)
			return nil
		})
	s.Took = age(time.Since(start))
	if err != nil {
		s.Err, s.Columns, s.Rows = sqlError(err), nil, nil
	}
}

// sqlError returns an error without DuckDB's excerpt of the statement, which shows our wrapper.
func sqlError(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n\nLINE ")
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
	r.Body = http.MaxBytesReader(w, r.Body, 4*sqlBytes)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the statement could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	db, err := c.db(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	out := csv.NewWriter(w)
	begun := false
	var texts []string
	more, err := statement{r.PostForm.Get("q"), csvRows, c.sqlTimeout}.run(r.Context(), db,
		func(columns []string) error {
			begun = true
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			w.Header().Set("Content-Disposition", `attachment; filename="stagelog.csv"`)
			for i := range columns {
				columns[i] = noFormula(columns[i])
			}
			return out.Write(columns)
		},
		func(values []any) error {
			texts = texts[:0]
			for _, v := range values {
				texts = append(texts, csvText(v))
			}
			return out.Write(texts)
		})
	if err != nil && !begun {
		http.Error(w, sqlError(err), http.StatusUnprocessableEntity)
		return
	}
	out.Flush()
	if err := errors.Join(err, out.Error()); err != nil || more {
		c.log.Warn("download truncated", "rows", csvRows, "more", more, "error", err)
		panic(http.ErrAbortHandler)
	}
}

func csvText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case string:
		return noFormula(v)
	}
	return newCell(v).Text
}

func noFormula(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// truncate shortens a long value for the page.
func (c cell) truncate() cell {
	const most = 4000
	if len(c.Text) > most {
		c.Text = strings.ToValidUTF8(c.Text[:most], "") + "…"
	}
	return c
}

// newCell formats a DuckDB value. It formats the driver's types generically, so that this package does not import the driver.
func newCell(v any) cell {
	switch v := v.(type) {
	case nil:
		return cell{"NULL", "null"}
	case string:
		return cell{Text: v}
	case bool:
		return cell{Text: strconv.FormatBool(v)}
	case int8, int16, int32, int64, int, uint8, uint16, uint32, uint64, *big.Int:
		return cell{fmt.Sprint(v), "num"}
	case float32:
		return cell{strconv.FormatFloat(float64(v), 'g', -1, 32), "num"}
	case float64:
		return cell{strconv.FormatFloat(v, 'g', -1, 64), "num"}
	case time.Time:
		return cell{Text: strings.TrimSuffix(v.UTC().Format("2006-01-02 15:04:05.999999"), " 00:00:00")}
	case []byte:
		if utf8.Valid(v) {
			return cell{Text: string(v)}
		}
		return cell{Text: fmt.Sprintf("\\x%x", v)}
	case fmt.Stringer:
		return cell{Text: v.String()}
	}
	if text, err := json.Marshal(v); err == nil {
		return cell{Text: string(text)}
	}
	return cell{Text: fmt.Sprint(v)}
}
