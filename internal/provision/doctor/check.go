package doctor

import (
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
)

// Status is the outcome of a check.
type Status string

const (
	OK      Status = "ok"
	Warning Status = "warning" // works, but costs, risks or delays something
	Failed  Status = "failed"
	Skipped Status = "skipped" // could not be checked
)

// Check is the result of one check. Link and Name are stable. Cause, Consequence and Fix are
// empty if nothing is wrong.
type Check struct {
	Link        string `json:"link"`
	Name        string `json:"name"`
	Status      Status `json:"status"`
	Found       string `json:"found"`                 // the present state
	Cause       string `json:"cause,omitempty"`       // why it is like that
	Consequence string `json:"consequence,omitempty"` // its effect
	Fix         string `json:"fix,omitempty"`         // the command that fixes it
}

// Report holds all checks in the order in which they were made.
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

// recorder collects checks and passes each one on.
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

// problem adds a check that found a fault or could not be made.
func (o *recorder) problem(status Status, link, name string, p finding) {
	o.add(Check{Link: link, Name: name, Status: status, Found: p.found, Cause: p.cause, Consequence: p.consequence, Fix: p.fix})
}

// finding holds the texts of a Check that is not OK.
type finding struct{ found, cause, consequence, fix string }

// need is the permission that a check itself requires.
type need struct{ action, resource string }

// unknown adds a skipped check with the permission that is missing for it. An error that is
// not a response from AWS (no network, no credentials) ends the run.
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
	c.Cause = fmt.Sprintf("these credentials lack %s on %s", n.action, n.resource)
	c.Consequence = "its state is unknown"
	c.Fix = "add this statement to a policy of the user or role that runs doctor:\n" + allowStatement([]string{n.action}, []string{n.resource})
	return c
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
