package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// functionName returns the name in a function's ARN, with its qualifier if it has one.
func functionName(functionARN string) string {
	_, name, _ := strings.Cut(functionARN, ":function:")
	return name
}

// unqualified returns a function's ARN without version or alias.
func unqualified(functionARN string) string {
	parts := strings.Split(functionARN, ":")
	return strings.Join(parts[:min(len(parts), 7)], ":")
}

// qualifier returns the version or the alias in a function's ARN, or "".
func qualifier(functionARN string) string {
	return strings.TrimPrefix(strings.TrimPrefix(functionARN, unqualified(functionARN)), ":")
}

// checkFunction examines the function that processes records.
func (r *run) checkFunction(ctx context.Context, s *stream) {
	if s.to == nil || s.function == "" || !r.checkFunctionPlace(s) {
		return
	}
	in := &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(unqualified(s.function))}
	if q := qualifier(s.function); q != "" && q != "$LATEST" {
		in.Qualifier = &q
	}
	f, err := r.c.Lambda.GetFunctionConfiguration(ctx, in)
	switch {
	case awserr.NotFound(err):
		r.out.problem(Failed, linkFunction, "exists", finding{
			found: "the function " + functionName(s.function) + " does not exist", cause: "the stream's processor names it, but it was deleted or never existed; Firehose does not check",
			consequence: "every record goes to the error output (Lambda.ResourceNotFoundException)",
			fix:         r.repair(s, "create the function again, or switch processing off: "+s.updateDestination(map[string]any{"ProcessingConfiguration": map[string]any{"Enabled": false}})),
		})
		return
	case err != nil:
		r.unknown(linkFunction, "exists", "the function "+functionName(s.function), need{"lambda:GetFunctionConfiguration", s.function}, err)
		return
	}
	s.functionExists = true
	r.out.ok(linkFunction, "exists", "%s", functionName(s.function))
	r.checkFunctionState(s, f)
	r.checkTimeout(s, f)
	r.checkMemory(s, f)
	r.checkRuntime(s, f)
	r.checkConcurrency(ctx, s)
	env := map[string]string{}
	if f.Environment != nil {
		env = f.Environment.Variables
	}
	for name := range env {
		s.ownFunction = s.ownFunction || strings.HasPrefix(name, "STAGELOG_")
	}
	r.checkArchitecture(ctx, s, f, &lambda.GetFunctionInput{FunctionName: in.FunctionName, Qualifier: in.Qualifier})
	r.checkFunctionFormat(s, env)
	r.checkFunctionRole(ctx, s, aws.ToString(f.Role), env)
	group := "/aws/lambda/" + aws.ToString(f.FunctionName)
	if f.LoggingConfig != nil && f.LoggingConfig.LogGroup != nil {
		group = *f.LoggingConfig.LogGroup
	}
	r.checkFunctionErrors(ctx, s, group)
}

func (r *run) checkFunctionPlace(s *stream) bool {
	at, err := arn.Parse(s.function)
	switch {
	case err != nil:
		r.out.problem(Failed, linkFunction, "region", finding{found: "the processor's function is " + s.function, cause: "that is not an ARN", consequence: "Firehose cannot call the function", fix: r.repair(s, s.updateDestination(map[string]any{"ProcessingConfiguration": s.to.ProcessingConfiguration}))})
	case at.Region != s.region:
		r.out.problem(Failed, linkFunction, "region", finding{
			found: fmt.Sprintf("the function is in %s, the stream in %s", at.Region, s.region), cause: "Firehose can only call functions in its own Region",
			consequence: "every record goes unprocessed to the error output, and the function looks for usage plans in the wrong Region",
			fix:         r.repair(s, "create the function in "+s.region+", and set it as the stream's processor"),
		})
	case at.AccountID != s.account:
		r.out.problem(Warning, linkFunction, "region", finding{
			found: fmt.Sprintf("the function is in account %s, the stream in %s", at.AccountID, s.account), cause: "only credentials of that account can read the function's settings",
			consequence: "the function is not examined, and it looks up usage plans in its own account", fix: "run doctor with credentials of account " + at.AccountID,
		})
		return false
	default:
		r.out.ok(linkFunction, "region", "the same as the stream's, %s", s.region)
		return true
	}
	return false
}

func (r *run) checkFunctionState(s *stream, f *lambda.GetFunctionConfigurationOutput) {
	p := finding{consequence: "Firehose cannot call it: batches are tried four times, then go to the error output", fix: r.repair(s, "update its code or its settings, and wait: "+command("lambda", "wait", "function-updated-v2", "--region", s.region, "--function-name", aws.ToString(f.FunctionName)))}
	switch {
	case f.State == types.StateFailed:
		p.found, p.cause = "the function's state is Failed", fmt.Sprintf("%s: %s", f.StateReasonCode, aws.ToString(f.StateReason))
		r.out.problem(Failed, linkFunction, "state", p)
	case f.LastUpdateStatus == types.LastUpdateStatusFailed:
		p.found, p.cause = "the last update of the function failed", fmt.Sprintf("%s: %s", f.LastUpdateStatusReasonCode, aws.ToString(f.LastUpdateStatusReason))
		p.consequence = "the previous version is still running"
		r.out.problem(Warning, linkFunction, "state", p)
	case f.State == types.StatePending, f.LastUpdateStatus == types.LastUpdateStatusInProgress:
		p.found, p.cause = "the function is being created or updated", "a deployment is in progress"
		r.out.problem(Warning, linkFunction, "state", p)
	default:
		r.out.ok(linkFunction, "state", "Active")
	}
}

// Limits of a reasonable timeout, in seconds.
const (
	lambdaDefaultTimeout = 3
	shortTimeout         = 30
	longTimeout          = 120
	firehoseTimeout      = 300
)

func (r *run) checkTimeout(s *stream, f *lambda.GetFunctionConfigurationOutput) {
	seconds := int(aws.ToInt32(f.Timeout))
	p := finding{found: fmt.Sprintf("the function's timeout is %d s", seconds), fix: r.repair(s, command("lambda", "update-function-configuration", "--region", s.region, "--function-name", aws.ToString(f.FunctionName), "--timeout", "60"))}
	const tried = "a batch that takes longer is tried four times, then all of its records go to the error output (Lambda.FunctionTimedOut)"
	switch {
	case seconds <= lambdaDefaultTimeout:
		p.cause, p.consequence = fmt.Sprintf("Lambda's default of %d s was never changed: just reading the usage plans may take longer, and a batch has thousands of records", lambdaDefaultTimeout), tried
		r.out.problem(Failed, linkFunction, "timeout", p)
	case seconds < shortTimeout:
		p.cause, p.consequence = "reading the usage plans of a large account may take longer, because API Gateway allows ten calls per second", tried
		r.out.problem(Warning, linkFunction, "timeout", p)
	case seconds > firehoseTimeout:
		p.cause, p.consequence = "Firehose waits at most 300 s", "Firehose gives up first, and calls the function again while the first call is still running"
		r.out.problem(Warning, linkFunction, "timeout", p)
	case seconds > longTimeout:
		p.cause, p.consequence = "a hanging call blocks its batch for that long, four times in a row", fmt.Sprintf("delivery may be blocked for %d minutes before it fails", seconds*4/60)
		r.out.problem(Warning, linkFunction, "timeout", p)
	default:
		r.out.ok(linkFunction, "timeout", "%d s", seconds)
	}
}

// smallMemory is Lambda's default; the CPU grows with the memory.
const smallMemory = 128

func (r *run) checkMemory(s *stream, f *lambda.GetFunctionConfigurationOutput) {
	if mb := aws.ToInt32(f.MemorySize); mb > smallMemory {
		r.out.ok(linkFunction, "memory", "%d MB", mb)
		return
	}
	r.out.problem(Warning, linkFunction, "memory", finding{
		found: fmt.Sprintf("the function has %d MB", aws.ToInt32(f.MemorySize)), cause: "that is Lambda's default, which also means a small share of a CPU",
		consequence: "a batch of several MB, in base64, may be slow or exceed the memory",
		fix:         r.repair(s, command("lambda", "update-function-configuration", "--region", s.region, "--function-name", aws.ToString(f.FunctionName), "--memory-size", "256")),
	})
}

// oldRuntimes lists the runtimes that AWS has deprecated.
var oldRuntimes = []string{
	"python2.7", "python3.6", "python3.7", "python3.8", "go1.x", "provided", "provided.al2", "java8", "dotnetcore3.1", "dotnet6",
	"nodejs", "nodejs4.3", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs16.x", "ruby2.5", "ruby2.7",
}

func (r *run) checkRuntime(s *stream, f *lambda.GetFunctionConfigurationOutput) {
	if f.PackageType == types.PackageTypeImage {
		r.out.ok(linkFunction, "runtime", "a container image")
		return
	}
	if !slices.Contains(oldRuntimes, string(f.Runtime)) {
		r.out.ok(linkFunction, "runtime", "%s", f.Runtime)
		return
	}
	r.out.problem(Warning, linkFunction, "runtime", finding{
		found: "the function runs on " + string(f.Runtime), cause: "AWS has deprecated that runtime",
		consequence: "it gets no security fixes, and AWS stops allowing functions to be created on it, and later to be updated",
		fix:         r.repair(s, "move its code to a newer runtime: "+command("lambda", "update-function-configuration", "--region", s.region, "--function-name", aws.ToString(f.FunctionName), "--runtime", "RUNTIME")),
	})
}

func (r *run) checkConcurrency(ctx context.Context, s *stream) {
	const name = "reserved concurrency"
	out, err := r.c.Lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String(unqualified(s.function))})
	switch {
	case err != nil:
		r.unknown(linkFunction, name, "its reserved concurrency", need{"lambda:GetFunctionConcurrency", unqualified(s.function)}, err)
	case out.ReservedConcurrentExecutions == nil:
		r.out.ok(linkFunction, name, "not set: it uses the account's unreserved concurrency")
	case *out.ReservedConcurrentExecutions == 0:
		r.out.problem(Failed, linkFunction, name, finding{
			found: "its reserved concurrency is 0", cause: "the function was throttled completely, for example in the console",
			consequence: "each call is rejected (Lambda.InvokeLimitExceeded): records go unprocessed to the error output",
			fix:         command("lambda", "delete-function-concurrency", "--region", s.region, "--function-name", unqualified(s.function)),
		})
	default:
		r.out.ok(linkFunction, name, "%d", *out.ReservedConcurrentExecutions)
	}
}

// checkFunctionFormat checks that stagelog's function reads the fields that the stages write.
func (r *run) checkFunctionFormat(s *stream, env map[string]string) {
	const name = "format"
	if !s.ownFunction {
		return
	}
	format, err := function.FormatOf(func(name string) string { return env[name] })
	if err != nil {
		r.out.problem(Failed, linkFunction, name, finding{
			found: err.Error(), cause: "the function's environment was changed", consequence: "the function does not start: records go unprocessed to the error output",
			fix: r.repair(s, "set STAGELOG_FORMAT in the function's environment to the stage's format"),
		})
		return
	}
	for _, st := range s.stages {
		stage := accesslog.Parse(st.format)
		if fields := exposed(format, stage); fields != "" && env["STAGELOG_API_KEY"] != string(enrich.Keep) {
			r.out.problem(Failed, linkFunction, name, finding{
				found:       fmt.Sprintf("%s writes the API key's value to %s, where the function does not hide it", st.ref, fields),
				cause:       "the function's STAGELOG_FORMAT differs from the stage's format",
				consequence: "every reader of the bucket can use the keys",
				fix:         r.repair(s, "set STAGELOG_FORMAT in the function's environment to the stage's format"),
			})
			return
		}
		if a, b := roles(format), roles(stage); a != b && st.format != "" {
			r.out.problem(Failed, linkFunction, name, finding{
				found:       fmt.Sprintf("the function looks for the key, the API and the stage in %s, but %s writes them to %s", a, st.ref, b),
				cause:       "the function's STAGELOG_FORMAT differs from the stage's format",
				consequence: "no record of that stage can be attributed: usage plan and customer are -",
				fix:         r.repair(s, "set STAGELOG_FORMAT in the function's environment to the stage's format"),
			})
			return
		}
	}
	r.out.ok(linkFunction, name, "it reads the fields that the stages write")
}

// roles lists the fields with the key id, the API id and the stage.
func roles(format *accesslog.Format) string {
	fields := format.Fields()
	var names []string
	for _, variable := range []string{accesslog.VarKeyID, accesslog.VarAPIID, accesslog.VarStage} {
		names = append(names, cmp.Or(fields[variable].String(), "(none)"))
	}
	return strings.Join(names, ", ")
}

// exposed lists the fields of a stage's format whose API key a function with the format own does not hide.
func exposed(own, stage *accesslog.Format) string {
	hidden := enrich.Hidden(own)
	var fields []string
	for _, p := range stage.Places() {
		same := func(h accesslog.Place) bool { return slices.Equal(h.Path, p.Path) && h.Text == p.Text }
		if p.Has(accesslog.VarAPIKey) && !slices.ContainsFunc(hidden, same) {
			fields = append(fields, p.Path.String())
		}
	}
	return strings.Join(fields, ", ")
}

// checkFunctionRole examines the function's execution role: who may assume it, and whether it
// may read the usage plans and keys of the chain's stages.
func (r *run) checkFunctionRole(ctx context.Context, s *stream, roleARN string, env map[string]string) {
	ro := r.readRole(ctx, roleARN)
	if !r.checkTrust(s, linkFunction, lambdaService, ro, nil) && ro.Missing {
		return
	}
	plans, err := r.plansOf(ctx, s)
	if err != nil {
		plans = nil // reported by the check of the stage; usagePlanCalls then uses a placeholder
	}
	r.checkPermissions(s, actor{link: linkFunction, who: "the function", role: ro}, r.usagePlanCalls(s, plans, env))
	r.checkScope(s, ro)
}

// usagePlanCalls returns the calls that a function makes to look up usage plans and customers, and to log.
func (r *run) usagePlanCalls(s *stream, plans []plan, env map[string]string) []call {
	const unattributed = "the usage plan and the customer of its requests remain unknown (-), or the whole batch fails"
	calls := []call{{"apigateway:GET", r.apiARN("/usageplans"), nil, true, unattributed}}
	if len(plans) == 0 {
		plans = []plan{{id: "stagelogdoctor"}}
	}
	for _, p := range plans {
		calls = append(calls, call{"apigateway:GET", r.apiARN("/usageplans/" + p.id + "/keys"), nil, true, unattributed})
	}
	if s.ownFunction {
		calls = append(calls, call{"apigateway:GET", r.apiARN("/apikeys/stagelogdoctor"), nil, false, "a new key remains unknown until all keys are read again"})
	}
	if bucket, key, ok := strings.Cut(strings.TrimPrefix(env["STAGELOG_SNAPSHOT"], "s3://"), "/"); ok && s.ownFunction {
		object := "arn:" + r.t.Partition + ":s3:::" + bucket + "/" + key
		const cold = "every new container of the function reads all usage plans again, which uses up API Gateway's limit of ten calls per second"
		calls = append(calls, call{"s3:GetObject", object, s.callsTo().Context(), false, cold}, call{"s3:PutObject", object, s.callsTo().Context(), false, cold})
	}
	group := s.logARN("/aws/lambda/"+strings.Split(functionName(s.function), ":")[0]) + ":log-stream:stagelog"
	const silent = "it writes no log, so the cause of a failure is unknown"
	return append(calls, call{"logs:CreateLogStream", group, nil, false, silent}, call{"logs:PutLogEvents", group, nil, false, silent})
}

// checkScope checks that the role cannot read the usage plans of other Regions, which include
// key values and which the function never needs.
func (r *run) checkScope(s *stream, ro *provision.RolePolicies) {
	if ro.Err != nil || ro.Missing {
		return
	}
	elsewhere := "xx-elsewhere-1"
	req := policy.Request{Principal: ro.ARN, Action: "apigateway:GET", Resource: "arn:" + r.t.Partition + ":apigateway:" + elsewhere + "::/usageplans/a/keys"}
	decision, by := policy.Evaluate(ro.Policies, req)
	if decision != policy.Allow {
		r.out.ok(linkFunction, "role scope", "it can only read keys in this Region")
		return
	}
	r.out.problem(Warning, linkFunction, "role scope", finding{
		found:       fmt.Sprintf("the role %s can read API keys in every Region (%s)", ro.Name, listed(by.Resources)),
		cause:       "the Region in the statement's resource is *",
		consequence: "the function can read the key values of all APIs in the account, not only of this chain",
		fix: r.repair(s, addToRole(ro.Name, []statement{{Effect: "Allow", Action: []string{"apigateway:GET"},
			Resource: []string{r.apiARN("/usageplans"), r.apiARN("/usageplans/*/keys")}}})+"\nthen remove the other statement"),
	})
}

// planGrant widens a resource for one plan's keys to all plans, so that new plans need no new statement.
func planGrant(resource string) (string, bool) {
	before, id, ok := strings.Cut(resource, "/usageplans/")
	if !ok || !slices.Contains(strings.Split(id, "/"), "keys") {
		return "", false
	}
	return before + "/usageplans/*/keys", true
}
