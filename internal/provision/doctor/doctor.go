// Package doctor checks every hop of a chain from an API's stage to a reader of the bucket,
// and reports the cause of and the fix for each fault.
//
// It follows the actual configuration: from the stage to the destination of its access logs,
// from that stream to its function and its bucket, and to the accounts that the bucket policy
// admits. So it also works on chains that stagelog did not build. Checks are read-only, except
// that a marked record is sent on request.
//
// One file holds one link. Checks without permission are reported as unknown, with the IAM
// statement that is missing; they never count as passed.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// Target describes what to examine.
type Target struct {
	Region, Account, Partition string

	// Spec is the pipeline that the chain should match; nil for a chain not built by stagelog.
	Spec *desired.Spec
	// Stages are where chains start. If empty, the check starts at Spec's stream.
	Stages []record.StageRef
	// Readers are the AWS accounts that must be able to read the bucket. If empty, the accounts
	// named by the bucket policy are examined.
	Readers []string
}

// Options select the optional checks.
type Options struct {
	// Record sends a marked record through each stream and waits for it in the bucket.
	Record bool
	// Timeout limits that wait. By default, the stream's buffering intervals plus a margin.
	Timeout time.Duration
	// Progress receives status messages during the wait; it may be nil.
	Progress func(string)
	// ReaderS3, if not nil, has the credentials of a reader, whose access is then tested too.
	ReaderS3 *s3.Client
}

// Run examines every link of the chains that start at the target's stages, and passes each
// check to report as it completes. A broken chain is not an error: an error means that AWS
// could not be reached, and the report then holds the checks made until then.
func Run(ctx context.Context, c *provision.Clients, t Target, o Options, report func(Check)) (Report, error) {
	r := &run{c: c, t: t, o: o, out: recorder{report: report}, gateway: gateway{c: c.APIGateway, apis: map[string]*api{}}}
	err := r.chains(ctx)
	return r.out.Report, err
}

// run is one examination.
type run struct {
	c   *provision.Clients
	t   Target
	o   Options
	out recorder

	gateway gateway

	fatal error // AWS could not be reached; further checks are pointless
}

func (r *run) progress(text string) {
	if r.o.Progress != nil {
		r.o.Progress(text)
	}
}

// chains examines each stage, and then each stream that they log to once.
func (r *run) chains(ctx context.Context) error {
	var streams []*stream
	byARN := map[string]*stream{}
	for _, ref := range r.t.Stages {
		st := r.readStage(ctx, ref)
		if st.to != "" && byARN[st.to] == nil {
			byARN[st.to] = r.readStream(ctx, st.to)
			streams = append(streams, byARN[st.to])
		}
		s := byARN[st.to]
		if s != nil {
			s.stages = append(s.stages, st)
		}
		r.checkStage(ctx, st, s)
		if r.fatal != nil {
			return r.fatal
		}
	}
	if len(r.t.Stages) == 0 && r.t.Spec != nil {
		r.out.problem(Failed, linkStage, "named", finding{
			found: "stagelog.yaml lists no stages", cause: "stages: is missing, so deploy enables access logging on no stage",
			consequence: "no request is logged", fix: "stagelog init --aws --force, which lists the stages; or add stages: [{api: ID, stage: NAME}], then stagelog deploy",
		})
		streams = append(streams, r.readStream(ctx, r.t.Spec.StreamARN()))
	}
	for _, s := range streams {
		if err := r.chain(ctx, s); err != nil {
			return err
		}
	}
	return r.fatal
}

// chain examines a stream and everything downstream of it.
func (r *run) chain(ctx context.Context, s *stream) error {
	links := []func(context.Context, *stream){r.checkStream, r.checkFunction, r.checkBucket, r.checkReaders, r.checkAlarms, r.checkRecord}
	for _, check := range links {
		check(ctx, s)
		if r.fatal != nil {
			return r.fatal
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

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
	linkAlarms   = "alarms"
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
