package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/testenv"
)

// pipelineYAML returns a pipeline with 30 plans of one customer, one plan of 30 customers, and an API
// without keys.
func pipelineYAML(upstream string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `name: chain
bucket: chain-logs
readers: ["111122223333"]
format: '{"request_id":"$context.requestId","key_id":"$context.identity.apiKeyId","api_key":"$context.identity.apiKey","api_id":"$context.apiId","stage":"$context.stage","uri":"$context.path","agent":"$context.identity.userAgent","status":"$context.status"}'
deliver: {interval: 1s, size: 1MiB, compression: none}
local:
  apis:
    - {id: shop, upstream: %[1]q, stages: [prod, test]}
    - {id: open, upstream: %[1]q, stages: [prod], api_key_required: false}
  usage_plans:
`, upstream)
	for n := range 30 {
		fmt.Fprintf(&b, "    - {name: Plan %d, stages: [shop/prod], customers: [{name: Single %d, key: %s}]}\n", n, n, keyValue("single-%d", n))
	}
	b.WriteString("    - {name: Many, stages: [shop/prod], customers: [")
	for n := range 30 {
		fmt.Fprintf(&b, "{name: Many %d, key: %s}, ", n, keyValue("many-%d", n))
	}
	// The first of the single customers has another plan on another stage.
	fmt.Fprintf(&b, "]}\n    - {name: Plan of the test stage, stages: [shop/test], customers: [{name: Single 0, key: %s}]}\n", keyValue("single-0"))
	return b.String()
}

// TestPipeline runs the tests of the whole pipeline concurrently against one `stagelog up`.
func TestPipeline(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") }))
	t.Cleanup(api.Close)
	write(t, dir, "stagelog.yaml", pipelineYAML(api.URL))
	u := startUp(t, dir, cleanEnv())

	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *up){
			"every key of every plan is attributed":         everyKeyIsAttributed,
			"hostile values reach the bucket exactly":       hostileValuesReachTheBucket,
			"a burst within one second loses nothing":       burstLosesNothing,
			"in process and Lambda enrichment match":        enrichmentsMatch,
			"backup, file extension, time zone and version": backupExtensionZoneVersion,
			"readers cannot get error objects":              errorObjectsAreHidden,
			"a deleted stream starts empty":                 deletedStreamStartsEmpty,
			"unsupported settings are rejected":             unsupportedIsRejected,
			"readers can only use the bucket":               readersUseOnlyTheBucket,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, u)
			})
		}
	})
	t.Run("metrics", func(t *testing.T) { metricsCountRecords(t, u) })
}

func everyKeyIsAttributed(t *testing.T, u *up) {
	admin := sdk(t, u, "stagelog")
	want := map[string]string{} // customer → plan
	call := func(customer, plan, path, key string) {
		t.Helper()
		if status := u.call(t, path, key); status != http.StatusOK {
			t.Errorf("%s: status %d, want 200", customer, status)
		}
		want[customer+" "+path] = plan
	}
	for n := range 30 {
		call(fmt.Sprintf("Single %d", n), fmt.Sprintf("Plan %d", n), "/shop/prod/keys", keyValue("single-%d", n))
		call(fmt.Sprintf("Many %d", n), "Many", "/shop/prod/keys", keyValue("many-%d", n))
	}
	call("Single 0", "Plan of the test stage", "/shop/test/keys", keyValue("single-0"))

	// A new key in a plan is accepted with the next request.
	ctx := t.Context()
	key := must(admin.gateway.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("Newcomer"), Enabled: true}))(t, "create key")
	plans := must(admin.gateway.GetUsagePlans(ctx, &apigateway.GetUsagePlansInput{Limit: aws.Int32(500)}))(t, "get plans").Items
	many := slices.IndexFunc(plans, func(p apitypes.UsagePlan) bool { return aws.ToString(p.Name) == "Many" })
	if many < 0 {
		t.Fatalf("plan Many is not one of the %d plans", len(plans))
	}
	must(admin.gateway.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plans[many].Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))(t, "add the key to the plan")
	call("Newcomer", "Many", "/shop/prod/keys", aws.ToString(key.Value))

	got := map[string]string{}
	eventually(t, "a line of each key", func() bool {
		for _, l := range admin.lines("chain-logs", "logs/") {
			if strings.HasSuffix(l["uri"], "/keys") {
				got[l["customer"]+" /shop"+l["uri"]] = l["usage_plan"]
			}
		}
		return len(got) >= len(want)
	})
	for customer, plan := range want {
		if got[customer] != plan {
			t.Errorf("%s is on plan %q in the bucket, want %q", customer, got[customer], plan)
		}
	}
	for customer := range got {
		if _, ok := want[customer]; !ok {
			t.Errorf("the bucket has lines of %q, which sent no request", customer)
		}
	}
}

func hostileValuesReachTheBucket(t *testing.T, u *up) {
	admin := sdk(t, u, "stagelog")
	tests := []struct{ target, agent, wantURI, wantAgent string }{
		{`/open/prod/h"b','x":"y`, `curl" ,"status":"200`, "/prod/h%22b%27,%27x%22:%22y", `curl" ,"status":"200`},
		{`/open/prod/h\b\"`, `a\b\"\\`, "/prod/h%5Cb%5C%22", `a\b\"\\`},
		{"/open/prod/h%00%0a%0d", "tab\there", "/prod/h%00%0a%0d", "tab\there"},
		{"/open/prod/hä/日本/😀", "Ünïcode 日本 😀", "/prod/h%C3%A4/%E6%97%A5%E6%9C%AC/%F0%9F%98%80", "Ünïcode 日本 😀"},
		{"/open/prod/h%ff%fe", "bad\xff\xfebytes", "/prod/h%ff%fe", "bad\ufffd\ufffdbytes"},
		{"/open/prod/hseparators", "a\u2028b\u2029c", "/prod/hseparators", "a\u2028b\u2029c"},
		{"/open/prod/h<script>", "</script><!--", "/prod/h%3Cscript%3E", "</script><!--"},
		{"/open/prod/h$context.status", "$context.identity.apiKey", "/prod/h$context.status", "$context.identity.apiKey"},
		{"/open/prod/hcurly", "“a”,“customer”:“Evil”", "/prod/hcurly", "“a”,“customer”:“Evil”"},
		{"/open/prod/hjson", `{"customer":"Evil"}{"a":1}`, "/prod/hjson", `{"customer":"Evil"}{"a":1}`},
		{"/open/prod/hlong", strings.Repeat(`"\`, 4000), "/prod/hlong", strings.Repeat(`"\`, 4000)},
	}
	for _, tt := range tests {
		rawRequest(t, u, "GET "+tt.target+" HTTP/1.1\r\nHost: x\r\nUser-Agent: "+tt.agent+"\r\nConnection: close\r\n\r\n")
	}
	got := map[string]line{}
	eventually(t, "a line of each hostile request", func() bool {
		for _, l := range admin.lines("chain-logs", "logs/") {
			if l["api_id"] == "open" {
				got[l["uri"]] = l
			}
		}
		return len(got) >= len(tests)
	})
	for _, tt := range tests {
		l, ok := got[tt.wantURI]
		if !ok {
			t.Errorf("no line has uri %q", tt.wantURI)
			continue
		}
		want := line{"request_id": l["request_id"], "key_id": "-", "api_key": "-", "api_id": "open", "stage": "prod", "uri": tt.wantURI,
			"agent": tt.wantAgent, "status": "200", "usage_plan": "-", "customer": "-", "usage_plan_id": "-"}
		if !maps.Equal(l, want) {
			t.Errorf("user agent %q: got\n%v, want\n%v", tt.agent, l, want)
		}
	}
}

// rawRequest sends text unchanged to the stages and fails unless the response is 200.
func rawRequest(t *testing.T, u *up, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(u.Endpoints.Stages, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%q: response %v, %v; want 200", text, res, err)
	}
	_ = res.Body.Close()
}

var second = regexp.MustCompile(`-\d{4}(-\d\d){5}-`)

func burstLosesNothing(t *testing.T, u *up) {
	admin := sdk(t, u, "stagelog")
	admin.createBucket("burst-logs")
	admin.createStream("burst", "burst-logs", nil)
	const batches, perBatch = 24, 450 // of 1 KB: ten objects of 1 MiB
	pad := strings.Repeat("x", 1000)
	var senders sync.WaitGroup
	for n := range batches {
		senders.Go(func() {
			in := &firehose.PutRecordBatchInput{DeliveryStreamName: aws.String("burst")}
			for i := range perBatch {
				in.Records = append(in.Records, types.Record{Data: fmt.Appendf(nil, "{\"request_id\":\"%d-%d\",\"pad\":%q}\n", n, i, pad)})
			}
			out, err := admin.firehose.PutRecordBatch(t.Context(), in)
			if err != nil || aws.ToInt32(out.FailedPutCount) != 0 {
				t.Errorf("put batch %d: %v", n, err)
			}
		})
	}
	senders.Wait()
	seen := map[string]int{}
	eventually(t, "every record of the burst", func() bool {
		clear(seen)
		for _, l := range admin.lines("burst-logs", "logs/") {
			seen[l["request_id"]]++
		}
		return len(seen) >= batches*perBatch
	})
	for id, n := range seen {
		if n != 1 {
			t.Errorf("record %s is in the bucket %d times, want once", id, n)
		}
	}
	names := admin.keys("burst-logs", "logs/")
	perSecond := map[string]int{}
	for _, name := range names {
		perSecond[second.FindString(name)]++
	}
	if len(perSecond) == len(names) {
		t.Errorf("no two of the %d objects are of the same second, so the test proves nothing: %v", len(names), names)
	}
}

func enrichmentsMatch(t *testing.T, u *up) {
	admin := sdk(t, u, "stagelog")
	ctx := t.Context()
	admin.createFunction("enrich-for-real", bin.bootstrap)
	key := must(admin.gateway.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String(`Both "Ways" & Söhne`), Enabled: true}))(t, "create key")
	plan := must(admin.gateway.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String(`Plan \ 3<4`)}))(t, "create plan")
	must(admin.gateway.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))(t, "add the key")
	must(admin.gateway.UpdateUsagePlan(ctx, &apigateway.UpdateUsagePlanInput{UsagePlanId: plan.Id,
		PatchOperations: []apitypes.PatchOperation{{Op: apitypes.OpAdd, Path: aws.String("/apiStages"), Value: aws.String("shop:test")}}}))(t, "add the stage")

	ids := fmt.Sprintf(`"key_id":%q,"api_id":"shop","stage":"test"`, *key.Id)
	var records []string
	for i, r := range []string{
		`{"n":%d,` + ids + `}`, "{\"n\":%d," + ids + "}\n", ` { "n" : %d , ` + ids + ` } `,
		`{"n":%d,"key_id":"-","api_id":"shop","stage":"test"}`, `{"n":%d,"key_id":"unknown","api_id":"shop","stage":"test"}`,
		`{"n":%d,` + ids + `,"api_key":"a-secret-key-value-1234"}`, `{"n":%d,` + ids + `,"customer":"kept","usage_plan":"-"}`,
		`{"n":%d,` + ids + `,"big":12345678901234567890,"e":1e400,"s":"\u00e4\ud83d\ude00\/","o":{"a":[1,{"b":null}]}}`,
		`{"n":%d,` + ids + `}{"second":true,` + ids + "}\n{\"third\":1}", `{“n”:%d,“key_id”:“-”,“api_id”:“shop”,“stage”:“test”}`,
		`{"n":%d}`, `{"n":%d,"n":2,` + ids + `,"key_id":"-"}`,
	} {
		records = append(records, fmt.Sprintf(r, i))
	}
	for _, way := range []struct{ stream, bucket, function string }{
		{"way-inside", "way-inside", "stagelog-chain"}, {"way-lambda", "way-lambda", "enrich-for-real"},
	} {
		admin.createBucket(way.bucket)
		admin.createStream(way.stream, way.bucket, func(d *types.ExtendedS3DestinationConfiguration) {
			d.ProcessingConfiguration = through(functionARN + way.function)
		})
		admin.put(way.stream, records...)
	}
	var inside, outside string
	eventually(t, "the records of both streams", func() bool {
		inside, outside = admin.text("way-inside", ""), admin.text("way-lambda", "")
		return strings.Count(inside, "\n") >= len(records) && strings.Count(outside, "\n") >= strings.Count(inside, "\n")
	})
	if inside != outside {
		t.Errorf("the enrichments differ:\nin process\n%s\nLambda\n%s", inside, outside)
	}
	var first struct {
		Customer  string `json:"customer"`
		UsagePlan string `json:"usage_plan"`
	}
	if err := json.NewDecoder(strings.NewReader(inside)).Decode(&first); err != nil || first.Customer != `Both "Ways" & Söhne` || first.UsagePlan != `Plan \ 3<4` {
		t.Errorf("the first record has %+v (%v), want the names of customer and plan", first, err)
	}
	if strings.Contains(inside, "a-secret-key-value") {
		t.Errorf("a key's value is not masked:\n%s", inside)
	}
}

func backupExtensionZoneVersion(t *testing.T, u *up) {
	admin := sdk(t, u, "stagelog")
	ctx := t.Context()
	admin.createBucket("zone-logs")
	admin.createBucket("zone-backup")
	admin.createStream("zone", "zone-logs", func(d *types.ExtendedS3DestinationConfiguration) {
		d.Prefix, d.CustomTimeZone, d.FileExtension = aws.String("logs/!{timestamp:yyyy-MM-dd'T'HH}/"), aws.String("Pacific/Kiritimati"), aws.String(".jsonl.gz")
		d.CompressionFormat, d.ProcessingConfiguration = types.CompressionFormatGzip, through(functionARN+"stagelog-chain")
		d.S3BackupMode = types.S3BackupModeEnabled
		d.S3BackupConfiguration = &types.S3DestinationConfiguration{RoleARN: aws.String(anyRole), BucketARN: aws.String("arn:aws:s3:::zone-backup"), Prefix: aws.String("source/"),
			BufferingHints: &types.BufferingHints{SizeInMBs: aws.Int32(1), IntervalInSeconds: aws.Int32(1)}}
	})
	const raw = `{"request_id":"1","key_id":"-","api_id":"shop","stage":"prod"}` + "\n"
	before := time.Now()
	admin.put("zone", raw)
	var names []string
	eventually(t, "the object and its backup", func() bool {
		names = admin.keys("zone-logs", "")
		return len(names) > 0 && len(admin.keys("zone-backup", "source/")) > 0
	})
	east := time.FixedZone("+14", 14*3600)
	name := regexp.MustCompile(`^logs/(\S{13})/zone-1-(\d{4}-\d\d-\d\d-\d\d)-\d\d-\d\d-[0-9a-f-]{36}\.jsonl\.gz$`).FindStringSubmatch(names[0])
	if name == nil {
		t.Fatalf("the object's name is %s, want logs/<date>T<hour>/zone-1-<time>-<id>.jsonl.gz", names[0])
	}
	hours := []string{before.In(east).Format("2006-01-02T15"), time.Now().In(east).Format("2006-01-02T15")}
	if !slices.Contains(hours, name[1]) || !slices.Contains(hours, name[2][:10]+"T"+name[2][11:]) {
		t.Errorf("the object's name is %s, want the time of Kiritimati, %v", names[0], hours)
	}
	if lines := admin.lines("zone-logs", "logs/"); len(lines) != 1 || lines[0]["customer"] != "-" {
		t.Errorf("the object holds %v, want one enriched line", lines)
	}
	if got := admin.text("zone-backup", "source/"); got != raw {
		t.Errorf("the backup holds %q, want the unchanged record, %q", got, raw)
	}

	update := &firehose.UpdateDestinationInput{DeliveryStreamName: aws.String("zone"), DestinationId: aws.String("destinationId-000000000001"),
		CurrentDeliveryStreamVersionId: aws.String("7"), ExtendedS3DestinationUpdate: &types.ExtendedS3DestinationUpdate{FileExtension: aws.String(".log")}}
	var conflict *types.ConcurrentModificationException
	if _, err := admin.firehose.UpdateDestination(ctx, update); !errors.As(err, &conflict) {
		t.Errorf("update of version 7 of a stream at version 1: got %v, want ConcurrentModificationException", err)
	}
	update.CurrentDeliveryStreamVersionId = aws.String("1")
	must(admin.firehose.UpdateDestination(ctx, update))(t, "update the destination")
	admin.put("zone", raw)
	eventually(t, "an object of version 2 with the new extension", func() bool {
		return slices.ContainsFunc(admin.keys("zone-logs", "logs/"), func(k string) bool {
			return strings.Contains(k, "/zone-2-") && strings.HasSuffix(k, ".log")
		})
	})
}

func errorObjectsAreHidden(t *testing.T, u *up) {
	admin, reader := sdk(t, u, "stagelog"), sdk(t, u, "reader-111122223333")
	const bad = "{\"request_id\": truncated"
	admin.put("amazon-apigateway-chain", bad, `{"request_id":"beside-the-bad-one","key_id":"-","api_id":"shop","stage":"prod"}`)
	var errorKeys []string
	eventually(t, "an error object", func() bool {
		errorKeys = admin.keys("chain-logs", "errors/processing-failed/")
		return len(errorKeys) > 0
	})
	var envelope struct {
		AttemptsMade int    `json:"attemptsMade"`
		ErrorCode    string `json:"errorCode"`
		RawData      []byte `json:"rawData"`
		LambdaARN    string `json:"lambdaArn"`
	}
	text := admin.object("chain-logs", errorKeys[0])
	if err := json.Unmarshal(text, &envelope); err != nil || string(envelope.RawData) != bad || envelope.ErrorCode == "" || !strings.HasPrefix(envelope.LambdaARN, functionARN+"stagelog-chain") {
		t.Errorf("the error object is %s (%v), want Firehose's envelope around %q", text, err, bad)
	}
	eventually(t, "the good record beside it", func() bool {
		return strings.Contains(reader.text("chain-logs", "logs/"), "beside-the-bad-one")
	})
	_, err := reader.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("chain-logs"), Key: &errorKeys[0]})
	denied(t, "the reader gets an error object", err)
	denied(t, "the reader puts an object", reader.readerPut(t.Context(), "chain-logs", "logs/x"))
	_, err = reader.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("chain-logs"), Key: &errorKeys[0]})
	denied(t, "the reader deletes an object", err)
}

// Deleting a stream discards its buffered records, and a new one with the same name starts empty.
func deletedStreamStartsEmpty(t *testing.T, u *up) {
	admin := sdk(t, u, "stagelog")
	ctx := t.Context()
	admin.createBucket("recreated-logs")
	admin.createStream("recreated", "recreated-logs", func(d *types.ExtendedS3DestinationConfiguration) {
		d.BufferingHints = &types.BufferingHints{SizeInMBs: aws.Int32(128), IntervalInSeconds: aws.Int32(900)}
	})
	for n := range 3 {
		admin.put("recreated", fmt.Sprintf("{\"request_id\":\"old-%d\"}\n", n))
	}
	must(admin.firehose.DeleteDeliveryStream(ctx, &firehose.DeleteDeliveryStreamInput{DeliveryStreamName: aws.String("recreated")}))(t, "delete the stream")
	eventually(t, "the stream to be gone", func() bool {
		_, err := admin.firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: aws.String("recreated")})
		var gone *types.ResourceNotFoundException
		return errors.As(err, &gone)
	})
	admin.createStream("recreated", "recreated-logs", nil)
	for n := range 2 {
		admin.put("recreated", fmt.Sprintf("{\"request_id\":\"new-%d\"}\n", n))
		eventually(t, "a record of the new stream", func() bool {
			return strings.Contains(admin.text("recreated-logs", ""), fmt.Sprintf("new-%d", n))
		})
	}
	if got, want := admin.text("recreated-logs", ""), "{\"request_id\":\"new-0\"}\n{\"request_id\":\"new-1\"}\n"; got != want {
		t.Errorf("the bucket holds %q, want the new stream's records once and no others, %q", got, want)
	}
}

func unsupportedIsRejected(t *testing.T, u *up) {
	admin := sdk(t, u, "stagelog")
	for name, change := range map[string]func(*types.ExtendedS3DestinationConfiguration){
		"Parquet": func(d *types.ExtendedS3DestinationConfiguration) {
			d.DataFormatConversionConfiguration = &types.DataFormatConversionConfiguration{Enabled: aws.Bool(true)}
		},
		"encryption": func(d *types.ExtendedS3DestinationConfiguration) {
			d.EncryptionConfiguration = &types.EncryptionConfiguration{KMSEncryptionConfig: &types.KMSEncryptionConfig{AWSKMSKeyARN: aws.String("arn:aws:kms:us-east-1:000000000000:key/x")}}
		},
		"partitioning by query": func(d *types.ExtendedS3DestinationConfiguration) {
			d.ProcessingConfiguration = &types.ProcessingConfiguration{Enabled: aws.Bool(true), Processors: []types.Processor{{Type: types.ProcessorTypeMetadataExtraction}}}
		},
	} {
		to := &types.ExtendedS3DestinationConfiguration{RoleARN: aws.String(anyRole), BucketARN: aws.String("arn:aws:s3:::chain-logs"), ErrorOutputPrefix: aws.String("e/")}
		change(to)
		_, err := admin.firehose.CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{DeliveryStreamName: aws.String("rejected"), ExtendedS3DestinationConfiguration: to})
		var invalid *types.InvalidArgumentException
		if !errors.As(err, &invalid) || len(aws.ToString(invalid.Message)) < 20 {
			t.Errorf("%s: got %v, want an InvalidArgumentException with a reason", name, err)
		}
	}
	if out := must(admin.firehose.ListDeliveryStreams(t.Context(), &firehose.ListDeliveryStreamsInput{Limit: aws.Int32(100)}))(t, "list streams"); slices.Contains(out.DeliveryStreamNames, "rejected") {
		t.Errorf("a rejected stream exists: %v", out.DeliveryStreamNames)
	}
}

func readersUseOnlyTheBucket(t *testing.T, u *up) {
	reader := sdk(t, u, "reader-111122223333")
	ctx := t.Context()
	_, list := reader.firehose.ListDeliveryStreams(ctx, &firehose.ListDeliveryStreamsInput{})
	_, putErr := reader.firehose.PutRecord(ctx, &firehose.PutRecordInput{DeliveryStreamName: aws.String("amazon-apigateway-chain"), Record: &types.Record{Data: []byte("{}")}})
	_, keys := reader.gateway.GetApiKeys(ctx, &apigateway.GetApiKeysInput{IncludeValues: aws.Bool(true)})
	_, functions := reader.lambda.ListFunctions(ctx, &lambda.ListFunctionsInput{})
	for what, err := range map[string]error{"list streams": list, "put a record": putErr, "read API keys": keys, "list functions": functions} {
		var coded interface{ ErrorCode() string }
		if !errors.As(err, &coded) || coded.ErrorCode() != "AccessDeniedException" {
			t.Errorf("with a reader's credentials, %s: got %v, want AccessDeniedException", what, err)
		}
	}
}

func metricsCountRecords(t *testing.T, u *up) {
	status, text := get(t, u.Endpoints.Console+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: status %d", status)
	}
	for _, m := range []struct {
		what, pattern string
	}{
		{"records in", `stagelog_firehose_records_total [1-9]`}, {"bytes in", `stagelog_firehose_bytes_total [1-9]`},
		{"batches", `stagelog_firehose_frames_total [1-9]`}, {"batches delivered", `stagelog_delivery_batches_total\{stream="burst"\} [1-9]`},
		{"records read for delivery", `stagelog_delivery_records_in_total\{stream="burst"\} 10800\n`},
		{"records out", `stagelog_delivery_records_out_total\{stream="burst"\} 10800\n`},
		{"records failed", `stagelog_delivery_records_failed_total\{stream="amazon-apigateway-chain"\} 1\n`},
		{"bytes out", `stagelog_delivery_bytes_out_total\{stream="burst"\} [1-9]`},
		{"backlog age", `stagelog_delivery_backlog_age_seconds\{stream="burst"\} 0\n`},
		{"delivery latency", `stagelog_delivery_latency_seconds_count\{stream="burst"\} [1-9]`},
		{"index size", `stagelog_index_keys (6[1-9]|[7-9]\d)\n`}, {"plans in the index", `stagelog_index_usage_plans (3[2-9])\n`},
		{"index age", `stagelog_index_age_seconds \d`}, {"refresh failures", `stagelog_index_refresh_failures_total 0\n`},
		{"requests", `stagelog_gateway_requests_total\{[^}]*\} [1-9]`}, {"lost lines", `stagelog_gateway_log_lines_lost_total 0\n`},
	} {
		if !regexp.MustCompile(`(?m)^` + m.pattern).MatchString(text + "\n") {
			name, _, _ := strings.Cut(m.pattern, `\{`)
			name, _, _ = strings.Cut(name, " ")
			t.Errorf("%s: /metrics has no line like %s; it has %q", m.what, m.pattern, regexp.MustCompile(`(?m)^`+name+`.*`).FindAllString(text, 4))
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, u.Endpoints.Console+path); status != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, status, body)
		}
	}
	if strings.Contains(text, "e2e-value-of-an-api-key") || strings.Contains(u.stderr.String(), "e2e-value-of-an-api-key") {
		t.Error("a key's value is in the metrics or in the log")
	}
}
