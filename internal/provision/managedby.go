package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// ManagedBy names the tool that created a stage. Its next deployment may remove access log settings that are not its own.
type ManagedBy struct {
	Tool    string `json:"tool"`
	Stack   string `json:"stack,omitempty"` // of CloudFormation, which SAM, CDK and Serverless Framework use
	Snippet string `json:"snippet"`         // to add to what the tool deploys
}

// Tools that tags show.
const (
	toolCloudFormation = "CloudFormation or SAM"
	toolCDK            = "CDK"
	toolServerless     = "Serverless Framework"
	toolTerraform      = "Terraform"
)

// CloudFormation sets these tags on every resource that can have tags.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
const (
	tagStack     = "aws:cloudformation:stack-name"
	tagLogicalID = "aws:cloudformation:logical-id"
)

// cdkID matches the logical IDs that CDK generates: they end in eight digits of a hash.
var cdkID = regexp.MustCompile(`[0-9A-F]{8}$`)

// managerOf returns the tool that set a stage's or an API's tags, or nil if they do not show one.
func managerOf(tags map[string]string) *ManagedBy {
	if stack := tags[tagStack]; stack != "" {
		by := &ManagedBy{Tool: toolCloudFormation, Stack: stack}
		switch id := tags[tagLogicalID]; {
		case id == "ApiGatewayRestApi", tags["STAGE"] != "": // Serverless Framework's logical ID of each API, and its tag of each stack
			by.Tool = toolServerless
		case cdkID.MatchString(id):
			by.Tool = toolCDK
		}
		return by
	}
	for key, value := range tags {
		if text := strings.ToLower(key + "=" + value); strings.Contains(text, "terraform") || strings.Contains(text, "opentofu") {
			return &ManagedBy{Tool: toolTerraform}
		}
	}
	return nil
}

// snippet returns what to add for the tool so that it sets the stages' access logs.
func (m *ManagedBy) snippet(destination, format string) string {
	switch m.Tool {
	case toolServerless:
		// It patches the stage after each deployment, with a log group of its own as destination, if provider.logs.restApi is there:
		// lib/plugins/aws/package/compile/events/api-gateway/lib/hack/update-stage.js in github.com/serverless/serverless.
		return "Remove provider.logs.restApi from serverless.yml. Serverless Framework can log only to a log group of its own;\n" +
			"without that key it leaves the access logs as `stagelog deploy` sets them."
	case toolCDK:
		return "const stage = api.deploymentStage.node.defaultChild as apigateway.CfnStage;\n" +
			"stage.accessLogSetting = {\n  destinationArn: " + quoted(destination) + ",\n  format: " + quoted(format) + ",\n};"
	case toolTerraform:
		hcl := strings.NewReplacer("${", "$${", "%{", "%%{")
		return "access_log_settings { # of the aws_api_gateway_stage\n  destination_arn = " + quoted(destination) + "\n  format          = " + hcl.Replace(quoted(format)) + "\n}"
	}
	return "AccessLogSetting: # of the AWS::ApiGateway::Stage, with SAM of the AWS::Serverless::Api\n" +
		"  DestinationArn: " + destination + "\n  Format: |\n    " + desired.OneLine(format)
}

// quoted returns a text in double quotes, with the escapes that JSON, JavaScript and HCL share.
func quoted(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		panic("BUG: " + err.Error())
	}
	return strings.TrimSpace(b.String())
}

func (m *ManagedBy) String() string {
	if m.Stack == "" {
		return m.Tool
	}
	return m.Tool + " (stack " + m.Stack + ")"
}

// apiTags caches the tags of APIs, which many stages share.
type apiTags struct {
	mu   sync.Mutex // guards tags
	tags map[string]map[string]string
}

// of returns the tags of an API, nil if they cannot be read.
func (a *apiTags) of(ctx context.Context, c *Clients, api string) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if tags, known := a.tags[api]; known {
		return tags
	}
	if a.tags == nil {
		a.tags = map[string]map[string]string{}
	}
	if out, err := c.APIGateway.GetRestApi(ctx, &apigateway.GetRestApiInput{RestApiId: &api}); err == nil {
		a.tags[api] = out.Tags
	} else {
		a.tags[api] = nil
	}
	return a.tags[api]
}

// manager returns the tool that manages the stage, by its tags and else by those of its API, or nil.
func (r *Stage) manager(ctx context.Context, tags map[string]string) *ManagedBy {
	by := managerOf(tags)
	if by == nil {
		by = managerOf(r.stream.apis.of(ctx, r.c, r.ref.API))
	}
	if by != nil {
		by.Snippet = by.snippet(r.s.StreamARN(), r.format)
	}
	return by
}

// StagesElsewhere reports whether the last deploy left the access logs of the stages to their owners.
func StagesElsewhere(ctx context.Context, s *desired.Spec, c *Clients) (bool, error) {
	r := &Stream{s: s, c: c.Firehose}
	d, err := r.describe(ctx)
	if err != nil || d == nil {
		return false, err
	}
	tags, err := r.tags(ctx)
	return tags[desired.StagesTag] != "" && tags[desired.OwnerTag] == s.Owner(), err
}

// elsewhere compares the settings of a stage whose owner sets them. It returns what differs, or "".
func (r *Stage) elsewhere(now settings) string {
	switch {
	case now.DestinationARN == "":
		return "it has no access logs yet"
	case !r.ours(now):
		return "its access logs go to " + destinationText(now.DestinationARN)
	case desired.OneLine(now.Format) != desired.OneLine(r.format):
		return "its access logs have another format"
	}
	return ""
}

// leftToOwner reports whether r is a stage whose owner sets its access logs.
func leftToOwner(r Resource) bool {
	st, ok := r.(*Stage)
	return ok && st.s.StagesElsewhere
}

// elsewhereReason says why deploy and destroy leave a stage alone.
const elsewhereReason = "its owner sets its access logs (--stages-elsewhere)"

// ownedStages holds the stages that one tool or stack manages, or those of which no tool is known.
type ownedStages struct {
	by     ManagedBy
	stages []string
	due    bool // something remains to be set
}

// OwnerNotes describes which tools manage stages of the plan, and what to add there.
func (p *Plan) OwnerNotes(s *desired.Spec) ([]string, error) {
	d, err := desired.New(s)
	if err != nil {
		return nil, err
	}
	groups, unknown := p.byOwner(s.StagesElsewhere)
	var notes []string
	for _, g := range groups {
		if note := g.note(d); note != "" {
			notes = append(notes, note)
		}
	}
	if unknown && !s.StagesElsewhere {
		notes = append(notes, "if Terraform manages a stage, its next apply removes access logs that its configuration does not have: `stagelog export terraform` shows the block to add; Terraform sets no tags by which plan could tell")
	}
	return notes, nil
}

// byOwner groups the plan's stages by the tool that manages them. unknown reports whether something remains to be set on a stage
// of which no tool is known. Such a stage is in a group only if stages are left to their owners.
func (p *Plan) byOwner(elsewhere bool) (groups []*ownedStages, unknown bool) {
	for _, step := range p.Steps {
		if !step.OfStage() || step.Action == Restore {
			continue
		}
		due, by := step.Action != NoOp || step.Elsewhere != "", ManagedBy{}
		if step.ManagedBy != nil {
			by = *step.ManagedBy
		} else {
			unknown = unknown || due
			if !elsewhere || !due {
				continue
			}
		}
		i := slices.IndexFunc(groups, func(g *ownedStages) bool { return g.by == by })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &ownedStages{by: by})
		}
		groups[i].stages, groups[i].due = append(groups[i].stages, step.Name), groups[i].due || due
	}
	return groups, unknown
}

// note describes what to do where the stages are managed, "" for nothing.
func (g *ownedStages) note(d *desired.Resources) string {
	stages, left := Listed(g.stages), d.Spec.StagesElsewhere
	switch {
	case g.by.Tool == "":
		return fmt.Sprintf("set the access logs of %s where the stages are managed, to\n%s\nwith the format\n%s", stages, d.Spec.StreamARN(), desired.OneLine(d.AccessLogFormat))
	case left && g.due:
		return fmt.Sprintf("set the access logs of %s in %s:\n%s", stages, g.by.String(), g.by.Snippet)
	case left:
		return ""
	case g.due:
		return fmt.Sprintf("%s manages %s, and its next deployment may remove or replace the access logs; set them there, too, or leave them to it with --stages-elsewhere:\n%s", g.by.String(), stages, g.by.Snippet)
	default:
		return fmt.Sprintf("%s manages %s; keep the access logs in what it deploys", g.by.String(), stages)
	}
}

// StageSettings describes the access log settings that a stage's owner must set.
func StageSettings(s *desired.Spec) string {
	return "set the access logs where the stage is managed: destination " + s.StreamARN() + ", and the format that `stagelog plan` prints"
}
