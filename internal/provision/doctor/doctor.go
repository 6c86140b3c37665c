package doctor

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// Target is what to examine.
type Target struct {
	Region, Account, Partition string

	// Spec is the pipeline that the chain should be; nil for a chain that somebody else built.
	Spec *desired.Spec
	// Stages are where chains begin. Without any, Spec's stream is where it begins.
	Stages []record.StageRef
	// Readers are the AWS accounts that must be able to read the bucket. Without any, those are
	// examined that the bucket's policy names.
	Readers []string
}

// Options say how far to go.
type Options struct {
	// Record sends a marked record through each stream and waits for it in the bucket.
	Record bool
	// Timeout is how long to wait for it. By default, what the stream's buffers may take and
	// some more.
	Timeout time.Duration
	// Progress is told what is being waited for; it may be nil.
	Progress func(string)
	// ReaderS3 has the credentials of a reader, whose view is then proven too; it may be nil.
	ReaderS3 *s3.Client
}

// Run examines every link of the chains that begin at the target's stages, and tells report
// of each check when it is done. A chain that is broken is no error: an error means that AWS
// could not be asked at all, and the report is then of what was done before.
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

	fatal error // AWS could not be asked: nothing that follows means anything
}

func (r *run) tell(text string) {
	if r.o.Progress != nil {
		r.o.Progress(text)
	}
}

// chains follows each stage to its stream, and each stream once to its end.
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
			found: "stagelog.yaml names no stages", cause: "it has no stages:, so deploy switches access logging on nowhere",
			consequence: "no request leaves a record", fix: "stagelog init --aws --force, which lists the stages; or add stages: [{api: ID, stage: NAME}], then stagelog deploy",
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

// chain examines what is behind the stages.
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
