package doctor_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

// manyStages creates APIs with stages, all in one usage plan.
func manyStages(t *testing.T, c *provision.Clients, apis, stages int) (refs []record.StageRef) {
	t.Helper()
	plan := must(c.APIGateway.CreateUsagePlan(t.Context(), &apigateway.CreateUsagePlanInput{Name: aws.String("gold")}))(t)
	var patch []gatewaytypes.PatchOperation
	for a := range apis {
		api := must(c.APIGateway.CreateRestApi(t.Context(), &apigateway.CreateRestApiInput{Name: aws.String(fmt.Sprintf("api%d", a))}))(t).Id
		root := must(c.APIGateway.GetResources(t.Context(), &apigateway.GetResourcesInput{RestApiId: api}))(t).Items[0].Id
		must(c.APIGateway.PutMethod(t.Context(), &apigateway.PutMethodInput{RestApiId: api, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}))(t)
		must(c.APIGateway.PutIntegration(t.Context(), &apigateway.PutIntegrationInput{RestApiId: api, ResourceId: root, HttpMethod: aws.String("GET"), Type: gatewaytypes.IntegrationTypeMock}))(t)
		deployment := must(c.APIGateway.CreateDeployment(t.Context(), &apigateway.CreateDeploymentInput{RestApiId: api}))(t).Id
		for n := range stages {
			ref := record.StageRef{API: *api, Stage: fmt.Sprintf("stage%d", n)}
			must(c.APIGateway.CreateStage(t.Context(), &apigateway.CreateStageInput{RestApiId: api, StageName: &ref.Stage, DeploymentId: deployment}))(t)
			refs = append(refs, ref)
			patch = append(patch, gatewaytypes.PatchOperation{Op: gatewaytypes.OpAdd, Path: aws.String("/apiStages"), Value: aws.String(ref.API + ":" + ref.Stage)})
		}
	}
	must(c.APIGateway.UpdateUsagePlan(t.Context(), &apigateway.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: patch}))(t)
	return refs
}

// pipelineOf returns a pipeline with the stages.
func pipelineOf(t *testing.T, refs []record.StageRef) *desired.Spec {
	t.Helper()
	p := must(config.Parse("stagelog.yaml", []byte("name: acme\nbucket: "+testBucket+"\nreaders: [\""+testReader+"\"]\n"), func(string) string { return "" }))(t)
	p.Stages = refs
	return &desired.Spec{Pipeline: p, Partition: "aws", Region: moto.Region, Account: moto.Account, Zip: emptyZip(t), Architecture: "arm64"}
}

// phase is what one command costs.
type phase struct {
	calls     map[string]int
	throttled int
	took      time.Duration
}

func (p phase) total(service string) (n int) {
	for call, count := range p.calls {
		if strings.HasPrefix(call, service+" ") {
			n += count
		}
	}
	return n
}

func (p phase) String() string {
	var lines []string
	for _, call := range slices.Sorted(maps.Keys(p.calls)) {
		lines = append(lines, fmt.Sprintf("%s %d", call, p.calls[call]))
	}
	return fmt.Sprintf("%d calls to API Gateway, %d throttled, %s: %s", p.total("API Gateway"), p.throttled, p.took.Round(time.Second), strings.Join(lines, ", "))
}

// commands runs plan, deploy, plan, doctor and destroy for a pipeline with the stages, with AWS's quota and a fake clock, and
// returns what each cost.
func commands(t *testing.T, apis, stages int, others float64) map[string]phase {
	m := moto.Start(t)
	refs := manyStages(t, provision.NewClients(m.Config(nil)), apis, stages)
	transport := moto.Outside(t)
	costs := map[string]phase{}
	synctest.Test(t, func(t *testing.T) {
		spec := pipelineOf(t, refs)
		run := func(name string, command func(*provision.Clients) error) {
			t.Helper()
			quota, cfg := m.Limit(others, transport)
			var mu sync.Mutex
			calls := map[string]int{}
			count := moto.Tap(func(call string) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				calls[call]++
				return nil, nil
			})
			c := provision.NewClients(count.On(cfg))
			c.S3 = provision.NewClients(count.On(m.Config(transport))).S3 // without the statement that requires TLS, which moto does not have
			began := time.Now()
			if err := command(c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			costs[name] = phase{calls, quota.Throttled(), time.Since(began)}
			t.Logf("%s: %s", name, costs[name])
		}
		var plan *provision.Plan
		planAgain := func(c *provision.Clients) (err error) {
			plan, err = provision.MakePlan(t.Context(), spec, c, nil)
			return err
		}
		run("plan", planAgain)
		run("deploy", func(c *provision.Clients) error {
			if err := planAgain(c); err != nil {
				return err
			}
			return plan.Execute(t.Context(), nil, func(provision.Event) {})
		})
		run("second plan", planAgain)
		if plan != nil && plan.ToDo() > 0 {
			t.Errorf("the second plan has %d changes, want none", plan.ToDo())
		}
		run("doctor", func(c *provision.Clients) error {
			report, err := doctor.Run(t.Context(), c, doctor.Target{Region: moto.Region, Account: moto.Account, Partition: "aws", Spec: spec, Stages: refs, Readers: spec.Pipeline.Readers}, doctor.Options{}, nil)
			if report.Failed > 0 {
				t.Errorf("doctor found %d faults", report.Failed)
			}
			return err
		})
		run("destroy", func(c *provision.Clients) error {
			removals, err := provision.FindRemovals(t.Context(), spec, c)
			if err != nil {
				return err
			}
			return provision.Remove(t.Context(), removals, func(provision.Event) {})
		})
	})
	return costs
}

// Stages of an API are read with one call, and what many stages share is read once. While another client uses more than half of
// API Gateway's quota, all commands succeed.
func TestCallsForManyStages(t *testing.T) {
	apis, stages := 2, 3
	if testenv.Asked(testenv.Interop) {
		apis, stages = 5, 40
	}
	costs := commands(t, apis, stages, 6)
	for name, want := range map[string]map[string]int{
		"plan":        {"GetStages": apis, "GetRestApi": apis},
		"deploy":      {"GetStages": apis, "GetRestApi": apis, "GetStage": apis * stages, "UpdateStage": apis * stages},
		"second plan": {"GetStages": apis, "GetRestApi": apis},
		"doctor":      {"GetStages": apis, "GetResources": apis, "GetUsagePlans": 1},
		"destroy":     {"GetStages": apis, "GetRestApi": apis, "GetStage": apis * stages, "UpdateStage": apis * stages},
	} {
		got := map[string]int{}
		for call, n := range costs[name].calls {
			if operation, ok := strings.CutPrefix(call, "API Gateway "); ok {
				got[operation] = n
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s calls API Gateway %v, want %v", name, got, want)
		}
		if n := costs[name].total("Firehose"); name != "destroy" && n > 12 {
			t.Errorf("%s calls Firehose %d times, want a number that does not grow with the stages", name, n)
		}
	}
}
