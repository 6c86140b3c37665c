package export

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// monitoring adds the alarms and the dashboard.
func (c *configuration) monitoring() {
	for _, a := range c.want.Alarms {
		b := c.resource("aws_cloudwatch_metric_alarm", strings.ReplaceAll(c.alarmLabel(a), "-", "_"))
		b.set(
			"alarm_name", a.Name, "alarm_description", a.Description, "namespace", a.Namespace, "metric_name", a.Metric,
			"statistic", string(a.Statistic), "comparison_operator", string(a.Comparison), "threshold", int(a.Threshold),
			"period", desired.AlarmPeriod, "evaluation_periods", a.Periods, "datapoints_to_alarm", a.Breaching, "treat_missing_data", desired.NoDataIsOK,
		)
		if a.Topic != "" {
			b.set("alarm_actions", list(a.Topic), "ok_actions", list(a.Topic))
		}
		b.set("tags", hcl("local.tags"))
		b.line()
		b.set("dimensions", object(a.Dimension, a.Of))
	}
	if d := c.want.Dashboard; d != nil {
		b := c.resource("aws_cloudwatch_dashboard", "stagelog")
		b.set("dashboard_name", d.Name, "dashboard_body", jsonencode(jsonTree(d.Body)))
	}
}

// alarmLabel returns the part of an alarm's name after the pipeline's.
func (s *settings) alarmLabel(a desired.Alarm) string {
	return strings.TrimPrefix(a.Name, s.Function()+"-")
}

// monitoring returns the names of the alarms and the dashboard, each followed by the resource.
func (t *template) monitoring() (nodes []*yaml.Node) {
	for _, a := range t.want.Alarms {
		var topic any // nil without one
		if a.Topic != "" {
			topic = list(a.Topic)
		}
		words := strings.Split(t.alarmLabel(a), "-")
		for i, w := range words {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
		nodes = append(nodes, value(strings.Join(words, "")+"Alarm"), resource("AWS::CloudWatch::Alarm", object(
			"AlarmName", a.Name,
			"AlarmDescription", a.Description,
			"Namespace", a.Namespace,
			"MetricName", a.Metric,
			"Dimensions", list(object("Name", a.Dimension, "Value", a.Of)),
			"Statistic", string(a.Statistic),
			"ComparisonOperator", string(a.Comparison),
			"Threshold", int(a.Threshold),
			"Period", desired.AlarmPeriod,
			"EvaluationPeriods", a.Periods,
			"DatapointsToAlarm", a.Breaching,
			"TreatMissingData", desired.NoDataIsOK,
			"AlarmActions", topic,
			"OKActions", topic,
			"Tags", t.tags(),
		)))
	}
	if d := t.want.Dashboard; d != nil {
		nodes = append(nodes, value("Dashboard"), resource("AWS::CloudWatch::Dashboard", object("DashboardName", d.Name, "DashboardBody", d.Body)))
	}
	return nodes
}
