package doctor

import (
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
)

// Status is how a check ended.
type Status string

const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, and somebody will be sorry
	Failed  Status = "failed"
	Skipped Status = "skipped" // it could not be checked
)

// Check is one thing that was looked at. Link and Name are stable. All but Found are empty
// where nothing is wrong.
type Check struct {
	Link        string `json:"link"`
	Name        string `json:"name"`
	Status      Status `json:"status"`
	Found       string `json:"found"`                 // what is
	Cause       string `json:"cause,omitempty"`       // why that is wrong
	Consequence string `json:"consequence,omitempty"` // what comes of it
	Fix         string `json:"fix,omitempty"`         // the command that mends it
}

// Report is every check, in the order in which they were made.
type Report struct {
	Checks   []Check `json:"checks"`
	Failed   int     `json:"failed"`
	Warnings int     `json:"warnings"`
}

// The links of a chain.
const (
	linkStage    = "stage"
	linkStream   = "stream"
	linkFunction = "function"
	linkBucket   = "bucket"
	linkReaders  = "readers"
	linkRecord   = "record"
)

// recorder gathers a report while it is told.
type recorder struct {
	Report
	report func(Check)
}

func (o *recorder) add(c Check) {
	switch c.Status {
	case Failed:
		o.Failed++
	case Warning:
		o.Warnings++
	}
	o.Checks = append(o.Checks, c)
	if o.report != nil {
		o.report(c)
	}
}

func (o *recorder) ok(link, name, found string, args ...any) {
	o.add(Check{Link: link, Name: name, Status: OK, Found: fmt.Sprintf(found, args...)})
}

// problem is a check that found something wrong.
func (o *recorder) problem(status Status, link, name string, p finding) {
	o.add(Check{Link: link, Name: name, Status: status, Found: p.found, Cause: p.cause, Consequence: p.consequence, Fix: p.fix})
}

// finding is what a problem is, in the words of Check.
type finding struct{ found, cause, consequence, fix string }

// need is what a check must be allowed to do itself.
type need struct{ action, resource string }

// unknown says that something could not be looked at, and what is missing for that. What is
// no answer of AWS (no network, no credentials) ends the run.
func (r *run) unknown(link, name, what string, n need, err error) {
	if !awserr.Answered(err) || awserr.BadCredentials(err) {
		r.fatal = fmt.Errorf("examine %s: %w", what, err)
		return
	}
	r.out.add(unknownCheck(link, name, what, n, err))
}

func unknownCheck(link, name, what string, n need, err error) Check {
	c := Check{Link: link, Name: name, Status: Skipped, Found: "not checked: " + what}
	if !awserr.Denied(err) {
		c.Cause = firstLine(provision.Explain(err).Error())
		return c
	}
	c.Cause = fmt.Sprintf("these credentials may not %s on %s", n.action, n.resource)
	c.Consequence = "whether it is right is not known"
	c.Fix = "add this statement to a policy of the user or role that runs doctor:\n" + allowStatement([]string{n.action}, []string{n.resource})
	return c
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
