package coverage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// retained is how long CloudWatch keeps sums of an hour and more.
	retained = 455 * 24 * time.Hour
	// settling is how long after a day some of its requests may not have arrived: API Gateway's delay, Firehose's buffering
	// interval of up to 15 minutes, and CloudWatch's delay of up to 15 minutes.
	settling = time.Hour
)

// Metric identifies a CloudWatch metric.
type Metric struct {
	API    string // a REST API's name; any other API's id
	ByName bool   // API is a name
	Shared int    // number of REST APIs of the account with this name, which are counted together
	Stage  string
}

// StageCounter reads CloudWatch's counts of stages: all requests, with and without a key.
type StageCounter interface {
	// Metrics returns the metric of each stage, in the order of stages.
	Metrics(ctx context.Context, stages []record.StageRef) ([]Metric, error)
	// Sums calls fn with the requests of each metric and day from first to last, both included, in any order. It skips days
	// without requests. It stops at the first error of fn and returns it.
	Sums(ctx context.Context, metrics []Metric, first, last time.Time, fn func(m Metric, day time.Time, requests int64) error) error
}

// Stages compares CloudWatch's counts with the lake.
type Stages struct {
	First, Last time.Time  // days, both included
	Forgotten   bool       // First is later than requested: CloudWatch keeps counts for 15 months
	Rows        []StageRow // by day, API and stage; only those with a count or a request
	Totals      []StageRow // by API and stage, without a day; young if one of the days is
	Total       Figures
	Uncounted   []StageRow // stages without counts in the whole period; not in any total
	Stageless   int64      // requests without an API or a stage: they may be among the missing ones
	Undated     int64      // requests without a time, with or without a key
	Without     error      // why there are no counts and nothing was compared; nil if compared
}

// StageRow holds the figures of one stage on one day.
type StageRow struct {
	Day    time.Time
	Young  bool   // the figures of both sides are not complete yet
	Metric Metric // several REST APIs of the same name have one row
	APIID  string // ids of the APIs, in the logs or asked for, separated by spaces
	Figures
}

type stageDay struct {
	day    time.Time
	metric Metric
}

// StagesOf selects what is compared.
type StagesOf struct {
	Asked       []record.StageRef // stages to compare even if the lake has no request of them
	First, Last time.Time         // days, both included, in UTC
	Now         time.Time
}

// CompareStages compares the days whose counts CloudWatch still keeps at of.Now. If the counter fails, CompareStages returns
// its error in Without.
func CompareStages(ctx context.Context, db *sql.DB, counter StageCounter, of StagesOf) (*Stages, error) {
	now := of.Now
	s := &Stages{First: day(of.First), Last: day(of.Last)}
	if oldest := day(now.Add(-retained)).AddDate(0, 0, 1); s.First.Before(oldest) {
		s.First, s.Forgotten = oldest, true
	}
	if s.Last.Before(s.First) {
		s.Without = errors.New("CloudWatch keeps counts for 15 months, and the period is older")
		return s, nil
	}
	inLake, err := s.readLake(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("count the stages' requests in the lake: %w", err)
	}
	stages := slices.Clone(of.Asked)
	for _, l := range inLake {
		stages = append(stages, l.stage)
	}
	slices.SortFunc(stages, func(a, b record.StageRef) int {
		return cmp.Or(strings.Compare(a.API, b.API), strings.Compare(a.Stage, b.Stage))
	})
	stages = slices.Compact(stages)
	metrics, counts, err := s.count(ctx, counter, stages)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		s.Without = err
		return s, nil
	}
	s.compare(inLake, stages, metrics, counts, now)
	return s, nil
}

// count reads the counts of stages.
func (s *Stages) count(ctx context.Context, counter StageCounter, stages []record.StageRef) (metrics []Metric, counts map[stageDay]int64, err error) {
	if len(stages) == 0 {
		return nil, nil, nil
	}
	if metrics, err = counter.Metrics(ctx, stages); err != nil {
		return nil, nil, err
	}
	var once []Metric
	for _, m := range metrics {
		if !slices.Contains(once, m) {
			once = append(once, m)
		}
	}
	counts = map[stageDay]int64{}
	err = counter.Sums(ctx, once, s.First, s.Last, func(m Metric, at time.Time, requests int64) error {
		d := day(at)
		if requests < 0 || d.Before(s.First) || d.After(s.Last) {
			return fmt.Errorf("invalid count: %d requests on %s, not in the period", requests, d.Format(time.DateOnly))
		}
		counts[stageDay{d, m}] += requests
		return nil
	})
	return metrics, counts, err
}

// compare sets the rows and totals from both sides.
func (s *Stages) compare(inLake []lakeStage, stages []record.StageRef, metrics []Metric, counts map[stageDay]int64, now time.Time) {
	of, ids := map[record.StageRef]Metric{}, map[Metric][]string{}
	for i, st := range stages {
		of[st] = metrics[i]
		ids[metrics[i]] = append(ids[metrics[i]], st.API)
	}
	days, totals, counted := map[stageDay]*StageRow{}, map[stageDay]*StageRow{}, map[Metric]bool{}
	row := func(in map[stageDay]*StageRow, d time.Time, m Metric) *StageRow {
		id := stageDay{d, m}
		if in[id] == nil {
			in[id] = &StageRow{Day: d, Metric: m, APIID: strings.Join(ids[m], " ")}
		}
		return in[id]
	}
	for id, n := range counts {
		row(days, id.day, id.metric).Counted = n
		counted[id.metric] = counted[id.metric] || n > 0
	}
	for _, l := range inLake {
		row(days, l.day, of[l.stage]).add(l.Figures)
	}
	for id, r := range days {
		total := row(totals, time.Time{}, id.metric)
		if counted[id.metric] {
			r.settle()
			r.Young = now.Before(id.day.AddDate(0, 0, 1).Add(settling))
			total.Young = total.Young || r.Young
			s.Total.add(r.Figures)
			s.Rows = append(s.Rows, *r)
		}
		total.add(r.Figures)
	}
	for id, t := range totals {
		if counted[id.metric] {
			s.Totals = append(s.Totals, *t)
		} else {
			s.Uncounted = append(s.Uncounted, *t)
		}
	}
	for _, rows := range [][]StageRow{s.Rows, s.Totals, s.Uncounted} {
		slices.SortFunc(rows, func(a, b StageRow) int {
			return cmp.Or(a.Day.Compare(b.Day), strings.Compare(a.Name(), b.Name()))
		})
	}
}

// lakeStage holds the lake's figures of a stage on a day.
type lakeStage struct {
	day   time.Time
	stage record.StageRef
	Figures
}

// readLake reads the lake's figures in one transaction, so that they are not affected by concurrent imports.
func (s *Stages) readLake(ctx context.Context, db *sql.DB) ([]lakeStage, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // nothing was written
	var all []lakeStage
	err = lake.EachRow(ctx, tx, `SELECT CAST(time AS DATE), api_id, stage, count(*) FILTER (NOT duplicate), count(*) FILTER (duplicate),
		count(*) FILTER (NOT duplicate AND customer IS NULL)
		FROM request_rows WHERE time >= ? AND time < ? GROUP BY ALL`, []any{s.First, s.Last.AddDate(0, 0, 1)}, func(rows *sql.Rows) error {
		var at time.Time
		var api, stage sql.NullString
		var f Figures
		if err := rows.Scan(&at, &api, &stage, &f.Lake, &f.Double, &f.Unattributed); err != nil {
			return err
		}
		if !api.Valid || !stage.Valid {
			s.Stageless += f.Lake
			return nil
		}
		all = append(all, lakeStage{day(at), record.StageRef{API: api.String, Stage: stage.String}, f})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, tx.QueryRowContext(ctx, "SELECT count(*) FROM requests WHERE time IS NULL").Scan(&s.Undated)
}
