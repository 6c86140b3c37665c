package provision

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// monitoredSpec returns the spec of a pipeline with alarms and a dashboard.
func monitoredSpec(t *testing.T) *desired.Spec {
	s := streamSpec(t)
	s.Pipeline.AWS.Dashboard = true
	return s
}

func lateAlarm(s *desired.Spec, c *Clients) *alarm { return newAlarm(s, wantOf(s).Alarms[0], c) }

func TestAlarmLifecycle(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := monitoredSpec(t)
	r := lateAlarm(s, c)
	applyTo(t, r)
	settled := readOf(t, r)
	const condition = "Maximum DeliveryToS3.DataFreshness of DeliveryStreamName=amazon-apigateway-acme (AWS/Firehose) > 900 in 3 of 3 periods of 300 s"
	want := State{Exists: true, Fields: []Field{
		{"tag stagelog", "eu-west-1/acme", "eu-west-1/acme"}, {"raised if", condition, condition}, {"without data", "notBreaching", "notBreaching"},
		{"notifies", "", ""}, {"description", r.want.Description, r.want.Description}}}
	if diff := cmp.Diff(want, settled); diff != "" {
		t.Fatalf("Read after creation (-want +got):\n%s", diff)
	}
	put := func(change func(*cloudwatch.PutMetricAlarmInput)) {
		t.Helper()
		in := &cloudwatch.PutMetricAlarmInput{
			AlarmName: &r.want.Name, AlarmDescription: &r.want.Description, Namespace: &r.want.Namespace, MetricName: &r.want.Metric, Statistic: r.want.Statistic,
			Dimensions: []types.Dimension{{Name: &r.want.Dimension, Value: &r.want.Of}}, ComparisonOperator: r.want.Comparison, Threshold: aws.Float64(900),
			Period: aws.Int32(300), EvaluationPeriods: aws.Int32(3), DatapointsToAlarm: aws.Int32(3), TreatMissingData: aws.String("notBreaching"),
			Tags: cloudWatchTags(s.Tags()), // moto drops them otherwise
		}
		change(in)
		if _, err := c.CloudWatch.PutMetricAlarm(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	for field, change := range map[string]func(*cloudwatch.PutMetricAlarmInput){
		"raised if":    func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold = aws.Float64(60) },
		"without data": func(in *cloudwatch.PutMetricAlarmInput) { in.TreatMissingData = aws.String("breaching") },
		"description":  func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmDescription = aws.String("x") },
	} {
		put(change)
		if diff := cmp.Diff([]string{field}, changedNames(readOf(t, r))); diff != "" {
			t.Errorf("after a manual change of the field %q, Read differs in (-want +got):\n%s", field, diff)
		}
		applyTo(t, r)
		if diff := cmp.Diff(settled, readOf(t, r)); diff != "" {
			t.Errorf("after a repair of the field %q (-want +got):\n%s", field, diff)
		}
	}

	const theirs, ours = "arn:aws:sns:eu-west-1:123456789012:theirs", "arn:aws:sns:eu-west-1:123456789012:ours"
	put(func(in *cloudwatch.PutMetricAlarmInput) {
		in.AlarmActions, in.ActionsEnabled, in.Threshold = []string{theirs}, aws.Bool(false), aws.Float64(60)
	})
	applyTo(t, r)
	found := readOf(t, r)
	if len(found.Changed()) > 0 || found.have("notifies") != theirs+"; when it ends: " || len(found.Notes) != 1 {
		t.Errorf("without alarm_topic, a repair leaves %+v, want the actions of before, and a note that they are disabled", found)
	}
	s.Pipeline.AWS.AlarmTopic = ours
	r = lateAlarm(s, c)
	if diff := cmp.Diff([]string{"notifies"}, changedNames(readOf(t, r))); diff != "" {
		t.Errorf("with alarm_topic, Read differs in (-want +got):\n%s", diff)
	}
	applyTo(t, r)
	if found := readOf(t, r); len(found.Changed()) > 0 || found.have("notifies") != ours {
		t.Errorf("with alarm_topic: %+v, want that topic", found)
	}
	if did, err := r.Destroy(t.Context(), settled, quiet); did != "deleted" || err != nil || readOf(t, r).Exists {
		t.Errorf("Destroy = %q, %v", did, err)
	}
}

func TestAlarmAdoption(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := monitoredSpec(t)
	r := lateAlarm(s, c)
	if _, err := c.CloudWatch.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{AlarmName: &r.want.Name, Namespace: aws.String("x"), MetricName: aws.String("x"),
		ComparisonOperator: r.want.Comparison, Threshold: aws.Float64(1), Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Statistic: r.want.Statistic}); err != nil {
		t.Fatal(err)
	}
	found := readOf(t, r)
	if found.RequiredFlag != AdoptFlag {
		t.Errorf("Read of an alarm without a tag requires %q, want --adopt", found.RequiredFlag)
	}
	if did, err := r.Destroy(t.Context(), found, quiet); did != "" || err != nil {
		t.Errorf("Destroy of it = %q, %v, want nothing done", did, err)
	}
	if err := r.Apply(t.Context(), State{}, quiet); !errors.Is(err, ErrChanged) {
		t.Errorf("Apply to an alarm that was not there = %v, want ErrChanged", err)
	}
	w := &wire{}
	applyTo(t, lateAlarm(s, NewClients(m.Config(w))))
	if diff := cmp.Diff([]string{"TagResource", "PutMetricAlarm"}, w.writes); diff != "" {
		t.Errorf("calls of an adoption (-want +got):\n%s", diff)
	}
	if found := readOf(t, r); found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
		t.Errorf("after adoption Read = %+v", found)
	}
}

func TestDashboardLifecycle(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := monitoredSpec(t)
	r := newDashboard(s, *wantOf(s).Dashboard, c)
	if r.Name() != "stagelog-acme-eu-west-1" {
		t.Errorf("the dashboard is called %s, want the Region in its name", r.Name())
	}
	write := func(body string) {
		t.Helper()
		if _, err := c.CloudWatch.PutDashboard(t.Context(), &cloudwatch.PutDashboardInput{DashboardName: &r.want.Name, DashboardBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"widgets":[]}`)
	if found := readOf(t, r); found.RequiredFlag != AdoptFlag {
		t.Errorf("Read of a foreign dashboard = %+v, want --adopt", found)
	}
	if err := r.Apply(t.Context(), State{}, quiet); !errors.Is(err, ErrChanged) {
		t.Errorf("Apply to a dashboard that was not there = %v, want ErrChanged", err)
	}
	applyTo(t, r)
	settled := readOf(t, r)
	if settled.RequiredFlag != NoFlag || len(settled.Changed()) > 0 {
		t.Errorf("after adoption Read = %+v", settled)
	}
	write(strings.Replace(r.want.Body, "Records", "Lines", 1))
	if found := readOf(t, r); found.RequiredFlag != NoFlag || len(found.Changed()) != 1 {
		t.Errorf("after a manual change Read = %+v, want one change", found)
	}
	if did, err := r.Destroy(t.Context(), settled, quiet); did != "deleted" || err != nil || readOf(t, r).Exists {
		t.Errorf("Destroy = %q, %v", did, err)
	}
	if did, err := r.Destroy(t.Context(), settled, quiet); did != "" || err != nil {
		t.Errorf("Destroy again = %q, %v", did, err)
	}
}

func TestUnwantedAlarmsAreDeleted(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := monitoredSpec(t)
	for _, r := range monitoring(wantOf(s), c) {
		applyTo(t, r)
	}
	s.Pipeline.AWS.Alarms, s.Pipeline.AWS.Dashboard = false, false
	steps := func() (names []string) {
		t.Helper()
		plan, err := MakePlan(t.Context(), s, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan.Steps {
			if step.Action == Delete {
				names = append(names, strings.TrimPrefix(step.Name, "stagelog-acme-"))
				if _, err := step.apply(t.Context(), nil, Event{}, func(Event) {}); err != nil {
					t.Error(err)
				}
			}
		}
		return names
	}
	want := []string{"late-delivery", "failed-delivery", "failed-processing", "failed-records", "throttled-records", "function-errors", "function-throttles", "eu-west-1"}
	if diff := cmp.Diff(want, steps()); diff != "" {
		t.Errorf("resources to delete (-want +got):\n%s", diff)
	}
	if again := steps(); again != nil {
		t.Errorf("after the deletion, the plan deletes %v", again)
	}
}

// refuses answers every call to CloudWatch as an endpoint that does not have it.
type refuses struct{ with string }

func (r refuses) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.Contains(req.Header.Get("Authorization"), "/monitoring/aws4_request") {
		return http.DefaultTransport.RoundTrip(req)
	}
	res := jsonAnswer(req, http.StatusBadRequest, "<ErrorResponse><Error><Code>"+r.with+"</Code><Message>no</Message></Error></ErrorResponse>")
	res.Header.Set("Content-Type", "text/xml")
	return res, nil
}

func TestPlanWithoutCloudWatch(t *testing.T) {
	m := moto.Start(t)
	s := monitoredSpec(t)
	plan, err := MakePlan(t.Context(), s, NewClients(m.Config(refuses{"InvalidAction"})), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"CloudWatch alarm", "CloudWatch dashboard"}, plan.Unsupported); diff != "" {
		t.Errorf("Unsupported (-want +got):\n%s", diff)
	}
	for _, step := range plan.Steps {
		if strings.HasPrefix(step.Kind, "CloudWatch alarm") || strings.HasPrefix(step.Kind, "CloudWatch dashboard") {
			t.Errorf("the plan has the step %s %s", step.Action, step.Name)
		}
	}
	if _, err := FindRemovals(t.Context(), s, NewClients(m.Config(refuses{"InvalidAction"}))); err != nil {
		t.Errorf("FindRemovals: %v", err)
	}
	_, err = MakePlan(t.Context(), s, NewClients(m.Config(refuses{"AccessDenied"})), nil)
	if err == nil || !strings.Contains(err.Error(), "cloudwatch:DescribeAlarms") || !strings.Contains(err.Error(), "alarms: false") {
		t.Errorf("MakePlan without permission: %v, want the permission and the option", err)
	}
}
