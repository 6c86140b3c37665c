package provision

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/moto"
)

func TestManagerIsFoundByTags(t *testing.T) {
	const arn, format = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/amazon-apigateway-acme", "{\"a\":\"$context.requestId\"}\n"
	for _, tt := range []struct {
		name string
		tags map[string]string
		want string // tool and stack
		has  []string
	}{
		{"none", map[string]string{"team": "logs"}, "", nil},
		{"CloudFormation", map[string]string{tagStack: "shop", tagLogicalID: "Stage"}, "CloudFormation or SAM (stack shop)",
			[]string{"AccessLogSetting:", "AWS::Serverless::Api", "  DestinationArn: " + arn + "\n  Format: |\n    {\"a\":\"$context.requestId\"}"}},
		{"CDK", map[string]string{tagStack: "Shop", tagLogicalID: "booksDeploymentStageprod28B5CD9F"}, "CDK (stack Shop)",
			[]string{"as apigateway.CfnStage", `destinationArn: "` + arn + `"`, `format: "{\"a\":\"$context.requestId\"}\n"`}},
		{"Serverless Framework's API", map[string]string{tagStack: "shop-dev", tagLogicalID: "ApiGatewayRestApi"}, "Serverless Framework (stack shop-dev)", []string{"Remove provider.logs.restApi"}},
		{"Serverless Framework's stage", map[string]string{tagStack: "shop-dev", "STAGE": "dev"}, "Serverless Framework (stack shop-dev)", []string{"log group of its own"}},
		{"Terraform by its value", map[string]string{"ManagedBy": "terraform"}, "Terraform", []string{"access_log_settings {", `format          = "{\"a\":\"$context.requestId\"}\n"`}},
		{"Terraform by its key", map[string]string{"OpenTofu": "yes"}, "Terraform", []string{arn}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			by := managerOf(tt.tags)
			if by == nil {
				if tt.want != "" {
					t.Errorf("no manager, want %s", tt.want)
				}
				return
			}
			if by.String() != tt.want {
				t.Errorf("manager %s, want %s", by, tt.want)
			}
			snippet := by.snippet(arn, format)
			for _, part := range tt.has {
				if !strings.Contains(snippet, part) {
					t.Errorf("the snippet does not contain %q:\n%s", part, snippet)
				}
			}
		})
	}
	if snippet := (&ManagedBy{Tool: toolTerraform}).snippet(arn, "${x} %{y}"); !strings.Contains(snippet, `"$${x} %%{y}"`) {
		t.Errorf("Terraform's snippet does not escape its expressions:\n%s", snippet)
	}
}

// With StagesElsewhere, deploy leaves the stages to their owners, later runs know it, and destroy does not change them.
func TestStagesElsewhere(t *testing.T) {
	m := moto.Start(t)
	a := newStageAccount(t, m)
	a.s.Zip = someZip(t, "one")
	_, err := a.APIGateway.TagResource(t.Context(), &apigateway.TagResourceInput{
		ResourceArn: aws.String("arn:aws:apigateway:" + moto.Region + "::/restapis/" + a.ref.API + "/stages/prod"), Tags: map[string]string{"Provisioner": "Terraform"}})
	a.ok(err)
	theirs := a.logGroup("theirs")
	a.set(theirs, "$context.requestId")
	plan := func() (p *Plan, notes string) {
		t.Helper()
		p, err := MakePlan(t.Context(), a.s, a.Clients, nil)
		a.ok(err)
		all, err := p.OwnerNotes(a.s)
		a.ok(err)
		return p, strings.Join(all, "\n")
	}
	stage := func(p *Plan) Step { return p.Steps[len(p.Steps)-1] }
	now := func() settings {
		t.Helper()
		now, err := a.resource().settings(t.Context())
		a.ok(err)
		return now
	}

	p, notes := plan()
	if by := stage(p).ManagedBy; by == nil || by.Tool != "Terraform" || stage(p).Action != Blocked || !strings.Contains(notes, "Terraform manages "+a.ref.String()+", and its next deployment may") {
		t.Errorf("plan of a stage of Terraform: %+v\n%s", stage(p), notes)
	}
	a.s.StagesElsewhere = true
	p, notes = plan()
	if s := stage(p); s.Action != NoOp || s.Elsewhere != "its access logs go to the CloudWatch log group theirs" || !strings.Contains(notes, "set the access logs of "+a.ref.String()+" in Terraform:\naccess_log_settings {") {
		t.Errorf("plan with StagesElsewhere: %+v\n%s", s, notes)
	}
	a.ok(p.Execute(t.Context(), []Flag{AdoptFlag}, func(Event) {}))
	if diff := cmp.Diff(settings{theirs, "$context.requestId"}, now()); diff != "" {
		t.Errorf("deploy changed the stage (-before +after):\n%s", diff)
	}

	a.s.StagesElsewhere = false
	if known, err := StagesElsewhere(t.Context(), a.s, a.Clients); err != nil || !known {
		t.Errorf("StagesElsewhere after deploy = %t, %v, want true", known, err)
	}
	a.s.StagesElsewhere = true
	a.set(a.s.StreamARN(), wantOf(a.s).AccessLogFormat) // by the stage's owner
	p, notes = plan()
	if p.ToDo() != 0 || stage(p).Elsewhere != "" || notes != "" {
		t.Errorf("plan after the owner set the stage: %d to do, %+v\n%s", p.ToDo(), stage(p), notes)
	}
	removals, err := FindRemovals(t.Context(), a.s, a.Clients)
	a.ok(err)
	for _, r := range removals {
		if s, ok := r.Resource.(*Stream); ok {
			s.Drain = 0
		}
		if _, ok := r.Resource.(*Stage); ok && (r.Ours || !strings.Contains(r.Reason, "--stages-elsewhere")) {
			t.Errorf("destroy would change the stage: %+v", r)
		}
	}
	before := now()
	a.ok(Remove(t.Context(), removals, func(Event) {}))
	if diff := cmp.Diff(before, now()); diff != "" {
		t.Errorf("destroy changed the stage (-before +after):\n%s", diff)
	}
}

// The choice is undone by a deploy without StagesElsewhere.
func TestStagesElsewhereIsUndone(t *testing.T) {
	m := moto.Start(t)
	a := newStageAccount(t, m)
	a.s.StagesElsewhere = true
	stream := func() *Stream { return newStream(wantOf(a.s), a.Clients) }
	mustApply(t, stream())
	a.s.StagesElsewhere = false
	if found := mustRead(t, stream()); len(found.Changed()) != 1 || found.have(fieldTags) != "stagelog-stages=elsewhere" {
		t.Errorf("Read of the stream = %+v, want the tag to be removed", found.Changed())
	}
	mustApply(t, stream())
	if known, err := StagesElsewhere(t.Context(), a.s, a.Clients); err != nil || known {
		t.Errorf("StagesElsewhere = %t, %v, want false", known, err)
	}
	a.apply()
}
