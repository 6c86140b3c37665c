package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// checkAlarms reports the states of the pipeline's alarms, if s is its stream.
func (r *run) checkAlarms(ctx context.Context, s *stream) {
	const name = "states"
	if !r.ours(s) || s.missing || !r.t.Spec.Pipeline.AWS.Alarms {
		return
	}
	want, err := desired.New(r.t.Spec)
	if err != nil {
		return // plan and deploy report it
	}
	names := make([]string, len(want.Alarms))
	for i, a := range want.Alarms {
		names[i] = a.Name
	}
	out, err := r.c.CloudWatch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: names})
	switch {
	case awserr.Unsupported(err):
		r.out.problem(Skipped, linkAlarms, name, finding{found: "not checked: the alarms", cause: provision.ErrNoMonitoring.Error()})
		return
	case err != nil:
		r.unknown(linkAlarms, name, "the alarms of the pipeline", need{"cloudwatch:DescribeAlarms", "*"}, err)
		return
	}
	have := map[string]types.MetricAlarm{}
	for _, a := range out.MetricAlarms {
		have[aws.ToString(a.AlarmName)] = a
	}
	var missing, quiet []string
	noData := 0
	for _, a := range want.Alarms {
		now, exists := have[a.Name]
		switch {
		case !exists:
			missing = append(missing, a.Name)
		case now.StateValue == types.StateValueAlarm:
			r.raised(s, a, now)
		case now.StateValue == types.StateValueInsufficientData:
			noData++
			fallthrough
		default:
			quiet = append(quiet, a.Name)
		}
	}
	if len(missing) > 0 {
		r.out.problem(Warning, linkAlarms, "exist", finding{
			found: "no alarm is set for some faults: " + listed(missing), cause: "they were deleted, or a version of stagelog without alarms deployed the pipeline",
			consequence: "nothing notices these faults until doctor runs or records are missing", fix: r.repair(s, "stagelog deploy") + "\nor write alarms: false below aws: in stagelog.yaml",
		})
	}
	if len(quiet) > 0 {
		r.out.ok(linkAlarms, name, "%d not raised%s", len(quiet), map[bool]string{true: fmt.Sprintf(", %d of them without data yet", noData)}[noData > 0])
	}
}

// raised reports an alarm that is raised.
func (r *run) raised(s *stream, want desired.Alarm, now types.MetricAlarm) {
	since := ""
	if now.StateTransitionedTimestamp != nil {
		since = " since " + now.StateTransitionedTimestamp.UTC().Format("2006-01-02 15:04 MST")
	}
	history := command("cloudwatch", "describe-alarm-history", "--region", s.region, "--alarm-name", want.Name)
	r.out.problem(Failed, linkAlarms, strings.TrimPrefix(want.Name, r.t.Spec.Function()+"-"), finding{
		found: fmt.Sprintf("the alarm %s is raised%s", want.Name, since), cause: fmt.Sprintf("%s: %s", want.Metric, truncate(aws.ToString(now.StateReason), 300)),
		consequence: want.Description, fix: "fix what the other checks report; the alarm ends by itself after that. Its history: " + history,
	})
}
