package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// Stage is the access log settings of one stage of a REST API. They are the pipeline's when
// the pipeline's stream is their destination. A change of them needs no new deployment.
type Stage struct {
	s      *desired.Spec
	format string // with the newline at its end
	c      *Clients
	ref    record.StageRef
	stream *streamOwner
}

func newStage(d *desired.Resources, c *Clients, st record.StageRef) *Stage {
	return &Stage{s: d.Spec, format: d.AccessLogFormat, c: c, ref: st, stream: &streamOwner{stream: newStream(d, c)}}
}

// streamOwner is whose the stream of the pipeline's name is. All stages of a pipeline have one
// together: Firehose has 5 control calls a second for an account.
type streamOwner struct {
	stream *Stream

	mu    sync.Mutex // guards owner, known
	owner string     // the OwnerTag's value
	known bool
}

// state adds to a stage that logs to the stream whose that is. A stream that is gone was the
// pipeline's, for all that it matters: nobody gets those logs.
func (o *streamOwner) state(ctx context.Context, state *State) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	want := o.stream.s.Owner()
	if !o.known {
		owner, err := o.stream.owner(ctx)
		if awserr.NotFound(err) {
			owner, err = want, nil
		}
		if err != nil {
			return fmt.Errorf("read the tags of %s: %w", o.stream.Name(), err)
		}
		o.owner, o.known = owner, true
	}
	switch o.owner {
	case want:
	case "":
		state.RequiredFlag, state.Reason = AdoptFlag, "it logs to "+o.stream.Name()+", which stagelog did not make"
	default:
		state.RequiredFlag, state.Reason = AdoptFlag, "it logs to "+o.stream.Name()+", which belongs to the pipeline "+o.owner
	}
	return nil
}

// Kind is "API stage".
func (r *Stage) Kind() string { return "API stage" }

// Name is "api/stage".
func (r *Stage) Name() string { return r.ref.String() }

// The names of a stage's fields, and where a patch finds them.
const (
	fieldDestination = "destination"
	fieldFormat      = "format"

	pathSettings    = "/accessLogSettings"
	pathDestination = "/accessLogSettings/destinationArn"
	pathFormat      = "/accessLogSettings/format"
)

// settings are a stage's access log settings. Without a destination nothing is logged.
type settings struct {
	DestinationARN string `json:"destinationArn"`
	Format         string `json:"format"`
}

// Read compares the settings. An API or a stage that does not exist is an ErrNoParent, and so
// is an API that is no REST API.
func (r *Stage) Read(ctx context.Context) (State, error) {
	now, err := r.settings(ctx)
	if err != nil {
		return State{}, err
	}
	state := State{
		Exists: now.DestinationARN != "",
		Fields: []Field{
			{Name: fieldDestination, Have: now.DestinationARN, Want: r.s.StreamARN()},
			{Name: fieldFormat, Have: desired.OneLine(now.Format), Want: desired.OneLine(r.format)},
		},
	}
	switch {
	case r.ours(now):
		if err := r.stream.state(ctx, &state); err != nil {
			return State{}, err
		}
	case state.Exists:
		state.RequiredFlag = ReplaceFlag
		state.Reason = fmt.Sprintf("its access logs go to %s, which would get no more: a stage has one destination", destinationText(now.DestinationARN))
	}
	for _, f := range accesslog.Lint(r.format) {
		if f.Severity > accesslog.Info {
			state.Notes = append(state.Notes, "format: "+f.Message)
		}
	}
	return state, nil
}

// Apply remembers the settings as they are, and then replaces them.
func (r *Stage) Apply(ctx context.Context, _ State, _ func(string)) error {
	now, err := r.settings(ctx)
	if err != nil {
		return err
	}
	var ops []types.PatchOperation
	if !r.ours(now) {
		ops = append(ops, replace(pathDestination, r.s.StreamARN()))
	}
	if desired.OneLine(now.Format) != desired.OneLine(r.format) {
		ops = append(ops, replace(pathFormat, r.format))
	}
	if len(ops) == 0 {
		return nil
	}
	if err := r.remember(ctx, now); err != nil {
		return err
	}
	return r.patch(ctx, ops...)
}

// Destroy restores the previous settings, and deletes the record of them. Settings that are no longer the
// pipeline's stay as they are, but what is remembered of the stage goes, unless it is another
// pipeline's that has the same bucket.
func (r *Stage) Destroy(ctx context.Context, _ State, _ func(string)) (string, error) {
	now, err := r.settings(ctx)
	if errors.Is(err, ErrNoParent) {
		return "the stage is gone", r.forget(ctx)
	}
	if err != nil {
		return "", err
	}
	var did string
	switch {
	case r.ours(now):
		did, err = r.restore(ctx)
	case now.DestinationARN == "":
		did = "left as it is, without access logs: somebody removed the pipeline's settings"
	default:
		did = "left as it is: somebody set other access logs, to " + destinationText(now.DestinationARN)
		if before, err := r.predecessor(ctx, now.DestinationARN); err != nil || before {
			return did, err // the pipeline that it logs to needs what is remembered
		}
	}
	if err != nil {
		return "", err
	}
	return did, r.forget(ctx)
}

// restore makes a stage that logs to the pipeline's stream as it was before.
func (r *Stage) restore(ctx context.Context) (string, error) {
	was, err := r.recall(ctx)
	if err != nil {
		return "", err
	}
	did := ""
	switch {
	case was == nil:
		did = "access logs switched off; nothing says where they went before"
	case was.DestinationARN == "":
		did = "access logs switched off, as before"
	case r.ours(was.settings):
		did = "access logs switched off: they went to this stream before, too"
	default:
		gone, err := r.gone(ctx, was.DestinationARN)
		if err != nil {
			return "", err
		}
		if gone {
			did = fmt.Sprintf("access logs switched off: %s, where they went before, is gone", destinationText(was.DestinationARN))
			break
		}
		if err := r.putBack(ctx, was.settings); err != nil {
			return "", fmt.Errorf("restore the previous access log settings, which s3://%s/%s holds: %w", was.bucket, desired.PreviousLoggingKey(r.ref), err)
		}
		return "previous access logs restored, to " + destinationText(was.DestinationARN), nil
	}
	return did, r.patch(ctx, types.PatchOperation{Op: types.OpRemove, Path: aws.String(pathSettings)})
}

// putBack sets both members in one call. AWS removes them only together, so a format that
// was not there takes a call more.
func (r *Stage) putBack(ctx context.Context, was settings) error {
	if was.Format != "" {
		return r.patch(ctx, replace(pathDestination, was.DestinationARN), replace(pathFormat, was.Format))
	}
	if err := r.patch(ctx, types.PatchOperation{Op: types.OpRemove, Path: aws.String(pathSettings)}); err != nil {
		return err
	}
	return r.patch(ctx, replace(pathDestination, was.DestinationARN))
}

// settings are the stage's as they are.
func (r *Stage) settings(ctx context.Context) (settings, error) {
	out, err := r.c.APIGateway.GetStage(ctx, &apigateway.GetStageInput{RestApiId: &r.ref.API, StageName: &r.ref.Stage})
	if awserr.NotFound(err) {
		return settings{}, r.missing(ctx, err)
	}
	if err != nil || out.AccessLogSettings == nil {
		return settings{}, err
	}
	return settings{aws.ToString(out.AccessLogSettings.DestinationArn), aws.ToString(out.AccessLogSettings.Format)}, nil
}

// patch changes the stage. Two changes of one API at the same time are a conflict, which
// passes.
func (r *Stage) patch(ctx context.Context, ops ...types.PatchOperation) error {
	in := &apigateway.UpdateStageInput{RestApiId: &r.ref.API, StageName: &r.ref.Stage, PatchOperations: ops}
	return retry.Policy{First: time.Second, Max: 2 * time.Second, Tries: maxPatches, Again: awserr.Conflict}.Do(ctx, func() error {
		_, err := r.c.APIGateway.UpdateStage(ctx, in)
		return err
	})
}

const maxPatches = 5

func replace(path, value string) types.PatchOperation {
	return types.PatchOperation{Op: types.OpReplace, Path: aws.String(path), Value: aws.String(value)}
}

func (r *Stage) ours(now settings) bool { return now.DestinationARN == r.s.StreamARN() }

// destinationText is a destination in words: "the CloudWatch log group /api/prod".
func destinationText(arn string) string {
	if _, group, ok := strings.Cut(arn, ":log-group:"); ok {
		return "the CloudWatch log group " + strings.TrimSuffix(group, ":*")
	}
	if _, stream, ok := strings.Cut(arn, ":deliverystream/"); ok {
		return "the delivery stream " + stream
	}
	return arn
}
