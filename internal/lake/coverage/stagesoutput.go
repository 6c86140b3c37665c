package coverage

import (
	"bufio"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// Name is the stage as people call it: shop/prod (a1b2c3).
func (s StageRow) Name() string {
	if s.Metric.ByName {
		return s.Metric.API + "/" + s.Metric.Stage + " (" + s.APIID + ")"
	}
	return s.APIID + "/" + s.Metric.Stage
}

// Summary is the row in one sentence.
func (s StageRow) Summary() string {
	return fmt.Sprintf("%s: %s of %s counted requests of the stage are in the bucket (%s); %s missing, %s not counted, %s twice", s.Name(),
		table.Thousands(s.Backed), table.Thousands(s.Counted), table.Percent(s.Backed, s.Counted),
		table.Thousands(s.Missing), table.Thousands(s.Extra), table.Thousands(s.Double))
}

// apiName is the name of the API where CloudWatch knows it by that.
func (s StageRow) apiName() string {
	if s.Metric.ByName {
		return s.Metric.API
	}
	return missing
}

// writeTable writes a sentence for each stage, and the days; where only gaps is asked for, those on which something is
// missing, extra or double.
func (s *Stages) writeTable(out *bufio.Writer, width int, gaps bool) error {
	say := func(text string) {
		for _, line := range table.Wrap(table.Printable(text), width) {
			fmt.Fprintln(out, line)
		}
	}
	fmt.Fprintln(out)
	if s.Without != nil {
		say("Whole stages are not compared: " + s.Without.Error() + ".")
		return nil
	}
	if len(s.Totals) == 0 {
		say("CloudWatch counted no requests of whole stages.")
	} else {
		say("Whole stages, with a key or without, beside what CloudWatch counted:")
	}
	for _, t := range s.Totals {
		say(t.Summary())
	}
	names, figures := []table.Column{{Head: "day"}, {Head: "api"}, {Head: "api id"}, {Head: "stage"}}, []Figures(nil)
	for _, row := range s.Rows {
		if !gaps || row.Missing+row.Extra+row.Double > 0 {
			figures = append(figures, row.Figures)
			addCells(names, row.Day.Format(time.DateOnly), table.Shown(row.apiName()), table.Shown(row.APIID), table.Shown(row.Metric.Stage))
		}
	}
	if len(figures) > 0 {
		fmt.Fprintln(out)
		if err := writeFigures(out, names, figures, s.Total, width); err != nil {
			return err
		}
	}
	if notes := s.notes(); len(notes) > 0 {
		fmt.Fprintln(out)
		for _, note := range notes {
			say(note)
		}
	}
	return nil
}

// notes are what the figures do not say themselves.
func (s *Stages) notes() (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if s.Forgotten {
		note("CloudWatch keeps 15 months: whole stages are compared from %s.", s.First.Format(time.DateOnly))
	}
	told := time.Time{}
	for _, row := range s.Rows {
		if row.Young && row.Day != told {
			told = row.Day
			note("%s is incomplete: until an hour after its end, requests may be missing on either side.", told.Format(time.DateOnly))
		}
	}
	for _, t := range s.Totals {
		if t.Metric.Shared > 1 {
			note("%d REST APIs are called %s: CloudWatch counts their stages %s as one, whether they log here or not.", t.Metric.Shared, t.Metric.API, t.Metric.Stage)
		}
	}
	for _, u := range s.Uncounted {
		note("CloudWatch has no counts of %s, and the lake %s: the API was deleted or renamed, or is in another account or Region.", u.Name(), table.Plural(u.Lake, "request"))
	}
	if s.Stageless > 0 {
		note("%s without an API or a stage: they may be some of the missing.", table.Plural(s.Stageless, "request"))
	}
	if s.Undated > 0 {
		note("%s without a time, with a key or without: they may be some of the missing.", table.Plural(s.Undated, "request"))
	}
	return notes
}

type jsonStages struct {
	Without   string      `json:"without,omitempty"`
	First     string      `json:"first"`
	Last      string      `json:"last"`
	Rows      []jsonStage `json:"rows"`
	Totals    []jsonStage `json:"totals"`
	Total     jsonFigures `json:"total"`
	Uncounted []jsonStage `json:"uncounted"`
	Stageless int64       `json:"stageless"`
	Undated   int64       `json:"undated"`
}

type jsonStage struct {
	Day   string `json:"day,omitempty"`
	API   string `json:"api"`
	APIID string `json:"api_id"`
	Stage string `json:"stage"`
	Young bool   `json:"young"`
	jsonFigures
}

func (s *Stages) json() *jsonStages {
	if s == nil {
		return nil
	}
	rows := func(from []StageRow) []jsonStage {
		all := make([]jsonStage, len(from))
		for i, r := range from {
			all[i] = jsonStage{"", r.apiName(), r.APIID, r.Metric.Stage, r.Young, jsonFigures(r.Figures)}
			if !r.Day.IsZero() {
				all[i].Day = r.Day.Format(time.DateOnly)
			}
		}
		return all
	}
	out := &jsonStages{First: s.First.Format(time.DateOnly), Last: s.Last.Format(time.DateOnly), Rows: rows(s.Rows), Totals: rows(s.Totals),
		Total: jsonFigures(s.Total), Uncounted: rows(s.Uncounted), Stageless: s.Stageless, Undated: s.Undated}
	if s.Without != nil {
		out.Without = s.Without.Error()
	}
	return out
}
