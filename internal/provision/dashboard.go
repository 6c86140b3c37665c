package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// dashboard is a CloudWatch dashboard. Its first widget names its pipeline, see desired.Spec.DashboardOwner.
type dashboard struct {
	s    *desired.Spec
	want desired.Dashboard
	c    *cloudwatch.Client
}

func newDashboard(s *desired.Spec, want desired.Dashboard, c *Clients) *dashboard {
	return &dashboard{s, want, c.CloudWatch}
}

func (r *dashboard) Kind() string { return "CloudWatch dashboard" }
func (r *dashboard) Name() string { return r.want.Name }

const fieldWidgets = "widgets"

var dashboardOwner = regexp.MustCompile(`\(stagelog: ([^()"\\]+)\)`)

func (r *dashboard) Read(ctx context.Context) (State, error) {
	widgets := Field{Name: fieldWidgets, Want: indented(r.want.Body)}
	out, err := r.c.GetDashboard(ctx, &cloudwatch.GetDashboardInput{DashboardName: &r.want.Name})
	if awserr.NotFound(err) {
		return State{Fields: []Field{widgets}}, nil
	}
	if err != nil {
		return State{}, noMonitoring(err)
	}
	body := aws.ToString(out.DashboardBody)
	owner := ""
	if m := dashboardOwner.FindStringSubmatch(body); m != nil {
		owner = m[1]
	}
	state := State{Exists: true}
	state.adopt(owner, r.s.Owner(), "it exists and was not created by stagelog", "it belongs to the pipeline ")
	widgets.Have = indented(body)
	state.Fields = []Field{widgets}
	return state, nil
}

// Apply replaces the whole dashboard in one call.
func (r *dashboard) Apply(ctx context.Context, found State, _ func(string)) error {
	if !found.Exists {
		if now, err := r.Read(ctx); err != nil {
			return err
		} else if now.RequiredFlag != NoFlag {
			return errCreatedByOther
		}
	}
	in := &cloudwatch.PutDashboardInput{DashboardName: &r.want.Name, DashboardBody: &r.want.Body}
	if !found.Exists {
		in.Tags = cloudWatchTags(r.s.Tags()) // accepted only on creation, which an organisation may allow only with tags
	}
	out, err := r.c.PutDashboard(ctx, in)
	if err == nil && len(out.DashboardValidationMessages) > 0 {
		return fmt.Errorf("BUG: CloudWatch reports an invalid widget: %s", aws.ToString(out.DashboardValidationMessages[0].Message))
	}
	return err
}

func (r *dashboard) Destroy(ctx context.Context, found State, _ func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	_, err := r.c.DeleteDashboards(ctx, &cloudwatch.DeleteDashboardsInput{DashboardNames: []string{r.want.Name}})
	return deleted(err)
}

// indented returns JSON with sorted names, one per line, or text that is not JSON as it is.
func indented(text string) string {
	var v any
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if json.Unmarshal([]byte(text), &v) != nil || enc.Encode(v) != nil {
		return text
	}
	return string(bytes.TrimSpace(out.Bytes()))
}
