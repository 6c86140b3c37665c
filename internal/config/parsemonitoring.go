package config

import (
	"regexp"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
)

// Monitoring holds the settings of what `stagelog deploy` creates in CloudWatch.
type Monitoring struct {
	Alarms     bool   // create alarms; default true
	AlarmTopic string // ARN of the SNS topic that the alarms notify; "" for none
	Dashboard  bool   // create a dashboard
}

// topicARN matches the ARN of a standard SNS topic. CloudWatch alarms cannot notify FIFO topics.
var topicARN = regexp.MustCompile(`^arn:[a-z-]+:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)

func readMonitoring(p *Pipeline, m map[string]yamlfile.Value) {
	a := &p.AWS.Monitoring
	a.Alarms = m["alarms"].OneOf("true", "false") != "false"
	a.Dashboard = m["dashboard"].OneOf("true", "false") == "true"
	topic := m["alarm_topic"]
	a.AlarmTopic = topic.Matching(topicARN, "the ARN of a standard SNS topic, such as arn:aws:sns:eu-west-1:111122223333:on-call")
	if a.AlarmTopic == "" {
		return
	}
	if !a.Alarms {
		topic.Warnf("remove it, or write alarms: true", "it has no effect, because alarms is false")
	}
	if region := topicARN.FindStringSubmatch(a.AlarmTopic)[1]; p.RegionGiven && region != p.Region {
		topic.Problemf("use a topic in "+p.Region, "the topic is in %s, but CloudWatch alarms can only notify topics in their own Region, %s", region, p.Region)
	}
}
