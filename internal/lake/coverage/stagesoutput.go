package coverage

import (
	"bufio"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// Name returns the stage's name for people: shop/prod (a1b2c3).
func (s StageRow) Name() string {
	if s.Metric.ByName {
		return s.Metric.API + "/" + s.Metric.Stage + " (" + s.APIID + ")"
	}
	return s.APIID + "/" + s.Metric.Stage
}

// Summary returns the row as one sentence.
func (s StageRow) Summary() string {
	return fmt.Sprintf("%s: %s of %s counted requests to the stage are in the logs (%s); %s missing, %s not counted, %s duplicate", s.Name(),
		table.Thousands(s.Backed), table.Thousands(s.Counted), table.Percent(s.Backed, s.Counted),
		table.Thousands(s.Missing), table.Thousands(s.Extra), table.Thousands(s.Double))
}

// apiName returns the API's name if CloudWatch counts it by name, else "-".
func (s StageRow) apiName() string {
	if s.Metric.ByName {
		return s.Metric.API
	}
	return missing
}

// writeTable writes a sentence for each stage and a table of the days. With gaps it leaves out days without missing, extra or
// duplicate requests.
func (s *Stages) writeTable(out *bufio.Writer, width int, gaps bool) error {
	write := func(text string) {
		for _, line := range table.Wrap(table.Printable(text), width) {
			fmt.Fprintln(out, line)
		}
	}
	fmt.Fprintln(out)
	if s.Without != nil {
		write("Stages were not compared with CloudWatch: " + s.Without.Error() + ".")
		return nil
	}
	if len(s.Totals) == 0 {
		write("CloudWatch has no counts for the stages.")
	} else {
		write("All requests to each stage, compared with CloudWatch's counts:")
	}
	for _, t := range s.Totals {
		write(t.Summary())
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
			write(note)
		}
	}
	return nil
}

// notes returns remarks about the figures.
func (s *Stages) notes() (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if s.Forgotten {
		note("CloudWatch keeps counts for 15 months: stages are compared from %s on.", s.First.Format(time.DateOnly))
	}
	noted := time.Time{}
	for _, row := range s.Rows {
		if row.Young && row.Day != noted {
			noted = row.Day
			note("%s is incomplete: until an hour after its end, requests may be missing on either side.", noted.Format(time.DateOnly))
		}
	}
	for _, t := range s.Totals {
		if t.Metric.Shared > 1 {
			note("%d REST APIs are named %s: CloudWatch counts their stages %s together, including those that do not log here.", t.Metric.Shared, t.Metric.API, t.Metric.Stage)
		}
	}
	for _, u := range s.Uncounted {
		note("CloudWatch has no counts of %s, but the lake has %s: the API was deleted or renamed, or is in another account or Region.", u.Name(), table.Plural(u.Lake, "request"))
	}
	if s.Stageless > 0 {
		note("%s without an API or a stage may be among the missing ones.", table.Plural(s.Stageless, "request"))
	}
	if s.Undated > 0 {
		note("%s without a time, with or without a key, may be among the missing ones.", table.Plural(s.Undated, "request"))
	}
	return notes
}

type jsonStages struct {
	Without   string      `json:"without,omitempty"`
	First     string      `json:"first"`
	Last      string      `json:"last"`
	Rows      []jsonStage `json:"rows"`
	Totals    []jsonStage `json:"totals"`
	Total     Figures     `json:"total"`
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
	Figures
}

func (s *Stages) json() *jsonStages {
	if s == nil {
		return nil
	}
	rows := func(from []StageRow) []jsonStage {
		all := make([]jsonStage, len(from))
		for i, r := range from {
			all[i] = jsonStage{"", r.apiName(), r.APIID, r.Metric.Stage, r.Young, r.Figures}
			if !r.Day.IsZero() {
				all[i].Day = r.Day.Format(time.DateOnly)
			}
		}
		return all
	}
	out := &jsonStages{First: s.First.Format(time.DateOnly), Last: s.Last.Format(time.DateOnly), Rows: rows(s.Rows), Totals: rows(s.Totals),
		Total: s.Total, Uncounted: rows(s.Uncounted), Stageless: s.Stageless, Undated: s.Undated}
	if s.Without != nil {
		out.Without = s.Without.Error()
	}
	return out
}
