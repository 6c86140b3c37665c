package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// checkRecord sends a marked record through the stream and waits for it in the bucket. Then it
// tests a reader's own credentials. Both are optional.
func (r *run) checkRecord(ctx context.Context, s *stream) {
	key := ""
	if r.o.Record && s.d != nil && s.to != nil {
		key = r.sendRecord(ctx, s)
	}
	if r.o.ReaderS3 != nil && s.to != nil && r.fatal == nil {
		rd := reader{r.o.ReaderS3, Delivery{s.bucket, s.prefix(), s.errorPrefix()}, &r.out}
		r.fatal = rd.examine(ctx, key)
	}
}

// sendRecord sends a marked record and returns the key of the object that contains it; "" if none does.
func (r *run) sendRecord(ctx context.Context, s *stream) string {
	const name = "accepted"
	m, ok := r.newMarked(ctx, s)
	if !ok {
		return ""
	}
	if s.d.DeliveryStreamStatus != types.DeliveryStreamStatusActive || s.blocked != "" {
		why := s.blocked
		if why == "" {
			why = fmt.Sprintf("the stream is %s", s.d.DeliveryStreamStatus)
		}
		r.out.problem(Skipped, linkRecord, name, finding{found: "not sent: " + why, cause: "it could not be delivered", fix: "fix that, then run doctor again"})
		return ""
	}
	w, err := r.newWatch(ctx, s, m)
	if err != nil {
		r.unknown(linkRecord, name, "a record sent through the stream, because its delivery cannot be observed", need{"s3:ListBucket", s.bucketARN()}, err)
		return ""
	}
	if _, err := r.c.Firehose.PutRecord(ctx, &firehose.PutRecordInput{DeliveryStreamName: &s.name, Record: &types.Record{Data: m.line}}); err != nil {
		r.unknown(linkRecord, name, "a record sent through the stream", need{"firehose:PutRecord", s.arn}, err)
		return ""
	}
	r.out.ok(linkRecord, name, "%s accepted a record of %d bytes, marked %s", s.name, len(m.line), m.id)
	return r.awaitRecord(ctx, s, m, w)
}

// waitMargin is the time that delivery may need in addition to the buffering intervals.
const waitMargin = 90 * time.Second

func (r *run) awaitRecord(ctx context.Context, s *stream, m *marked, w *watch) string {
	const name = "delivered"
	limit := r.o.Timeout
	if limit == 0 {
		limit = s.wait() + waitMargin
		if s.function != "" {
			limit += s.functionHints.Interval
		}
	}
	r.progress(fmt.Sprintf("waiting up to %[2]s for the record %[1]s: the stream buffers records for %[3]s", m.id, limit, r.bufferText(s)))
	start := time.Now()
	found, err := w.await(ctx, limit, func(waited time.Duration) {
		r.progress(fmt.Sprintf("not delivered after %s; waiting up to %s", waited.Round(time.Second), limit))
	})
	took := time.Since(start).Round(10 * time.Millisecond)
	switch {
	case ctx.Err() != nil:
		r.fatal = ctx.Err()
	case err != nil:
		r.unknown(linkRecord, name, "whether the record is delivered to the bucket", need{"s3:GetObject", s.objectARN()}, err)
	case found == nil:
		r.out.problem(Failed, linkRecord, name, r.lostFinding(ctx, s, limit))
	case found.failed != nil:
		r.out.problem(Failed, linkRecord, name, r.errorFinding(s, found))
	default:
		r.out.ok(linkRecord, name, "delivered after %s, in s3://%s/%s", took, s.bucket, found.key)
		r.checkEnriched(s, m, found)
		return found.key
	}
	return ""
}

func (r *run) bufferText(s *stream) string {
	if s.function != "" {
		return fmt.Sprintf("%s before the function and %s before the bucket", seconds(s.functionHints.Interval), seconds(s.wait()))
	}
	return seconds(s.wait())
}

// lostFinding describes a record that was neither delivered nor failed in time.
func (r *run) lostFinding(ctx context.Context, s *stream, limit time.Duration) finding {
	f := finding{
		found:       fmt.Sprintf("the record is not in the bucket after %s, and not in its error output", limit),
		cause:       "no error is logged; delivery may take longer than the stream's buffering hints, or a policy denies it silently",
		consequence: "Firehose retries for 24 hours, then the records are lost",
		fix:         "fix what the other checks report, or wait longer with --timeout; Firehose's own metric: " + command("cloudwatch", "get-metric-statistics", "--region", s.region, "--namespace", "AWS/Firehose", "--metric-name", "DeliveryToS3.DataFreshness", "--dimensions", "Name=DeliveryStreamName,Value="+s.name, "--statistics", "Maximum", "--period", "60", "--start-time", time.Now().Add(-recently).UTC().Format(time.RFC3339), "--end-time", time.Now().UTC().Format(time.RFC3339)),
	}
	if log := s.to.CloudWatchLoggingOptions; log != nil && aws.ToBool(log.Enabled) {
		errs, err := r.recentErrors(ctx, aws.ToString(log.LogGroupName), aws.ToString(log.LogStreamName))
		if err == nil && len(errs) > 0 {
			f.cause = "Firehose logged: " + strings.Join(errs, "\n")
		}
	} else {
		f.cause = "unknown, because the stream does not log errors"
	}
	return f
}

// errorFinding describes a record that went to the error output.
func (r *run) errorFinding(s *stream, found *sighting) finding {
	e := found.failed
	f := finding{
		found:       fmt.Sprintf("the record is in the error output, s3://%s/%s, after %d attempts", s.bucket, found.key, e.AttemptsMade),
		cause:       string(e.ErrorCode) + ": " + truncate(e.ErrorMessage, 300),
		consequence: "records of requests go there too: they are stored unmodified, and not delivered",
		fix:         "fix what the other checks report, then run stagelog replay",
	}
	group := "/aws/lambda/" + strings.Split(functionName(s.function), ":")[0]
	log := command("logs", "tail", group, "--region", s.region, "--since", "15m")
	switch e.ErrorCode {
	case "Lambda.FunctionTimedOut":
		f.fix = "see in the log what took so long: " + log + "\nand raise its timeout: " + command("lambda", "update-function-configuration", "--region", s.region, "--function-name", unqualified(s.function), "--timeout", "60")
	case "Lambda.InvokeAccessDenied", "Lambda.AssumeRoleAccessDenied":
		f.fix = r.repair(s, addToRole(s.functionRole[strings.LastIndexByte(s.functionRole, '/')+1:], statementsFor(s.functionCalls())))
	case "Lambda.InvokeLimitExceeded":
		f.fix = "raise the function's reserved concurrency or the account's: " + command("lambda", "delete-function-concurrency", "--region", s.region, "--function-name", unqualified(s.function))
	case "Lambda.FunctionError", "Lambda.ProcessingFailedStatus", "Lambda.MissingRecordId", "Lambda.DuplicatedRecordId", "Lambda.InvalidReturnFormat", "Lambda.JsonProcessingException":
		f.fix = "see the cause in the function's log: " + log
	}
	return f
}

// checkEnriched compares the delivered record with the one that was sent.
func (r *run) checkEnriched(s *stream, m *marked, found *sighting) {
	const name = "record enriched"
	sent, got := fields(m.line), fields(found.record)
	if got == nil {
		r.out.problem(Failed, linkRecord, name, finding{
			found: "the delivered record is not JSON", cause: "the format does not produce JSON, and no function repairs it", consequence: "the caller of a request cannot be identified",
			fix: "fix the format, as described in the checks of the stage",
		})
		return
	}
	added := changed(sent, got)
	switch {
	case s.function == "" && s.namesCustomers():
		r.out.problem(Skipped, linkRecord, name, finding{found: "it was delivered unchanged, as expected: plan and subscription come from an authorizer, which the marked record bypassed", cause: "the chain has no function"})
	case len(added) == 0:
		f := finding{found: "it was delivered unchanged: not enriched", cause: "the chain has no function", consequence: "the usage plan and the customer of a request are unknown", fix: r.repair(s, "see the check of the processor")}
		if s.function != "" {
			f.cause = "Firehose did not call the function, or the function changed nothing: an update of a stream takes minutes to apply, and some emulators never call functions"
			f.fix = "wait a few minutes and run doctor again; if it still fails: " + command("logs", "tail", "/aws/lambda/"+strings.Split(functionName(s.function), ":")[0], "--region", s.region, "--since", "15m")
		}
		r.out.problem(Failed, linkRecord, name, f)
	default:
		r.checkAttributed(s, m, got, added)
	}
}

// checkAttributed checks that the added fields have the expected values.
func (r *run) checkAttributed(s *stream, m *marked, got map[string]any, added []string) {
	const name = "record enriched"
	var shown []string
	for _, field := range added {
		shown = append(shown, fmt.Sprintf("%s %v", field, got[field]))
	}
	if m.customer == nil || !r.ours(s) {
		note := "the record has no key, because the usage plans of its stage have none"
		if !r.ours(s) {
			note = "the record has a key that does not exist, so that no customer is billed for it"
		}
		r.out.ok(linkRecord, name, "%s (%s)", listed(shown), note)
		return
	}
	names := r.t.Spec.Pipeline.Names
	for _, want := range []struct{ field, value string }{{names.UsagePlan, m.customer.plan}, {names.Customer, m.customer.name}} {
		if value, ok := got[want.field].(string); want.field != "" && (!ok || value == "-" || want.value != "" && value != want.value) {
			r.out.problem(Failed, linkRecord, name, finding{
				found:       fmt.Sprintf("%s is %v, want %s: %s", want.field, got[want.field], want.value, listed(shown)),
				cause:       "the function has not loaded the API key " + m.customer.keyID + ", or has an older name for it: it reads usage plans with its role, and caches them for a while",
				consequence: "requests are delivered without the right customer",
				fix:         "run doctor again in a minute; if it still fails, see in the log why it cannot read them: " + command("logs", "tail", r.t.Spec.FunctionLogGroup(), "--region", s.region, "--since", "15m"),
			})
			return
		}
	}
	r.out.ok(linkRecord, name, "%s", listed(shown))
}

// fields returns the fields of a record; nil if it is not a JSON object.
func fields(record []byte) map[string]any {
	var all map[string]any
	if err := json.Unmarshal(record, &all); err != nil {
		return nil
	}
	return all
}

// changed returns the sorted names of fields that are new or have another value.
func changed(sent, got map[string]any) (names []string) {
	for name, value := range got {
		if was, ok := sent[name]; !ok || fmt.Sprint(was) != fmt.Sprint(value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Marker is the prefix of the request id and the extended request id of every record that
// doctor sends. Reports exclude such records.
const Marker = "stagelog-doctor-"

// marked is a record that can be recognized in the bucket by its id.
type marked struct {
	id       string
	line     []byte
	customer *customer // owner of the key in the record; nil if the key does not exist
}

// customer is an API key with its usage plan for the stage.
type customer struct{ keyID, name, plan string }

// newMarked renders a line in the format of the stream's first stage, as API Gateway would. It
// looks like a rejected preflight request, which is the least likely to be counted.
func (r *run) newMarked(ctx context.Context, s *stream) (*marked, bool) {
	const name = "accepted"
	st := r.stageToMark(s)
	if st == nil {
		r.out.problem(Skipped, linkRecord, name, finding{found: "not sent: no stage with a format logs to " + s.name, cause: "a record is rendered in the stage's format", fix: "fix the stage, then run doctor again"})
		return nil, false
	}
	format := accesslog.Parse(st.format)
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	m := &marked{id: Marker + hex.EncodeToString(random[:])}
	key := "stagelog-doctor" // no real key, because another party's chain may bill for it
	if r.ours(s) {
		m.customer = r.anyCustomer(ctx, st)
		if key = "-"; m.customer != nil {
			key = m.customer.keyID
		}
	}
	now := time.Now().UTC()
	values := map[string]string{
		"apiId": st.ref.API, "stage": st.ref.Stage, "accountId": r.t.Account, "identity.apiKeyId": key,
		"requestId": m.id, "extendedRequestId": m.id,
		"requestTime": now.Format("02/Jan/2006:15:04:05 +0000"), "requestTimeEpoch": strconv.FormatInt(now.UnixMilli(), 10),
		"httpMethod": "OPTIONS", "path": "/" + st.ref.Stage + "/stagelog-doctor", "resourcePath": "/stagelog-doctor", "protocol": "HTTP/1.1",
		"status": "403", "responseLength": "0", "responseLatency": "0", "identity.sourceIp": "127.0.0.1", "identity.userAgent": "stagelog doctor",
	}
	m.line = format.AppendLine(nil, func(variable string) (string, bool) {
		const before = len("$context.")
		v, ok := values[variable[before:]]
		return v, ok
	})
	return m, true
}

// stageToMark returns the first stage that has a format; without any stages, a placeholder with the pipeline's format.
func (r *run) stageToMark(s *stream) *stage {
	for _, st := range s.stages {
		if st.format != "" {
			return st
		}
	}
	if len(r.t.Stages) == 0 && r.t.Spec != nil {
		st := &stage{format: r.t.Spec.Pipeline.Format}
		st.ref.API, st.ref.Stage = "stagelog-doctor", "none"
		return st
	}
	return nil
}

// anyCustomer returns a key from a usage plan of the stage; nil if none is found. The key's value
// in the response is discarded.
func (r *run) anyCustomer(ctx context.Context, st *stage) *customer {
	plans, err := r.plansOf(ctx, &stream{stages: []*stage{st}})
	if err != nil {
		return nil
	}
	for _, p := range plans {
		out, err := r.c.APIGateway.GetUsagePlanKeys(ctx, &apigateway.GetUsagePlanKeysInput{UsagePlanId: &p.id, Limit: aws.Int32(1)})
		if err == nil && len(out.Items) > 0 {
			return &customer{keyID: aws.ToString(out.Items[0].Id), name: aws.ToString(out.Items[0].Name), plan: p.name}
		}
	}
	return nil
}
