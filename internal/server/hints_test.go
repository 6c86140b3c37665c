package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	apigatewaysdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	apigatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	firehosesdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	gluesdk "github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/discover"
	"github.com/stagelog/stagelog/internal/provision/doctor"
)

var hintsPattern = regexp.MustCompile(`[0-9]+ s or [0-9.]+ MiB`)

// shown holds the hints of a stream as one part of stagelog shows them.
type shown struct{ Buffering, Processor string }

// Everything that shows or uses hints agrees on a stream without hints.
func TestHintDefaultsAgreeEverywhere(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	cfg := testConfig(t, upstream.URL)
	cfg.APIsOnly = true
	err := Run(t.Context(), cfg, func(ctx context.Context, c *Server) error {
		for name, want := range map[string]shown{
			"plain":     {"300 s or 5 MiB", "60 s or 1 MiB"},
			"converted": {"300 s or 128 MiB", "60 s or 1 MiB"},
		} {
			t.Run(name, func(t *testing.T) {
				spec := bareStream(t, c, name, name == "converted")
				for part, got := range map[string]shown{
					"DescribeDeliveryStream": described(t, c, spec),
					"plan":                   planned(t, c, spec),
					"doctor":                 examined(t, c, spec),
					"init --adopt":           discovered(t, c, spec),
					"up":                     delivered(c, spec),
				} {
					if part == "init --adopt" { // stagelog.yaml has no hints for the function
						got.Processor = want.Processor
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s (-want +got):\n%s", part, diff)
					}
				}
			})
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
}

// bareStream creates a stream without hints, as the log destination of the only stage.
func bareStream(t *testing.T, c *Server, name string, convert bool) *desired.Spec {
	t.Helper()
	p := *c.cfg.Pipeline
	p.Name, p.Stages, p.Deliver.Parquet = name, p.Local.Stages(), convert
	spec := &desired.Spec{Pipeline: &p, Partition: "aws", Region: p.Region, Account: p.Account}
	clients, ctx := c.clients(), t.Context()
	to := &types.ExtendedS3DestinationConfiguration{
		RoleARN: aws.String(spec.RoleARN("some")), BucketARN: aws.String(spec.BucketARN()),
		ProcessingConfiguration: &types.ProcessingConfiguration{Enabled: aws.Bool(true), Processors: []types.Processor{{
			Type:       types.ProcessorTypeLambda,
			Parameters: []types.ProcessorParameter{{ParameterName: types.ProcessorParameterNameLambdaArn, ParameterValue: aws.String(spec.FunctionARN())}},
		}}},
	}
	if convert {
		database := aws.String(p.Database())
		if _, err := clients.Glue.CreateDatabase(ctx, &gluesdk.CreateDatabaseInput{DatabaseInput: &gluetypes.DatabaseInput{Name: database}}); err != nil {
			t.Fatal(err)
		}
		if _, err := clients.Glue.CreateTable(ctx, &gluesdk.CreateTableInput{DatabaseName: database, TableInput: &gluetypes.TableInput{
			Name: aws.String(config.LinesTable), StorageDescriptor: &gluetypes.StorageDescriptor{Columns: []gluetypes.Column{{Name: aws.String("a"), Type: aws.String("string")}}},
		}}); err != nil {
			t.Fatal(err)
		}
		to.DataFormatConversionConfiguration = &types.DataFormatConversionConfiguration{
			SchemaConfiguration:       &types.SchemaConfiguration{RoleARN: to.RoleARN, DatabaseName: database, TableName: aws.String(config.LinesTable)},
			InputFormatConfiguration:  &types.InputFormatConfiguration{Deserializer: &types.Deserializer{OpenXJsonSerDe: &types.OpenXJsonSerDe{}}},
			OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: &types.Serializer{ParquetSerDe: &types.ParquetSerDe{}}},
		}
	}
	if _, err := clients.Firehose.CreateDeliveryStream(ctx, &firehosesdk.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String(spec.Stream()), ExtendedS3DestinationConfiguration: to,
	}); err != nil {
		t.Fatal(err)
	}
	set := func(path, value string) apigatewaytypes.PatchOperation {
		return apigatewaytypes.PatchOperation{Op: apigatewaytypes.OpReplace, Path: aws.String("/accessLogSettings/" + path), Value: &value}
	}
	if _, err := clients.APIGateway.UpdateStage(ctx, &apigatewaysdk.UpdateStageInput{
		RestApiId: &p.Stages[0].API, StageName: &p.Stages[0].Stage,
		PatchOperations: []apigatewaytypes.PatchOperation{set("destinationArn", spec.StreamARN()), set("format", p.Format)},
	}); err != nil {
		t.Fatal(err)
	}
	return spec
}

func described(t *testing.T, c *Server, s *desired.Spec) shown {
	t.Helper()
	out, err := c.clients().Firehose.DescribeDeliveryStream(t.Context(), &firehosesdk.DescribeDeliveryStreamInput{DeliveryStreamName: aws.String(s.Stream())})
	if err != nil {
		t.Fatal(err)
	}
	to := out.DeliveryStreamDescription.Destinations[0].ExtendedS3DestinationDescription
	given := map[types.ProcessorParameterName]string{}
	for _, p := range to.ProcessingConfiguration.Processors[0].Parameters {
		given[p.ParameterName] = aws.ToString(p.ParameterValue)
	}
	return shown{
		strconv.Itoa(int(*to.BufferingHints.IntervalInSeconds)) + " s or " + strconv.Itoa(int(*to.BufferingHints.SizeInMBs)) + " MiB",
		given[types.ProcessorParameterNameBufferIntervalInSeconds] + " s or " + given[types.ProcessorParameterNameBufferSizeInMb] + " MiB",
	}
}

func planned(t *testing.T, c *Server, s *desired.Spec) (got shown) {
	t.Helper()
	plan, err := provision.MakePlan(t.Context(), s, c.clients(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range plan.Steps {
		for _, f := range step.Changes {
			switch {
			case step.Kind == "Firehose delivery stream" && f.Name == "buffering":
				got.Buffering = f.Have
			case step.Kind == "Firehose delivery stream" && f.Name == "processing":
				got.Processor = hintsIn(f.Have)
			}
		}
	}
	return got
}

func examined(t *testing.T, c *Server, s *desired.Spec) (got shown) {
	t.Helper()
	target := doctor.Target{Region: s.Region, Account: s.Account, Partition: s.Partition, Spec: s, Stages: s.Pipeline.Stages}
	report, err := doctor.Run(t.Context(), c.clients(), target, doctor.Options{}, func(doctor.Check) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range report.Checks {
		switch check.Name {
		case "buffering":
			got.Buffering = hintsIn(check.Found)
		case "processor buffer":
			got.Processor = hintsIn(check.Found)
		}
	}
	return got
}

func discovered(t *testing.T, c *Server, s *desired.Spec) shown {
	t.Helper()
	found, err := discover.Find(t.Context(), c.clients())
	if err != nil {
		t.Fatal(err)
	}
	stream := found.Stages[0].Stream
	if stream == nil || stream.Name != s.Stream() {
		t.Fatalf("stage logs to %+v, want stream %s", stream, s.Stream())
	}
	return shown{Buffering: hints(stream.Deliver.Interval, stream.Deliver.Size)}
}

func delivered(c *Server, s *desired.Spec) shown {
	c.delivery.mu.Lock()
	stream := c.delivery.streams[s.Stream()].newest()
	c.delivery.mu.Unlock()
	to := deliverTo(c, stream)
	function, _ := stream.Destination.Lambda()
	return shown{hints(to.Interval, to.Size), hints(function.Interval, function.Bytes)}
}

func hints(interval time.Duration, bytes int64) string {
	return strconv.Itoa(int(interval.Seconds())) + " s or " + strconv.FormatInt(bytes>>20, 10) + " MiB"
}

// hintsIn returns the part of a text that contains hints.
func hintsIn(text string) string { return hintsPattern.FindString(text) }
