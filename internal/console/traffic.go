package console

import (
	"context"
	"database/sql"
	"fmt"
	"math"
)

// classes of statuses, in the order in which columns are stacked: errors stand on the ground, where they can be compared.
func classes() []series {
	return []series{
		{Name: "5xx", Class: "s5"}, {Name: "4xx", Class: "s4"}, {Name: "no status", Class: "sx"},
		{Name: "1xx", Class: "s1"}, {Name: "3xx", Class: "s3"}, {Name: "2xx", Class: "s2"},
	}
}

// traffic is how many requests of each class of statuses there were in each column.
func traffic(ctx context.Context, db *sql.DB, v view) ([]series, error) {
	w := v.where()
	rows, err := db.QueryContext(ctx, `SELECT `+columnOf+` AS i, CASE WHEN status BETWEEN 100 AND 599 THEN status // 100 ELSE 0 END AS class, count(*)
		FROM requests WHERE `+w.sql+` GROUP BY ALL`, append(v.columnArgs(), w.args...)...)
	if err != nil {
		return nil, fmt.Errorf("count requests over time: %w", err)
	}
	defer rows.Close()
	all := classes()
	byClass := map[int][]float64{}
	for i := range all {
		all[i].Values = make([]float64, v.Columns())
		class := 0
		if all[i].Class != "sx" {
			class = int(all[i].Class[1] - '0')
		}
		byClass[class] = all[i].Values
	}
	for rows.Next() {
		var i, class int
		var n float64
		if err := rows.Scan(&i, &class, &n); err != nil {
			return nil, fmt.Errorf("count requests over time: %w", err)
		}
		byClass[class][i] += n
	}
	return all, rows.Err()
}

// columnOf is the column of a chart that a request is in; columnArgs are its values.
const columnOf = `(epoch_us(time) - ?::BIGINT) // ?::BIGINT`

func (v view) columnArgs() []any { return []any{v.From.UnixMicro(), v.Step.Microseconds()} }

// trafficChart is requests over time, by class.
func trafficChart(v view, all []series) chart {
	var shown []series
	for _, s := range all {
		if sum(s.Values) > 0 || s.Class == "s2" || s.Class == "s4" || s.Class == "s5" {
			shown = append(shown, s)
		}
	}
	c := stackedChart("traffic", "Requests", v.period, shown)
	total, worst := 0.0, 0.0
	for _, s := range all {
		total += sum(s.Values)
		if s.Class == "s4" || s.Class == "s5" {
			worst += sum(s.Values)
		}
	}
	c.Desc = fmt.Sprintf("%s requests, %s of them errors, in %d columns; %s.", count(int64(total)), count(int64(worst)), c.Columns, v.Label())
	return c
}

// errorChart is the share of requests that were errors, of the client and of the server.
func errorChart(v view, all []series) chart {
	total := make([]float64, v.Columns())
	client, server := series{Name: "4xx", Class: "s4"}, series{Name: "5xx", Class: "s5"}
	for _, s := range all {
		for i, n := range s.Values {
			total[i] += n
		}
		switch s.Class {
		case "s4":
			client.Values = append([]float64{}, s.Values...)
		case "s5":
			server.Values = append([]float64{}, s.Values...)
		}
	}
	for i, n := range total { // no request: no rate
		client.Values[i] = ratio(client.Values[i], n)
		server.Values[i] = ratio(server.Values[i], n)
	}
	c := lineChart("errors", "Error rate", v.period, []series{client, server}, 0.01, percent)
	c.Desc = "Share of requests answered 4xx and 5xx, " + v.Label() + "."
	return c
}

// latencyChart is the latency's percentiles over time. They are exact.
func latencyChart(ctx context.Context, db *sql.DB, v view) (chart, error) {
	w := v.where().and("latency IS NOT NULL")
	rows, err := db.QueryContext(ctx, `SELECT `+columnOf+` AS i, quantile_disc(latency, 0.5), quantile_disc(latency, 0.95), quantile_disc(latency, 0.99)
		FROM requests WHERE `+w.sql+` GROUP BY 1`, append(v.columnArgs(), w.args...)...)
	if err != nil {
		return chart{}, fmt.Errorf("compute latency over time: %w", err)
	}
	defer rows.Close()
	all := []series{{Name: "p99", Class: "p99"}, {Name: "p95", Class: "p95"}, {Name: "p50", Class: "p50"}}
	for i := range all {
		all[i].Values = make([]float64, v.Columns())
		for j := range all[i].Values {
			all[i].Values[j] = math.NaN()
		}
	}
	for rows.Next() {
		var i int
		var p50, p95, p99 float64
		if err := rows.Scan(&i, &p50, &p95, &p99); err != nil {
			return chart{}, fmt.Errorf("compute latency over time: %w", err)
		}
		all[0].Values[i], all[1].Values[i], all[2].Values[i] = p99, p95, p50
	}
	c := lineChart("latency", "Latency", v.period, all, 1, millis)
	c.Desc = "Percentiles of the time to answer, in milliseconds, " + v.Label() + "."
	return c, rows.Err()
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

// ratio is a share, NaN of nothing.
func ratio(part, whole float64) float64 {
	if whole == 0 {
		return math.NaN()
	}
	return part / whole
}
