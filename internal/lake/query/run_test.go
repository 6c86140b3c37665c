//go:build cgo

package query

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/lake/laketest"
)

// TestRunAgreesWithPlainGo compares every figure with the same figure computed over the rows, without SQL.
func TestRunAgreesWithPlainGo(t *testing.T) {
	rng := laketest.Rand(t)
	from := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
	rows := laketest.Random(rng, 5000, from, from.AddDate(0, 0, 14)) // over the night in which clocks go back
	db := laketest.Open(t)
	laketest.AddRows(t, db, rows...)
	for i := range 80 {
		q := randomQuery(t, rng, from)
		name := fmt.Sprintf("%d: by %v filter %v from %v to %v top %d compare %v zone %v", i, q.By, q.Filter, q.From, q.To, q.Top, q.Compare, q.Zone)
		got, err := Run(t.Context(), db, q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := compute(rows, got.Query)
		if diff := gocmp.Diff(want, got, gocmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
			t.Fatalf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func randomQuery(t *testing.T, rng *rand.Rand, from time.Time) Query {
	t.Helper()
	q := Query{Top: rng.IntN(6), CountsOnly: rng.IntN(5) == 0}
	for _, i := range rng.Perm(len(Dimensions()))[:rng.IntN(4)] {
		q.By = append(q.By, Dimensions()[i])
	}
	q.Order = []Order{"", Requests, Change, Changes, Errors, Latency, Bytes}[rng.IntN(7)]
	if q.RowsOnly = rng.IntN(4) == 0; q.RowsOnly {
		q.CountsOnly = q.CountsOnly && q.Order != Bytes // both together omit bytes
	}
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"}
	zone, err := time.LoadLocation(zones[rng.IntN(len(zones))])
	if err != nil {
		t.Fatal(err)
	}
	q.Zone = zone
	if rng.IntN(3) > 0 {
		q.From = from.Add(time.Duration(rng.IntN(7*24*60)) * time.Minute)
		q.To = q.From.Add(time.Duration(1+rng.IntN(7*24*60)) * time.Minute)
		q.Compare = rng.IntN(2) == 0
		if q.Compare && rng.IntN(2) == 0 {
			q.CompareUntil = q.From.Add(-time.Duration(rng.Int64N(int64(q.To.Sub(q.From)))))
		}
		q.Current = rng.IntN(3) == 0 && q.Order != Changes
		if rng.IntN(3) == 0 {
			q.By, q.Every = append(q.By, Step), time.Duration(1+rng.IntN(600))*time.Minute
		}
	}
	for _, i := range rng.Perm(len(conditions))[:rng.IntN(4)] {
		f, err := ParseFilter(conditions[i])
		if err != nil {
			t.Fatal(err)
		}
		q.Filter = append(q.Filter, f...)
	}
	return q
}

// conditions are filters of every kind.
var conditions = []string{
	"status=5xx", "status=404", "status!=2*", "status!=-", "class=4xx", "class!=2xx", "customer!=-", "customer=-", "customer=key3",
	"customer=Customer 2", "customer=Cust*", "plan=Gold", "plan!=plan1", "plan=-", "route=/orders/*", "route=-", "path=/orders/1_%",
	"path=/orders/*_%", "path!=/it*", "api=shop", "api!=shop", "stage=-", "stage=prod", "method=GET", "method!=*E*", "ip=10.*", "ip=2001:db8::1",
	"user_agent=\x1b[2J*", "user_agent!=curl*", "user_agent=*" + "\u202e" + "*", "error=-", "error!=-", "error=*server*",
	"day=2026-10-25", "day=2026-10-2*", "day!=-", "hour=2026-10-25T02:*", "month=2026-10", "month!=2026-10", "hour=*+01:00",
	"path=' OR 1=1 --", "customer=\\*", "path=*'*",
	"status=errors", "status!=errors", "status=400-499", "status!=404-500", "status=4XX", "key=key3", "key!=key*", "key=-",
}

// compute does the same as Run over rows in memory.
func compute(rows []laketest.Row, q Query) *Result {
	r := &Result{Query: q}
	length := q.To.Sub(q.From)
	groups := map[string]*group{}
	total := &group{}
	for _, row := range rows {
		if row.Duplicate {
			if (row.Time != nil && !row.Time.Before(q.From) && (q.To.IsZero() || row.Time.Before(q.To)) || q.From.IsZero() && q.To.IsZero()) && accepts(q, row, row.Time) {
				r.RepeatedLines++
			}
			continue
		}
		if row.Time == nil && !(q.From.IsZero() && q.To.IsZero()) {
			if accepts(q, row, nil) {
				r.Undated++
			}
			continue
		}
		at, now := row.Time, true
		if at != nil {
			begin := q.From
			if q.Compare {
				begin = q.From.Add(-length)
			}
			if !q.From.IsZero() && at.Before(begin) || !q.To.IsZero() && !at.Before(q.To) {
				continue
			}
			if q.Compare && !q.CompareUntil.IsZero() && at.Before(q.From) && !at.Before(q.CompareUntil) {
				continue
			}
			if q.Compare && at.Before(q.From) {
				now, at = false, laketest.P(at.Add(length))
			}
		}
		if !accepts(q, row, at) {
			continue
		}
		var ids []string
		var keys []Value
		for _, d := range q.By {
			id, key := keyOf(q, d, row, at)
			ids, keys = append(ids, id), append(keys, key)
		}
		id := strings.Join(ids, "\x00")
		g := groups[id]
		if g == nil {
			g = &group{keys: keys, order: ids}
			groups[id] = g
		}
		g.add(row, now, keys)
		total.add(row, now, nil)
	}
	all := slices.Collect(func(yield func(*group) bool) {
		for _, g := range groups {
			if !yield(g) {
				return
			}
		}
	})
	if q.Current {
		all = slices.DeleteFunc(all, func(g *group) bool { return len(g.now) == 0 })
	}
	rankByChanges(q, all)
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.measure(q), a.measure(q)), cmp.Compare(len(b.now), len(a.now)), cmp.Compare(len(b.before), len(a.before)), slices.Compare(a.order, b.order))
	})
	others := &group{}
	for i, g := range all {
		if len(q.By) == 0 {
			break
		}
		if q.Top == 0 || i < q.Top {
			r.Rows = append(r.Rows, g.row(q))
			continue
		}
		r.OtherRows++
		others.now, others.before = append(others.now, g.now...), append(others.before, g.before...)
	}
	if len(r.Rows) > 0 && q.By[0].Timed() {
		slices.SortStableFunc(r.Rows, func(a, b Row) int { return a.began(q.By[0]).Compare(b.began(q.By[0])) })
	}
	if r.OtherRows > 0 {
		row := others.row(q)
		r.Others = &row
	}
	r.Total = total.row(q)
	if q.RowsOnly {
		r.Undated, r.RepeatedLines = 0, 0
		r.Total.P50, r.Total.P95, r.Total.P99 = nil, nil, nil
		if r.Others != nil {
			r.Others.P50, r.Others.P95, r.Others.P99 = nil, nil, nil
		}
		all := []*Row{&r.Total, r.Others}
		for i := range r.Rows {
			all = append(all, &r.Rows[i])
		}
		for _, row := range all {
			if row != nil {
				row.First, row.Last = time.Time{}, time.Time{}
				if q.CountsOnly {
					row.Bytes = 0
				}
			}
		}
	}
	return r
}

type group struct {
	keys        []Value
	newest      []time.Time
	order       []string
	now, before []laketest.Row
	rank        int64 // by the change of requests or errors, the higher one
}

// rankByChanges ranks groups by how much their requests or errors changed.
func rankByChanges(q Query, all []*group) {
	q.Compare = true
	change := func(g *group, errors bool) int64 {
		row := g.row(q)
		n := row.Requests - row.Before.Requests
		if errors {
			n = row.Errors - row.Before.Errors
		}
		return max(n, -n)
	}
	for _, g := range all {
		g.rank = math.MaxInt64
	}
	for _, errors := range []bool{false, true} {
		sorted := slices.Clone(all)
		slices.SortFunc(sorted, func(a, b *group) int {
			return cmp.Or(cmp.Compare(change(b, errors), change(a, errors)), slices.Compare(a.order, b.order))
		})
		for i, g := range sorted {
			g.rank = min(g.rank, int64(i))
		}
	}
}

func (g *group) add(row laketest.Row, now bool, keys []Value) {
	if now {
		g.now = append(g.now, row)
	} else {
		g.before = append(g.before, row)
	}
	if g.newest == nil {
		g.newest = make([]time.Time, len(keys))
	}
	at := time.Unix(0, 0)
	if row.Time != nil {
		at = *row.Time
	}
	for i, k := range keys {
		if k.Name != "" && k.Name != "-" && (at.After(g.newest[i]) || g.keys[i].Name == "-") {
			g.keys[i].Name, g.newest[i] = k.Name, at
		}
	}
}

// measure returns what the query sorts the group by.
func (g *group) measure(q Query) int64 {
	q.Compare, q.CountsOnly = true, false
	row := g.row(q)
	switch q.Order {
	case Change:
		return max(row.MoreRequests(), -row.MoreRequests())
	case Errors:
		return row.Errors
	case Changes:
		return -g.rank
	case Bytes:
		return row.Bytes
	case Latency:
		if row.P95 == nil {
			return -1
		}
		return *row.P95
	}
	return 0
}

func (g *group) row(q Query) Row {
	row := Row{Keys: g.keys}
	var latencies []int64
	for _, r := range g.now {
		m := &row.Measures
		m.Requests++
		if s := r.Status; s != nil {
			m.Errors += one(*s >= 400)
			m.Client += one(*s >= 400 && *s < 500)
			m.Server += one(*s >= 500 && *s < 600)
		}
		if r.Bytes != nil {
			m.Bytes += *r.Bytes
		}
		if r.Latency != nil {
			latencies = append(latencies, int64(*r.Latency))
		}
		if r.Time != nil {
			if m.First.IsZero() || r.Time.Before(m.First) {
				m.First = *r.Time
			}
			if r.Time.After(m.Last) {
				m.Last = *r.Time
			}
		}
	}
	if n := len(latencies); n > 0 && !q.CountsOnly {
		slices.Sort(latencies)
		at := func(percent int) *int64 { return &latencies[(percent*n+99)/100-1] }
		row.P50, row.P95, row.P99 = at(50), at(95), at(99)
	}
	if q.Compare {
		row.Before = &Before{Requests: int64(len(g.before))}
		for _, r := range g.before {
			row.Before.Errors += one(r.Status != nil && *r.Status >= 400)
		}
	}
	return row
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// keyOf returns a text that identifies the row's group and sorts like SQL's order, and the group's key.
func keyOf(q Query, d Dimension, row laketest.Row, at *time.Time) (string, Value) {
	const last = "\U0010ffff" // NULLs come last
	text := func(p *string) (string, Value) {
		if p == nil {
			return last, Value{Value: "-"}
		}
		return *p, Value{Value: *p}
	}
	named := func(id, name *string) (string, Value) {
		key := Value{Value: "-", Name: "-"}
		if name != nil {
			key.Name = *name
		}
		if id != nil {
			key.Value = *id
			return *id, key
		}
		if name != nil {
			return last + "\x01" + *name, key
		}
		return last + "\x01" + last, key
	}
	when := func(layout string) (string, Value) {
		if at == nil {
			return last, Value{Value: "-"}
		}
		local := at.In(q.Zone)
		value := local.Format(layout)
		if d == Hour {
			_, offset := local.Zone()
			wall := local.Format("2006-01-02T15:00")
			return fmt.Sprintf("%s %08d", wall, offset+math.MaxInt16), Value{Value: wall + local.Format("Z07:00")}
		}
		return value, Value{Value: value}
	}
	switch d {
	case Customer:
		return named(row.KeyID, row.Customer)
	case Plan:
		return named(row.PlanID, row.Plan)
	case Key:
		return text(row.KeyID)
	case API:
		return text(row.API)
	case Stage:
		return text(row.Stage)
	case Method:
		return text(row.Method)
	case Route:
		return text(row.Route)
	case Path:
		return text(row.Path)
	case IP:
		return text(row.IP)
	case UserAgent:
		return text(row.UserAgent)
	case Error:
		return text(row.Error)
	case Hour:
		return when("")
	case Day:
		return when("2006-01-02")
	case Month:
		return when("2006-01")
	case Step:
		n := int64(at.Sub(q.From) / q.Every)
		return fmt.Sprintf("%09d", n), Value{Value: fmt.Sprint(n)}
	}
	if row.Status == nil {
		return last, Value{Value: "-"}
	}
	status := fmt.Sprint(*row.Status)
	if d == Class {
		status = status[:1] + "xx"
	}
	return status, Value{Value: status}
}

// accepts reports whether the filter of q selects the row.
func accepts(q Query, row laketest.Row, at *time.Time) bool {
	wanted, found := map[Dimension]bool{}, map[Dimension]bool{}
	for _, c := range q.Filter {
		_, key := keyOf(q, c.Dimension, row, at)
		matches := globMatches(c.Pattern, key.Value)
		if key.Name != "" {
			matches = matches && c.Pattern != "-" || globMatches(c.Pattern, key.Name)
		}
		if c.Dimension == Status && regexp.MustCompile(`^(?i)\dxx$`).MatchString(c.Pattern) {
			matches = key.Value[:1] == c.Pattern[:1]
		}
		if first, last, ok := strings.Cut(c.Pattern, "-"); c.Dimension == Status && ok && first != "" {
			matches = key.Value >= first && key.Value <= last
		}
		if c.Dimension == Status && c.Pattern == "errors" {
			matches = key.Value >= "4"
		}
		if c.Not && matches {
			return false
		}
		if !c.Not {
			wanted[c.Dimension] = true
			found[c.Dimension] = found[c.Dimension] || matches
		}
	}
	return len(wanted) == 0 || !slices.ContainsFunc(Dimensions(), func(d Dimension) bool { return wanted[d] && !found[d] })
}

func globMatches(pattern, value string) bool {
	parts := strings.Split(strings.ReplaceAll(pattern, `\*`, "\x00"), "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(strings.ReplaceAll(p, "\x00", "*"))
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(value)
}
