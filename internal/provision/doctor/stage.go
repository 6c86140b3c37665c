package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2 "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// stage holds a stage's access log settings.
type stage struct {
	ref         record.StageRef
	err         error // reading the stage failed
	destination string
	format      string
	to          string // ARN of the delivery stream that it logs to; "" if none
}

// readStage reads a stage's access log settings.
func (r *run) readStage(ctx context.Context, ref record.StageRef) *stage {
	st := &stage{ref: ref}
	others := slices.ContainsFunc(r.t.Stages, func(other record.StageRef) bool { return other.API == ref.API && other != ref })
	log, err := r.gateway.stage(ctx, ref, others)
	if err != nil {
		st.err = err
		return st
	}
	if log != nil {
		st.destination, st.format = aws.ToString(log.DestinationArn), aws.ToString(log.Format)
	}
	if at, err := arn.Parse(st.destination); err == nil && at.Service == "firehose" && strings.HasPrefix(at.Resource, streamResource) {
		st.to = st.destination
	}
	return st
}

const (
	streamResource = "deliverystream/"
	// streamPrefix starts the name of every stream that API Gateway can log to.
	streamPrefix = "amazon-apigateway-"
)

// checkStage examines a stage; s is the stream that it logs to, or nil.
func (r *run) checkStage(ctx context.Context, st *stage, s *stream) {
	if st.err != nil {
		r.checkMissingStage(ctx, st)
		return
	}
	r.out.ok(linkStage, "exists", "%s is a stage of a REST API", st.ref)
	if st.destination == "" {
		r.checkUnlogged(st)
		return
	}
	r.out.ok(linkStage, "access logging", "%s has access logging switched on", st.ref)
	if r.checkDestination(st, s) {
		r.checkFormat(st, s)
		r.checkKeys(ctx, st, s)
		r.checkPlans(ctx, st, s)
	}
}

func (r *run) checkMissingStage(ctx context.Context, st *stage) {
	if !awserr.NotFound(st.err) {
		r.unknown(linkStage, "exists", "the stage "+st.ref.String(), need{"apigateway:GET", r.apiARN("/restapis/" + st.ref.API + "/stages/" + st.ref.Stage)}, st.err)
		return
	}
	// The credentials may lack permission for HTTP APIs, so errors are ignored.
	if out, err := r.c.APIGatewayV2.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: &st.ref.API}); err == nil {
		r.out.problem(Failed, linkStage, "REST API", otherAPI(st.ref, aws.ToString(out.Name), out.ProtocolType))
		return
	}
	r.out.problem(Failed, linkStage, "exists", finding{
		found:       "the stage " + st.ref.String() + " does not exist",
		cause:       provision.WhyMissing(ctx, &desired.Spec{Region: r.t.Region, Account: r.t.Account}, r.c, st.ref),
		consequence: "nothing can be logged",
		fix:         command("apigateway", "get-rest-apis", "--region", r.t.Region, "--query", "items[].[id,name]") + "\nlists the APIs; then pass --stage api/stage, or correct stages: in stagelog.yaml",
	})
}

func otherAPI(ref record.StageRef, name string, protocol v2.ProtocolType) finding {
	f := finding{
		found:       fmt.Sprintf("%s (%s) is an HTTP API", ref.API, name),
		cause:       "HTTP APIs can log only to CloudWatch Logs, not to a Firehose delivery stream",
		consequence: "its access logs cannot reach this chain; and as HTTP APIs have no API keys and no usage plans, its requests have no customer",
		fix: "put a REST API with an HTTP proxy integration in front of the same backend, and check its stage; or leave this API out, and log it to a log group: " +
			command("apigatewayv2", "update-stage", "--api-id", ref.API, "--stage-name", ref.Stage, "--access-log-settings", "DestinationArn=LOG_GROUP_ARN,Format=FORMAT"),
	}
	if protocol == v2.ProtocolTypeWebsocket {
		f.found = fmt.Sprintf("%s (%s) is a WebSocket API", ref.API, name)
		f.cause = "WebSocket APIs can log only to CloudWatch Logs, not to a Firehose delivery stream"
		f.consequence = "its access logs cannot reach this chain, although it may have API keys"
	}
	return f
}

func (r *run) checkUnlogged(st *stage) {
	fix := "stagelog init --aws, then stagelog deploy"
	if r.t.Spec != nil {
		fix = r.stageFix("stagelog deploy")
	}
	r.out.problem(Failed, linkStage, "access logging", finding{
		found:       st.ref.String() + " has no access logging",
		cause:       "API Gateway logs nothing until a destination is set on the stage; execution logging is separate",
		consequence: "requests are not logged",
		fix:         fix,
	})
}

// checkDestination checks where a stage logs to, and reports whether that is an existing stream.
func (r *run) checkDestination(st *stage, s *stream) bool {
	at, err := arn.Parse(st.destination)
	wrong := finding{found: st.ref.String() + " logs to " + st.destination, consequence: "API Gateway drops the records silently"}
	wrong.fix = r.repair(nil, command("firehose", "list-delivery-streams", "--region", r.t.Region, "--query", "DeliveryStreamNames[?starts_with(@, `"+streamPrefix+"`)]")+
		"\nthen "+provision.SetLoggingCommand(r.t.Region, st.ref, r.streamARN(streamPrefix+"NAME"), ""))
	switch {
	case err == nil && at.Service == "logs":
		wrong.cause = "the destination is a CloudWatch Logs log group, and a stage has only one destination"
		wrong.consequence = "no records reach a delivery stream, so none reach the bucket"
	case s == nil:
		wrong.cause = "the destination is not a delivery stream"
		wrong.consequence = "no records reach the bucket"
	case at.AccountID != r.t.Account:
		wrong.cause = fmt.Sprintf("the stream is in account %s, the API in %s: API Gateway writes with a service-linked role of the API's account, and streams have no resource policy that could allow it", at.AccountID, r.t.Account)
	case at.Region != r.t.Region:
		wrong.cause = fmt.Sprintf("the stream is in %s, the API in %s", at.Region, r.t.Region)
	case !strings.HasPrefix(s.name, streamPrefix):
		wrong.cause = "the stream's name does not begin with " + streamPrefix + ": API Gateway's service-linked role can write to no others"
	case s.missing:
		wrong.cause = "the delivery stream " + s.name + " does not exist in " + s.region + ": it was deleted or never created; API Gateway does not check"
	default:
		if r.t.Spec != nil && !r.ours(s) {
			wrong.cause = "stagelog.yaml's stream is " + r.t.Spec.Stream()
			wrong.fix = r.stageFix("stagelog deploy --replace-logging")
			wrong.consequence = "this stage's logs do not go through the pipeline; these checks examine the chain that they go through"
			r.out.problem(Failed, linkStage, "destination", wrong)
			return true
		}
		r.out.ok(linkStage, "destination", "%s logs to the delivery stream %s, in the same account and Region", st.ref, s.name)
		return true
	}
	if r.t.Spec != nil {
		wrong.fix = r.stageFix("stagelog deploy --replace-logging")
		if s != nil && s.missing && r.ours(s) {
			wrong.fix = "stagelog deploy" // recreates the stream
		}
	}
	r.out.problem(Failed, linkStage, "destination", wrong)
	return s != nil && !s.missing
}

func (r *run) streamARN(name string) string {
	return fmt.Sprintf("arn:%s:firehose:%s:%s:%s%s", r.t.Partition, r.t.Region, r.t.Account, streamResource, name)
}

// apiARN returns the IAM resource name of an API Gateway path.
func (r *run) apiARN(path string) string {
	return "arn:" + r.t.Partition + ":apigateway:" + r.t.Region + "::" + path
}

// plan is a usage plan that contains a stage of the chain.
type plan struct{ id, name string }

// plansOf returns the usage plans of a stream's stages.
func (r *run) plansOf(ctx context.Context, s *stream) (all []plan, err error) {
	plans, err := r.gateway.usagePlans(ctx)
	for _, p := range plans {
		if slices.ContainsFunc(p.ApiStages, s.hasStage) {
			all = append(all, plan{aws.ToString(p.Id), aws.ToString(p.Name)})
		}
	}
	return all, err
}

func (s *stream) hasStage(in types.ApiStage) bool {
	ref := record.StageRef{API: aws.ToString(in.ApiId), Stage: aws.ToString(in.Stage)}
	return slices.ContainsFunc(s.stages, func(st *stage) bool { return st.ref == ref })
}

// checkKeys checks that some method requires an API key; otherwise no request has a key id.
func (r *run) checkKeys(ctx context.Context, st *stage, s *stream) {
	const name = "API keys"
	if s.function == "" && len(customerFields(st.format)) > 1 {
		return // customers are identified by an authorizer
	}
	methods := r.gateway.methods(ctx, st.ref.API)
	if methods.err != nil {
		r.unknown(linkStage, name, "which methods of "+st.ref.API+" require API keys", need{"apigateway:GET", r.apiARN("/restapis/" + st.ref.API + "/resources")}, methods.err)
		return
	}
	if methods.all == 0 || methods.withKey > 0 {
		r.out.ok(linkStage, name, "%d of %d methods require an API key", methods.withKey, methods.all)
		return
	}
	r.out.problem(Warning, linkStage, name, finding{
		found: fmt.Sprintf("none of the %d methods of %s requires an API key", methods.all, st.ref.API), cause: "apiKeyRequired is false for all of them, and API Gateway then ignores keys",
		consequence: "no request has a key id, so usage plan and customer cannot be looked up: they are - in every record",
		fix: command("apigateway", "update-method", "--region", r.t.Region, "--rest-api-id", st.ref.API, "--resource-id", "RESOURCE_ID", "--http-method", "METHOD", "--patch-operations", "op=replace,path=/apiKeyRequired,value=true") +
			"\nfor each method, then " + command("apigateway", "create-deployment", "--region", r.t.Region, "--rest-api-id", st.ref.API, "--stage-name", st.ref.Stage),
	})
}

// checkPlans checks that a stage is in a usage plan; otherwise its requests have no customer.
func (r *run) checkPlans(ctx context.Context, st *stage, s *stream) {
	const name = "usage plans"
	plans, err := r.plansOf(ctx, &stream{stages: []*stage{st}})
	switch {
	case err != nil:
		r.unknown(linkStage, name, "the usage plans of "+st.ref.String(), need{"apigateway:GET", r.apiARN("/usageplans")}, err)
	case len(plans) > 0:
		var names []string
		for _, p := range plans {
			names = append(names, p.name)
		}
		r.out.ok(linkStage, name, "%s is in %s", st.ref, listed(names))
	case s.function == "" && len(customerFields(st.format)) > 1:
		r.out.ok(linkStage, name, "%s is in none, and needs none: plan and subscription come from an authorizer", st.ref)
	default:
		r.out.problem(Warning, linkStage, name, finding{
			found: fmt.Sprintf("%s is in no usage plan", st.ref), cause: "API Gateway accepts API keys only for stages in a usage plan",
			consequence: "no request has a customer: usage plan and customer are - in every record",
			fix:         command("apigateway", "update-usage-plan", "--region", r.t.Region, "--usage-plan-id", "PLAN_ID", "--patch-operations", "op=add,path=/apiStages,value="+st.ref.API+":"+st.ref.Stage),
		})
	}
}
