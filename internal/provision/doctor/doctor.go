package doctor

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

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
	r := &run{c: c, t: t, o: o, out: recorder{report: report}}
	err := r.chains(ctx)
	return r.out.Report, err
}

// run is one examination.
type run struct {
	c   *provision.Clients
	t   Target
	o   Options
	out recorder

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
	links := []func(context.Context, *stream){r.checkStream, r.checkFunction, r.checkBucket, r.checkReaders, r.checkRecord}
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
