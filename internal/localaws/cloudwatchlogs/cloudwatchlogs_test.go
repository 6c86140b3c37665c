package cloudwatchlogs_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/stagelog/stagelog/internal/localaws/cloudwatchlogs"
	"github.com/stagelog/stagelog/internal/localaws/wire/wiretest"
	"github.com/stagelog/stagelog/internal/record/recordtest"
	"github.com/stagelog/stagelog/internal/testenv"
)

func serve(t *testing.T, store *recordtest.Store) *sdk.Client {
	t.Helper()
	s, err := cloudwatchlogs.Open(t.Context(), wiretest.Region, wiretest.Account, store)
	if err != nil {
		t.Fatal(err)
	}
	return sdk.New(sdk.Options{Region: wiretest.Region, BaseEndpoint: aws.String(wiretest.Serve(t, "logs", s)), RetryMaxAttempts: 1, HTTPClient: testenv.SDKClient(nil), Credentials: wiretest.Credentials()})
}

func TestLogGroups(t *testing.T) {
	store := &recordtest.Store{}
	c := serve(t, store)
	ctx, name, stream := t.Context(), aws.String("/aws/lambda/stagelog-acme"), aws.String("S3Delivery")
	const arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/stagelog-acme"
	check := func(what string, err error, want string) {
		t.Helper()
		if want == "" && err != nil || want != "" && wiretest.Code(err) != want {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	_, err := c.PutRetentionPolicy(ctx, &sdk.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(14)})
	check("a retention of no group", err, "ResourceNotFoundException")
	_, err = c.CreateLogGroup(ctx, &sdk.CreateLogGroupInput{LogGroupName: name, Tags: map[string]string{"stagelog": "eu-west-1/acme"}})
	check("create", err, "")
	_, err = c.CreateLogGroup(ctx, &sdk.CreateLogGroupInput{LogGroupName: name})
	check("create twice", err, "ResourceAlreadyExistsException")
	_, err = c.CreateLogGroup(ctx, &sdk.CreateLogGroupInput{LogGroupName: aws.String("a b")})
	check("create with a space", err, "InvalidParameterException")
	_, err = c.PutRetentionPolicy(ctx, &sdk.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(15)})
	check("a retention of 15 days", err, "InvalidParameterException")
	_, err = c.PutRetentionPolicy(ctx, &sdk.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(14)})
	check("a retention", err, "")
	_, err = c.CreateLogStream(ctx, &sdk.CreateLogStreamInput{LogGroupName: name, LogStreamName: stream})
	check("create a log stream", err, "")
	_, err = c.CreateLogStream(ctx, &sdk.CreateLogStreamInput{LogGroupName: name, LogStreamName: stream})
	check("create it twice", err, "ResourceAlreadyExistsException")
	_, err = c.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: aws.String(arn + ":*"), Tags: map[string]string{"team": "a"}})
	check("tag", err, "")
	_, err = c.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: aws.String(arn), TagKeys: []string{"team"}})
	check("untag", err, "")
	_, err = c.PutLogEvents(ctx, &sdk.PutLogEventsInput{LogGroupName: name, LogStreamName: stream})
	if err == nil {
		t.Error("events were taken, and nothing keeps them")
	}

	c = serve(t, store) // what was made is there after a restart
	groups, err := c.DescribeLogGroups(ctx, &sdk.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/lambda/")})
	check("describe", err, "")
	if len(groups.LogGroups) != 1 || aws.ToInt32(groups.LogGroups[0].RetentionInDays) != 14 || aws.ToString(groups.LogGroups[0].LogGroupArn) != arn {
		t.Errorf("the groups are %+v", groups.LogGroups)
	}
	streams, err := c.DescribeLogStreams(ctx, &sdk.DescribeLogStreamsInput{LogGroupName: name, LogStreamNamePrefix: stream})
	check("describe streams", err, "")
	if len(streams.LogStreams) != 1 || aws.ToString(streams.LogStreams[0].LogStreamName) != *stream {
		t.Errorf("the streams are %+v", streams.LogStreams)
	}
	tags, err := c.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: aws.String(arn)})
	check("list tags", err, "")
	if len(tags.Tags) != 1 || tags.Tags["stagelog"] != "eu-west-1/acme" {
		t.Errorf("the tags are %v", tags.Tags)
	}
	events, err := c.FilterLogEvents(ctx, &sdk.FilterLogEventsInput{LogGroupName: name})
	check("filter events", err, "")
	if len(events.Events) != 0 {
		t.Errorf("the events are %v", events.Events)
	}
	_, err = c.DeleteLogGroup(ctx, &sdk.DeleteLogGroupInput{LogGroupName: name})
	check("delete", err, "")
	_, err = c.DeleteLogGroup(ctx, &sdk.DeleteLogGroupInput{LogGroupName: name})
	check("delete twice", err, "ResourceNotFoundException")
}

func TestPagesOfGroups(t *testing.T) {
	c := serve(t, &recordtest.Store{})
	for n := range 120 {
		if _, err := c.CreateLogGroup(t.Context(), &sdk.CreateLogGroupInput{LogGroupName: aws.String(fmt.Sprintf("g%03d", n))}); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	pages := sdk.NewDescribeLogGroupsPaginator(c, &sdk.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("g"), Limit: aws.Int32(50)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.LogGroups {
			if want := fmt.Sprintf("g%03d", seen); aws.ToString(g.LogGroupName) != want {
				t.Fatalf("group %d is %s, want %s", seen, *g.LogGroupName, want)
			}
			seen++
		}
	}
	if seen != 120 {
		t.Errorf("the pages have %d groups, want 120", seen)
	}
}
