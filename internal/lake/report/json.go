package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// MarshalJSON returns the stable JSON form of the report: fields may be added but are never changed. A missing key is "-", a
// missing figure is null.
func (r *Report) MarshalJSON() ([]byte, error) {
	q := r.Query
	out := jsonReport{
		By: []string{}, From: jsonTime(q.From, q.Zone), To: jsonTime(q.To, q.Zone), Zone: q.Zone.String(), Filter: []string{},
		Rows: make([]jsonRow, len(r.Rows)), OtherRows: r.OtherRows, Total: r.jsonRow(r.Total), Undated: r.Undated, RepeatedIDs: r.RepeatedIDs, RepeatedLines: r.RepeatedLines,
		Unread: r.Unread,
	}
	for _, d := range q.By {
		out.By = append(out.By, string(d))
	}
	for _, c := range q.Filter {
		out.Filter = append(out.Filter, c.String())
	}
	for i, row := range r.Rows {
		out.Rows[i] = r.jsonRow(row)
	}
	if r.Others != nil {
		others := r.jsonRow(*r.Others)
		out.Others = &others
	}
	return json.Marshal(out)
}

type jsonReport struct {
	By        []string  `json:"by"`
	From      *string   `json:"from"`
	To        *string   `json:"to"`
	Zone      string    `json:"zone"`
	Filter    []string  `json:"filter"`
	Rows      []jsonRow `json:"rows"`
	Others    *jsonRow  `json:"others"`
	OtherRows int64     `json:"other_rows"`
	Total     jsonRow   `json:"total"`
	Undated   int64     `json:"undated"`

	RepeatedIDs   int64 `json:"repeated_ids"`
	RepeatedLines int64 `json:"repeated_lines"`

	Unread lake.Unread `json:"unread"`
}

type jsonRow struct {
	Keys         map[string]string `json:"keys,omitempty"`
	Requests     int64             `json:"requests"`
	Errors       int64             `json:"errors"`
	ClientErrors int64             `json:"client_errors"`
	ServerErrors int64             `json:"server_errors"`
	ErrorRate    float64           `json:"error_rate"`
	Bytes        int64             `json:"bytes"`
	P50          *int64            `json:"p50_ms"`
	P95          *int64            `json:"p95_ms"`
	P99          *int64            `json:"p99_ms"`
	First        *string           `json:"first"`
	Last         *string           `json:"last"`
	Before       *jsonBefore       `json:"before,omitempty"`
}

type jsonBefore struct {
	Requests        int64   `json:"requests"`
	Errors          int64   `json:"errors"`
	ErrorRate       float64 `json:"error_rate"`
	ChangeRequests  int64   `json:"change_requests"`
	ChangeErrorRate float64 `json:"change_error_rate"`
}

func (r *Report) jsonRow(row query.Row) jsonRow {
	out := jsonRow{
		Requests: row.Requests, Errors: row.Errors, ClientErrors: row.Client, ServerErrors: row.Server, ErrorRate: row.ErrorRate(),
		Bytes: row.Bytes, P50: row.P50, P95: row.P95, P99: row.P99,
		First: jsonTime(row.First, r.Query.Zone), Last: jsonTime(row.Last, r.Query.Zone),
	}
	if len(row.Keys) > 0 {
		out.Keys = map[string]string{}
	}
	for i, key := range row.Keys {
		d := r.Query.By[i]
		if d.Named() {
			out.Keys[string(d)], out.Keys[d.IDName()] = key.Name, key.Value
			continue
		}
		out.Keys[string(d)] = key.Value
	}
	if b := row.Before; b != nil {
		out.Before = &jsonBefore{
			Requests: b.Requests, Errors: b.Errors, ErrorRate: b.ErrorRate(),
			ChangeRequests: row.MoreRequests(), ChangeErrorRate: row.MoreErrors(),
		}
	}
	return out
}

func jsonTime(t time.Time, zone *time.Location) *string {
	if t.IsZero() {
		return nil
	}
	s := t.In(zone).Format(time.RFC3339Nano)
	return &s
}

// WriteJSON writes the report as indented JSON. Unprintable characters are escaped, which does not change the parsed text.
func (r *Report) WriteJSON(w io.Writer) error {
	return table.WriteJSON(w, r)
}
