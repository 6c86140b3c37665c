package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// ErrNoMonitoring means that the endpoint serves no CloudWatch alarms and dashboards, such as that of `stagelog up`.
var ErrNoMonitoring = errors.New("this endpoint has no CloudWatch alarms and dashboards")

// noMonitoring replaces the error of an endpoint without CloudWatch.
func noMonitoring(err error) error {
	if awserr.Unsupported(err) {
		return ErrNoMonitoring
	}
	return err
}

// alarm is a CloudWatch alarm. It is tagged on creation, so an alarm without a tag is never the pipeline's.
type alarm struct {
	s    *desired.Spec
	want desired.Alarm
	c    *cloudwatch.Client
}

func newAlarm(s *desired.Spec, want desired.Alarm, c *Clients) *alarm {
	return &alarm{s, want, c.CloudWatch}
}

func (r *alarm) Kind() string { return "CloudWatch alarm" }
func (r *alarm) Name() string { return r.want.Name }

const (
	fieldCondition   = "raised if"
	fieldNoData      = "without data"
	fieldNotifies    = "notifies"
	fieldDescription = "description"
)

func (r *alarm) Read(ctx context.Context) (State, error) {
	state, _, err := r.read(ctx)
	return state, err
}

func (r *alarm) read(ctx context.Context) (State, *types.MetricAlarm, error) {
	out, err := r.c.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{r.want.Name}})
	if err != nil {
		return State{}, nil, noMonitoring(err)
	}
	if len(out.CompositeAlarms) > 0 {
		return State{}, nil, &refusal{ErrOtherKind, "a composite alarm has that name: delete it, or choose another name: in stagelog.yaml"}
	}
	condition := Field{Name: fieldCondition, Want: r.want.Condition()}
	noData := Field{Name: fieldNoData, Want: desired.NoDataIsOK}
	description := Field{Name: fieldDescription, Want: r.want.Description}
	notifies := Field{Name: fieldNotifies, Want: topics(r.topics(nil))}
	if len(out.MetricAlarms) == 0 {
		fields := append([]Field{{Name: fieldTag, Want: r.s.Owner()}}, tagFields(nil, r.s.Tags())...)
		return State{Fields: append(fields, condition, noData, notifies, description)}, nil, nil
	}
	now := &out.MetricAlarms[0]
	tags, err := r.tags(ctx)
	if err != nil {
		return State{}, nil, err
	}
	state := State{Exists: true}
	state.ownedBy(tags[desired.OwnerTag], r.s.Owner())
	state.Fields = append(state.Fields, tagFields(tags, r.s.Tags())...)
	condition.Have, noData.Have, description.Have = conditionOf(now), aws.ToString(now.TreatMissingData), aws.ToString(now.AlarmDescription)
	notifies.Have, notifies.Want = topics(now.AlarmActions, now.OKActions), topics(r.topics(now))
	state.Fields = append(state.Fields, condition, noData, notifies, description)
	if now.ActionsEnabled != nil && !*now.ActionsEnabled {
		state.Notes = append(state.Notes, "its actions are disabled, so it notifies no topic; `aws cloudwatch enable-alarm-actions --alarm-names "+r.want.Name+"` enables them")
	}
	return state, now, nil
}

// topics returns the actions for the alarm and for its end. Without a topic, an alarm keeps those that it has.
func (r *alarm) topics(now *types.MetricAlarm) (raised, ended []string) {
	switch {
	case r.want.Topic != "":
		return []string{r.want.Topic}, []string{r.want.Topic}
	case now != nil:
		return now.AlarmActions, now.OKActions
	}
	return nil, nil
}

// topics describes the actions of an alarm.
func topics(raised, ended []string) string {
	all := strings.Join(raised, ", ")
	if end := strings.Join(ended, ", "); end != all {
		all += "; when it ends: " + end
	}
	return all
}

// conditionOf returns the condition of an existing alarm in the form of desired.Alarm.Condition.
func conditionOf(a *types.MetricAlarm) string {
	have := desired.Alarm{
		Namespace: aws.ToString(a.Namespace), Metric: aws.ToString(a.MetricName), Statistic: a.Statistic, Comparison: a.ComparisonOperator,
		Threshold: aws.ToFloat64(a.Threshold), Breaching: aws.ToInt32(a.EvaluationPeriods), Periods: aws.ToInt32(a.EvaluationPeriods),
	}
	if a.DatapointsToAlarm != nil {
		have.Breaching = *a.DatapointsToAlarm
	}
	for i, d := range a.Dimensions {
		if i == 0 {
			have.Dimension, have.Of = aws.ToString(d.Name), aws.ToString(d.Value)
		} else {
			have.Of += ", " + aws.ToString(d.Name) + "=" + aws.ToString(d.Value)
		}
	}
	return have.ConditionOver(aws.ToInt32(a.Period))
}

func (r *alarm) arn() *string { return aws.String(r.s.AlarmARN(r.want.Name)) }

func (r *alarm) tags(ctx context.Context) (map[string]string, error) {
	out, err := r.c.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: r.arn()})
	if err != nil {
		return nil, fmt.Errorf("read its tags: %w", noMonitoring(err))
	}
	tags := map[string]string{}
	for _, t := range out.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

func (r *alarm) tag(ctx context.Context, tags map[string]string) error {
	_, err := r.c.TagResource(ctx, &cloudwatch.TagResourceInput{ResourceARN: r.arn(), Tags: cloudWatchTags(tags)})
	return err
}

func (r *alarm) untag(ctx context.Context, keys []string) error {
	_, err := r.c.UntagResource(ctx, &cloudwatch.UntagResourceInput{ResourceARN: r.arn(), TagKeys: keys})
	return err
}

func cloudWatchTags(tags map[string]string) (all []types.Tag) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	return all
}

// Apply tags an existing alarm first: PutMetricAlarm replaces all settings, but sets tags only on a new alarm.
func (r *alarm) Apply(ctx context.Context, found State, _ func(string)) error {
	state, now, err := r.read(ctx)
	if err != nil {
		return err
	}
	if !found.Exists && state.RequiredFlag != NoFlag {
		return errCreatedByOther
	}
	if now != nil && state.tagsDiffer() {
		if err := setTags(ctx, r, r.s.Tags()); err != nil {
			return err
		}
	}
	if now != nil && !state.Differs(fieldCondition) && !state.Differs(fieldNoData) && !state.Differs(fieldNotifies) && !state.Differs(fieldDescription) {
		return nil
	}
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName: &r.want.Name, AlarmDescription: &r.want.Description, Namespace: &r.want.Namespace, MetricName: &r.want.Metric,
		Dimensions: []types.Dimension{{Name: &r.want.Dimension, Value: &r.want.Of}}, Statistic: r.want.Statistic,
		ComparisonOperator: r.want.Comparison, Threshold: &r.want.Threshold, Period: aws.Int32(desired.AlarmPeriod),
		EvaluationPeriods: &r.want.Periods, DatapointsToAlarm: &r.want.Breaching, TreatMissingData: aws.String(desired.NoDataIsOK),
	}
	in.AlarmActions, in.OKActions = r.topics(now)
	if now == nil {
		in.Tags = cloudWatchTags(r.s.Tags())
	} else {
		in.ActionsEnabled, in.InsufficientDataActions = now.ActionsEnabled, now.InsufficientDataActions
	}
	_, err = r.c.PutMetricAlarm(ctx, in)
	return err
}

func (r *alarm) Destroy(ctx context.Context, found State, _ func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	_, err := r.c.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{r.want.Name}})
	return deleted(err)
}
