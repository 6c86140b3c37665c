package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2 "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/accesslog/nearest"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// Stage represents the access log settings of one stage of a REST API. They are the pipeline's if
// their destination is the pipeline's stream. Changing them needs no new deployment.
type Stage struct {
	s      *desired.Spec
	format string // with a newline at its end
	c      *Clients
	ref    record.StageRef
	stream *streamOwner

	listed *types.Stage // by listStages, for the next Read
	seen   *types.Stage // by Read, for the next Apply or Destroy
}

func newStages(d *desired.Resources, c *Clients, refs []record.StageRef) (all []*Stage) {
	owner := &streamOwner{stream: newStream(d, c)}
	for _, ref := range refs {
		all = append(all, &Stage{s: d.Spec, format: d.AccessLogFormat, c: c, ref: ref, stream: owner})
	}
	return all
}

// listStages reads the stages among resources for their next Read, all stages of an API with one call. If that fails, Read
// reads its stage alone: the credentials may be allowed to read some stages only.
func listStages(ctx context.Context, resources []Resource) {
	byAPI := map[string][]*Stage{}
	for _, r := range resources {
		if st, ok := r.(*Stage); ok {
			byAPI[st.ref.API] = append(byAPI[st.ref.API], st)
		}
	}
	var group errgroup.Group
	group.SetLimit(maxReads)
	for api, stages := range byAPI {
		if len(stages) == 1 {
			continue
		}
		group.Go(func() error {
			out, err := stages[0].c.APIGateway.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &api})
			if err != nil {
				return nil
			}
			for _, st := range stages {
				if i := slices.IndexFunc(out.Item, func(s types.Stage) bool { return aws.ToString(s.StageName) == st.ref.Stage }); i >= 0 {
					st.listed = &out.Item[i]
				}
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no error
}

// streamOwner caches what a pipeline's stages share: the owner of its stream, and the buckets with their previous logging.
// Firehose allows 5 control plane calls per second and account.
type streamOwner struct {
	stream *Stream

	apis apiTags

	mu      sync.Mutex // guards the rest
	owner   string     // the OwnerTag's value
	known   bool       // whether owner is set
	buckets []string
}

// stateBuckets returns the buckets with the stages' previous logging. They do not change while stages are changed.
func (o *streamOwner) stateBuckets(ctx context.Context) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buckets) > 0 {
		return o.buckets, nil
	}
	var err error
	o.buckets, err = stateBuckets(ctx, o.stream.s, o.stream.all)
	return o.buckets, err
}

// forget makes the next stateBuckets read the buckets again.
func (o *streamOwner) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buckets = nil
}

// state sets the required flag of a stage that logs to the stream, from the stream's owner. A stream
// that no longer exists counts as the pipeline's.
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
	logs := "it logs to " + o.stream.Name()
	state.adopt(o.owner, want, logs+", which was not created by stagelog", logs+", which belongs to the pipeline ")
	return nil
}

// Kind returns "API stage".
func (r *Stage) Kind() string { return "API stage" }

// Name returns "api/stage".
func (r *Stage) Name() string { return r.ref.String() }

// Names of a stage's fields, and their paths in a patch.
const (
	fieldDestination = "destination"
	fieldFormat      = "format"

	pathSettings    = "/accessLogSettings"
	pathDestination = "/accessLogSettings/destinationArn"
	pathFormat      = "/accessLogSettings/format"
)

// settings holds a stage's access log settings. An empty destination means that logging is disabled.
type settings struct {
	DestinationARN string `json:"destinationArn"`
	Format         string `json:"format"`
}

// Read compares the settings. It returns ErrNoParent if the API or stage does not exist or is not
// of a REST API.
func (r *Stage) Read(ctx context.Context) (State, error) {
	r.seen = nil
	st, err := r.describe(ctx)
	if err != nil {
		return State{}, err
	}
	r.seen = st
	now, by := settingsOf(st), r.manager(ctx, st.Tags)
	if r.s.StagesElsewhere {
		return State{Exists: true, Reason: elsewhereReason, ManagedBy: by, Elsewhere: r.elsewhere(now)}, nil
	}
	state := State{
		ManagedBy: by,
		Exists:    now.DestinationARN != "",
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
		state.Reason = fmt.Sprintf("its access logs go to %s, which would stop receiving them: a stage has one destination", destinationText(now.DestinationARN))
	}
	for _, f := range accesslog.Lint(r.format) {
		if f.Severity > accesslog.Info {
			state.Notes = append(state.Notes, "format: "+f.Message)
		}
	}
	return state, nil
}

// Apply stores the current settings and then replaces them.
func (r *Stage) Apply(ctx context.Context, _ State, progress func(string)) error {
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
	if err := r.remember(ctx, now, progress); err != nil {
		return err
	}
	return r.patch(ctx, progress, ops...)
}

// Destroy restores the previous logging and deletes its record. It does not change settings that are
// no longer the pipeline's, but also deletes their record, unless another pipeline with the same
// bucket needs it.
func (r *Stage) Destroy(ctx context.Context, _ State, progress func(string)) (string, error) {
	will, err := r.ending(ctx)
	if err != nil {
		return "", err
	}
	if will.set != nil {
		if err := r.putBack(ctx, *will.set, progress); err != nil {
			if !awserr.Is(err, "BadRequestException") {
				return "", fmt.Errorf("restore the previous access log settings from s3://%s/%s: %w", will.bucket, r.s.WithBucket(will.bucket).PreviousLoggingKey(r.ref), err)
			}
			will.disable = true
			will.text = fmt.Sprintf("access logs disabled: API Gateway refuses to send them to %s again: %s%s", destinationText(will.set.DestinationARN), awserr.Message(err), r.restoreLater(*will.set))
		}
	}
	if will.disable {
		if err := r.patch(ctx, progress, types.PatchOperation{Op: types.OpRemove, Path: aws.String(pathSettings)}); err != nil {
			return "", err
		}
	}
	if will.keep {
		return will.text, nil
	}
	return will.text, r.forget(ctx)
}

// putBack sets destination and format in one call. AWS removes them only together, so restoring
// settings without a format needs a second call; ending continues from there after an interruption.
func (r *Stage) putBack(ctx context.Context, was settings, progress func(string)) error {
	if was.Format != "" {
		return r.patch(ctx, progress, replace(pathDestination, was.DestinationARN), replace(pathFormat, was.Format))
	}
	if err := r.patch(ctx, progress, types.PatchOperation{Op: types.OpRemove, Path: aws.String(pathSettings)}); err != nil {
		return err
	}
	return r.patch(ctx, progress, replace(pathDestination, was.DestinationARN))
}

// settings returns the stage's settings as Read has seen them just before, or as they are now.
func (r *Stage) settings(ctx context.Context) (settings, error) {
	st := r.seen
	if r.seen = nil; st == nil {
		var err error
		if st, err = r.describe(ctx); err != nil {
			return settings{}, err
		}
	}
	return settingsOf(st), nil
}

func settingsOf(st *types.Stage) settings {
	if st.AccessLogSettings == nil {
		return settings{}
	}
	return settings{aws.ToString(st.AccessLogSettings.DestinationArn), aws.ToString(st.AccessLogSettings.Format)}
}

// describe returns the stage as listStages has read it, once, or as it is now.
func (r *Stage) describe(ctx context.Context) (*types.Stage, error) {
	if st := r.listed; st != nil {
		r.listed = nil
		return st, nil
	}
	out, err := r.c.APIGateway.GetStage(ctx, &apigateway.GetStageInput{RestApiId: &r.ref.API, StageName: &r.ref.Stage})
	if awserr.NotFound(err) {
		return nil, r.missing(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	return &types.Stage{StageName: out.StageName, AccessLogSettings: out.AccessLogSettings, Tags: out.Tags}, nil
}

// patch changes the stage.
func (r *Stage) patch(ctx context.Context, progress func(string), ops ...types.PatchOperation) error {
	in := &apigateway.UpdateStageInput{RestApiId: &r.ref.API, StageName: &r.ref.Stage, PatchOperations: ops}
	return repeat(ctx, progress, func() error {
		_, err := r.c.APIGateway.UpdateStage(ctx, in)
		return err
	})
}

func replace(path, value string) types.PatchOperation {
	return types.PatchOperation{Op: types.OpReplace, Path: aws.String(path), Value: aws.String(value)}
}

// AccessLogPatch returns the patch operations of UpdateStage that set access log settings, in JSON; an empty one is left unchanged.
func AccessLogPatch(destination, format string) string {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	var ops []operation
	if destination != "" {
		ops = append(ops, operation{"replace", pathDestination, destination})
	}
	if format != "" {
		ops = append(ops, operation{"replace", pathFormat, format})
	}
	return CompactJSON(ops)
}

// CompactJSON returns v, of strings, numbers, maps and lists only, as JSON on one line, with & < > unescaped.
func CompactJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("BUG: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (r *Stage) ours(now settings) bool { return now.DestinationARN == r.s.StreamARN() }

// destinationText describes a destination, like "the CloudWatch log group /api/prod".
func destinationText(arn string) string {
	if _, group, ok := strings.Cut(arn, ":log-group:"); ok {
		return "the CloudWatch log group " + strings.TrimSuffix(group, ":*")
	}
	if _, stream, ok := strings.Cut(arn, ":deliverystream/"); ok {
		return "the delivery stream " + stream
	}
	return arn
}

// WhyMissing explains why a stage cannot be found, and suggests a similar name.
func WhyMissing(ctx context.Context, s *desired.Spec, c *Clients, ref record.StageRef) string {
	return (&Stage{s: s, c: c, ref: ref}).missing(ctx, errors.New("API or stage not found")).Error()
}

// missing returns an error that explains why the stage is missing: no such API, another kind of
// API, no such stage, or never deployed. cause is AWS's error.
func (r *Stage) missing(ctx context.Context, cause error) error {
	stages, err := r.c.APIGateway.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &r.ref.API})
	switch {
	case awserr.NotFound(err):
		return r.missingAPI(ctx)
	case err != nil:
		return errors.Join(cause, err)
	case len(stages.Item) == 0:
		return &refusal{ErrNoParent, fmt.Sprintf("the API %s was never deployed, so it has no stages: deploy it first, with `aws apigateway create-deployment --rest-api-id %s --stage-name %s --region %s`",
			r.ref.API, r.ref.API, r.ref.Stage, r.s.Region)}
	}
	var names []string
	for _, st := range stages.Item {
		names = append(names, aws.ToString(st.StageName))
	}
	return &refusal{ErrNoParent, fmt.Sprintf("API %s has no stage %s: %s", r.ref.API, r.ref.Stage, offer(r.ref.Stage, names, "its stages are "))}
}

func (r *Stage) missingAPI(ctx context.Context) error {
	// Errors are ignored: the local endpoint has no such APIs, and the call may be denied.
	if out, err := r.c.APIGatewayV2.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: &r.ref.API}); err == nil {
		return &refusal{ErrNoParent, otherAPIText(r.ref.API, aws.ToString(out.Name), out.ProtocolType)}
	}
	text := fmt.Sprintf("API %s not found in %s of account %s", r.ref.API, r.s.Region, r.s.Account)
	apis, err := r.listAPIs(ctx)
	if err != nil {
		return &refusal{ErrNoParent, text} // listing may be denied
	}
	return &refusal{ErrNoParent, text + ": " + nearestAPI(r.ref.API, apis)}
}

type apiName struct{ id, name string }

func (a apiName) String() string { return fmt.Sprintf("%s (%s)", a.id, a.name) }

func (r *Stage) listAPIs(ctx context.Context) ([]apiName, error) {
	var apis []apiName
	for page, err := range Pages(ctx, apigateway.NewGetRestApisPaginator(r.c.APIGateway, &apigateway.GetRestApisInput{Limit: aws.Int32(500)})) {
		if err != nil {
			return nil, err
		}
		for _, a := range page.Items {
			apis = append(apis, apiName{aws.ToString(a.Id), aws.ToString(a.Name)})
		}
	}
	return apis, nil
}

// nearestAPI suggests the API that was probably meant, by ID or name.
func nearestAPI(got string, apis []apiName) string {
	var ids, names, all []string
	for _, a := range apis {
		ids, names, all = append(ids, a.id), append(names, a.name), append(all, a.String())
	}
	for _, list := range [][]string{ids, names} {
		name, ok := nearest.Name(got, list)
		for i := range list {
			if ok && list[i] == name {
				return "did you mean " + all[i] + "? stages: needs the API's ID"
			}
		}
	}
	if len(all) == 0 {
		return "it has no REST APIs; check the Region and account"
	}
	return "its REST APIs are " + Listed(all) + "; check the Region and account"
}

func offer(got string, names []string, have string) string {
	if name, ok := nearest.Name(got, names); ok {
		return fmt.Sprintf("did you mean %s?", name)
	}
	return have + Listed(names)
}

// maxListed limits the names in an error.
const maxListed = 8

// Listed joins names with commas, and abbreviates a long list.
func Listed(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// otherAPIText explains that AWS does not support such an API here, and what to use instead.
func otherAPIText(id, name string, protocol v2.ProtocolType) string {
	kind, lacks := "an HTTP API", " HTTP APIs also have no API keys or usage plans to identify customers by."
	if protocol == v2.ProtocolTypeWebsocket {
		kind, lacks = "a WebSocket API", ""
	}
	return fmt.Sprintf("%s (%s) is %s, which can log only to CloudWatch Logs, not to a Firehose delivery stream.%s "+
		"Use a REST API in front of the same backend (HTTP proxy integration), or log this API without stagelog, with `aws apigatewayv2 update-stage --api-id %s --access-log-settings` to a log group",
		id, name, kind, lacks, id)
}
