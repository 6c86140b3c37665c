package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// organisation describes one pipeline of TestOrganisationFromPlanToDestroy.
type organisation struct {
	region string
	apis   int
	stages int // of each API
}

// Two Regions have a pipeline of one name, one with 200 stages of 5 APIs. Both have three readers, a key, a permissions
// boundary and tags.
func TestOrganisationFromPlanToDestroy(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "the AWS CLI", "aws", "--version")
	m := startMoto(t)
	boundary := must(m.iam.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("boundary"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)}))(t, "create policy").Policy.Arn
	all := []organisation{{moto.Region, 5, 40}, {"us-east-1", 1, 2}}
	dirs := make([]string, len(all))
	for i, o := range all {
		dirs[i] = t.TempDir()
		write(t, dirs[i], "stagelog.yaml", m.organisationYAML(o, *boundary))
		exportZip(t, dirs[i])
	}
	run := func(i, want int, args ...string) string {
		t.Helper()
		stdout, stderr, code := runBinary(t, dirs[i], m.env("AWS_REGION="+all[i].region, "AWS_DEFAULT_REGION="+all[i].region), args...)
		if code != want {
			t.Fatalf("%s: stagelog %s ended with %d, want %d\n%s\n%s", all[i].region, strings.Join(args, " "), code, want, stdout, stderr)
		}
		return stdout
	}
	toDo := func(i, want int) {
		t.Helper()
		var p planOf
		if err := json.Unmarshal([]byte(run(i, want, "plan", "--json", "--function-zip", "function.zip")), &p); err != nil {
			t.Fatal(err)
		}
		if todo := p.todo(); (len(todo) > 0) != (want == 2) {
			t.Errorf("%s: the plan has changes: %v", all[i].region, todo)
		}
	}
	for i := range all {
		toDo(i, 2)
		run(i, 0, "deploy", "--yes", "--function-zip", "function.zip")
	}
	for i := range all {
		toDo(i, 0)
		run(i, 0, "doctor", "--no-record")
	}
	run(0, 0, "destroy", "--yes", "--no-drain", "--delete-bucket")
	toDo(1, 0) // it still has all that is its own
	run(1, 0, "destroy", "--yes", "--no-drain", "--delete-bucket")
	for _, o := range all {
		m.checkNothingLeft(o.region)
	}
}

// organisationYAML creates the stages and the key of a pipeline and returns its stagelog.yaml.
func (m *account) organisationYAML(o organisation, boundary string) string {
	m.t.Helper()
	there := func(g *apigateway.Options) { g.Region = o.region }
	var stages strings.Builder
	for a := range o.apis {
		name := fmt.Sprintf("api %d", a)
		id := *must(m.gateway.CreateRestApi(m.t.Context(), &apigateway.CreateRestApiInput{Name: &name}, there))(m.t, "create API").Id
		root := must(m.gateway.GetResources(m.t.Context(), &apigateway.GetResourcesInput{RestApiId: &id}, there))(m.t, "get resources").Items[0].Id
		must(m.gateway.PutMethod(m.t.Context(), &apigateway.PutMethodInput{RestApiId: &id, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}, there))(m.t, "put method")
		must(m.gateway.PutIntegration(m.t.Context(), &apigateway.PutIntegrationInput{RestApiId: &id, ResourceId: root, HttpMethod: aws.String("GET"), Type: "MOCK"}, there))(m.t, "put integration")
		deployment := must(m.gateway.CreateDeployment(m.t.Context(), &apigateway.CreateDeploymentInput{RestApiId: &id}, there))(m.t, "deploy API").Id
		for s := range o.stages {
			stage := fmt.Sprintf("stage%d", s)
			must(m.gateway.CreateStage(m.t.Context(), &apigateway.CreateStageInput{RestApiId: &id, StageName: &stage, DeploymentId: deployment}, there))(m.t, "create stage")
			fmt.Fprintf(&stages, "  - {api: %s, stage: %s}\n", id, stage)
		}
	}
	key := m.cli(o.region, "kms", "create-key", "--query", "KeyMetadata.Arn", "--output", "text")
	m.cli(o.region, "kms", "put-key-policy", "--key-id", key, "--policy-name", "default", "--policy", `{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+moto.Account+`:root"},"Action":"kms:*","Resource":"*"},
{"Effect":"Allow","Principal":{"AWS":["111122223333","444455556666","777788889999"]},"Action":"kms:Decrypt","Resource":"*"}]}`)
	return fmt.Sprintf(`name: acme
bucket: acme-api-logs-%[1]s
region: %[1]s
readers: ["111122223333", "444455556666", "777788889999"]
stages:
%[2]saws:
  encryption: kms:%[3]s
  permissions_boundary: %[4]s
  tags: {team: platform, cost-centre: "4711"}
`, o.region, &stages, key, boundary)
}
