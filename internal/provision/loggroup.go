package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// logGroup is one of the pipeline's CloudWatch log groups. It is tagged on creation, so a group
// without a tag is never the pipeline's: Lambda creates one at a function's first log line, the
// AWS console with a stream.
type logGroup struct {
	s      *desired.Spec
	c      *cloudwatchlogs.Client
	group  string
	stream string // required log stream; "" for none
	days   int32  // retention; 0 leaves it unchanged
	key    string // ARN of the KMS key; "" leaves it unchanged, config.None removes it
}

func newLogGroup(s *desired.Spec, want desired.LogGroup, c *Clients) *logGroup {
	return &logGroup{s: s, c: c.Logs, group: want.Name, stream: want.Stream, days: want.Days, key: want.Key}
}

func (r *logGroup) Kind() string { return "CloudWatch log group" }
func (r *logGroup) Name() string { return r.group }

const (
	fieldRetention = "retention"
	fieldLogStream = "log stream"
	fieldKey       = "KMS key"
)

func (r *logGroup) Read(ctx context.Context) (State, error) {
	group, err := r.describe(ctx)
	if err != nil {
		return State{}, err
	}
	state := State{Exists: group != nil}
	retention := Field{Name: fieldRetention, Want: daysText(r.days)}
	stream := Field{Name: fieldLogStream, Want: r.stream}
	if group == nil {
		state.Fields = append([]Field{{Name: fieldTag, Want: r.s.Owner()}}, tagFields(nil, r.s.Tags())...)
	} else {
		tags, err := r.tags(ctx)
		if err != nil {
			return State{}, err
		}
		owner := tags[desired.OwnerTag]
		state.ownedBy(owner, r.s.Owner())
		state.Fields = append(state.Fields, tagFields(tags, r.s.Tags())...)
		retention.Have = daysText(aws.ToInt32(group.RetentionInDays))
		if r.days != 0 && retention.Differs() && owner == r.s.Owner() {
			state.Notes = append(state.Notes, "if an account-level policy sets the retention, deploy cannot change it: write log_days: keep")
		}
		if stream.Have, err = r.findStream(ctx); err != nil {
			return State{}, err
		}
	}
	if r.days != 0 {
		state.Fields = append(state.Fields, retention)
	}
	if r.key != "" {
		key := Field{Name: fieldKey}
		if group != nil {
			key.Have = aws.ToString(group.KmsKeyId)
		}
		if r.key != config.None {
			key.Want = r.key
		}
		state.Fields = append(state.Fields, key)
	}
	if r.stream != "" {
		state.Fields = append(state.Fields, stream)
	}
	return state, nil
}

func (r *logGroup) Apply(ctx context.Context, found State, progress func(string)) error {
	if !found.Exists {
		err := repeat(ctx, progress, func() error { return r.create(ctx) })
		if err := ignoreOwnDuplicate(ctx, r, progress, err); err != nil {
			return err
		}
	} else if found.tagsDiffer() {
		if err := repeat(ctx, progress, func() error { return setTags(ctx, r, r.s.Tags()) }); err != nil {
			return err
		}
	}
	for _, fix := range []struct {
		field string
		call  func(context.Context) error
	}{{fieldRetention, r.retain}, {fieldKey, r.encrypt}, {fieldLogStream, r.createStream}} {
		if !found.Differs(fix.field) || fix.field == fieldKey && !found.Exists {
			continue
		}
		if err := repeat(ctx, progress, func() error { return fix.call(ctx) }); err != nil {
			return fmt.Errorf("set its %s: %w", fix.field, err)
		}
	}
	return nil
}

func (r *logGroup) create(ctx context.Context) error {
	in := &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &r.group, Tags: r.s.Tags()}
	if r.key != "" && r.key != config.None {
		in.KmsKeyId = &r.key
	}
	_, err := r.c.CreateLogGroup(ctx, in)
	return err
}

// encrypt sets or removes the key of an existing group.
func (r *logGroup) encrypt(ctx context.Context) error {
	if r.key == config.None {
		_, err := r.c.DisassociateKmsKey(ctx, &cloudwatchlogs.DisassociateKmsKeyInput{LogGroupName: &r.group})
		return err
	}
	_, err := r.c.AssociateKmsKey(ctx, &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: &r.group, KmsKeyId: &r.key})
	return err
}

func (r *logGroup) tag(ctx context.Context, tags map[string]string) error {
	_, err := r.c.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(r.s.LogGroupARN(r.group)), Tags: tags})
	return err
}

func (r *logGroup) untag(ctx context.Context, keys []string) error {
	_, err := r.c.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: aws.String(r.s.LogGroupARN(r.group)), TagKeys: keys})
	return err
}

func (r *logGroup) retain(ctx context.Context) error {
	_, err := r.c.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{
		LogGroupName: &r.group, RetentionInDays: &r.days,
	})
	return err
}

func (r *logGroup) createStream(ctx context.Context) error {
	_, err := r.c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &r.group, LogStreamName: &r.stream})
	if awserr.Exists(err) {
		return nil
	}
	return err
}

func (r *logGroup) Destroy(ctx context.Context, found State, _ func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	_, err := r.c.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &r.group})
	return deleted(err)
}

// describe returns the group, or nil if it does not exist. Groups are sorted by name, so an exact
// match precedes longer names and is on the first page.
func (r *logGroup) describe(ctx context.Context) (*types.LogGroup, error) {
	out, err := r.c.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &r.group})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(out.LogGroups, func(g types.LogGroup) bool { return aws.ToString(g.LogGroupName) == r.group })
	if i < 0 {
		return nil, nil
	}
	return &out.LogGroups[i], nil
}

func (r *logGroup) tags(ctx context.Context) (map[string]string, error) {
	out, err := r.c.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(r.s.LogGroupARN(r.group))})
	if err != nil {
		return nil, fmt.Errorf("read its tags: %w", err)
	}
	return out.Tags, nil
}

// findStream returns the name of the log stream, "" if it is missing.
func (r *logGroup) findStream(ctx context.Context) (string, error) {
	if r.stream == "" {
		return "", nil
	}
	out, err := r.c.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &r.group, LogStreamNamePrefix: &r.stream})
	if err != nil {
		return "", fmt.Errorf("read its log streams: %w", err)
	}
	for _, s := range out.LogStreams {
		if aws.ToString(s.LogStreamName) == r.stream {
			return r.stream, nil
		}
	}
	return "", nil
}

// daysText formats a retention, "" for unlimited.
func daysText(days int32) string {
	switch days {
	case 0:
		return ""
	case 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", days)
}
