package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// previousLogging is what a stage's access log settings were before deploy changed them, as the bucket
// keeps it.
type previousLogging struct {
	API   string `json:"api"`
	Stage string `json:"stage"`
	settings
	ReplacedAt time.Time `json:"replacedAt"`

	bucket string // that remembers it
}

// maxPrevious is far over what a format can have.
const maxPrevious = 1 << 20

// remember keeps what a stage has before it is changed. What is kept already stays when the
// stage has the pipeline's settings, or those it had under another name, or none: they came later.
func (r *Stage) remember(ctx context.Context, now settings) error {
	later := r.ours(now) || now.DestinationARN == ""
	if !later {
		var err error
		if later, err = r.predecessor(ctx, now.DestinationARN); err != nil {
			return err
		}
	}
	if later {
		known, err := r.recall(ctx)
		if err != nil || known != nil {
			return err
		}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(previousLogging{API: r.ref.API, Stage: r.ref.Stage, settings: now, ReplacedAt: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return err
	}
	_, err := r.c.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(r.s.Bucket()), Key: aws.String(desired.PreviousLoggingKey(r.ref)),
		Body: bytes.NewReader(body.Bytes()), ContentType: aws.String("application/json"),
	})
	if err != nil {
		return fmt.Errorf("remember the stage's access log settings before they are replaced: %w", err)
	}
	return nil
}

// stateBuckets are the account's buckets with what stagelog keeps: the pipeline's, and the one that
// its stream delivers to, where bucket: in stagelog.yaml was changed and no deploy has moved it yet.
func stateBuckets(ctx context.Context, s *desired.Spec, c *Clients) (names []string, err error) {
	deployed, err := (&Stream{s: s, c: c.Firehose}).deployedBucket(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{s.Bucket(), deployed} {
		if name == "" || slices.Contains(names, name) {
			continue
		}
		mine, err := lookAt(s.WithBucket(name), c).mine(ctx)
		if err != nil {
			return nil, err
		}
		if mine {
			names = append(names, name)
		}
	}
	return names, nil
}

// deployedBucket is the bucket that the stream delivers to: the pipeline's, or another one if the
// stream has the pipeline's tag; "" else.
func (r *Stream) deployedBucket(ctx context.Context) (string, error) {
	d, err := r.describe(ctx)
	if err != nil || d == nil {
		return "", err
	}
	to := destinationOf(d)
	switch {
	case to == nil:
		return "", nil
	case bucketOf(to) == r.s.Bucket(): // asking for tags as well would be a call more for each stage
		return r.s.Bucket(), nil
	}
	if owner, err := r.owner(ctx); err != nil || owner != r.s.Owner() {
		return "", err
	}
	return bucketOf(to), nil
}

// predecessor says whether a destination is the stream of another pipeline into the same bucket, as
// one has that got another name: what a stage had before it is remembered there already.
func (r *Stage) predecessor(ctx context.Context, destination string) (bool, error) {
	name, ok := strings.CutPrefix(destination, strings.TrimSuffix(r.s.StreamARN(), r.s.Pipeline.Name))
	if !ok {
		return false, nil
	}
	other, p := *r.s, *r.s.Pipeline
	p.Name, other.Pipeline = name, &p
	stream := &Stream{s: &other, c: r.c.Firehose}
	bucket, err := stream.deployedBucket(ctx)
	if err != nil || bucket != r.s.Bucket() {
		return false, err
	}
	owner, err := stream.owner(ctx)
	return owner == other.Owner(), err
}

// recall is what was remembered of the stage, or nil.
func (r *Stage) recall(ctx context.Context) (*previousLogging, error) {
	buckets, err := stateBuckets(ctx, r.s, r.c)
	if err != nil {
		return nil, fmt.Errorf("recall the stage's previous access log settings: %w", err)
	}
	for _, bucket := range buckets {
		if f, err := r.recallFrom(ctx, bucket); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

func (r *Stage) recallFrom(ctx context.Context, bucket string) (*previousLogging, error) {
	out, err := r.c.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(desired.PreviousLoggingKey(r.ref))})
	if isNothing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recall the stage's previous access log settings: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, maxPrevious))
	if err := errors.Join(err, out.Body.Close()); err != nil {
		return nil, fmt.Errorf("recall the stage's previous access log settings: %w", err)
	}
	f := previousLogging{bucket: bucket}
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, fmt.Errorf("s3://%s/%s, which holds the stage's previous access log settings, is damaged (%w): repair it, or delete it to have the access logs switched off", bucket, desired.PreviousLoggingKey(r.ref), err)
	}
	return &f, nil
}

// forget removes what was remembered of the stage.
func (r *Stage) forget(ctx context.Context) error {
	buckets, err := stateBuckets(ctx, r.s, r.c)
	for _, bucket := range buckets {
		if err == nil {
			_, err = r.c.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(desired.PreviousLoggingKey(r.ref))})
		}
		if isNothing(err) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("forget the stage's previous access log settings: %w", err)
	}
	return nil
}

// isNothing goes by the code: the SDK has a type for NoSuchBucket, and not for every call.
func isNothing(err error) bool { return awserr.Is(err, "NoSuchKey", "NoSuchBucket") }

// gone says whether a previous destination exists no more. What cannot be known counts as
// there: API Gateway is asked then.
func (r *Stage) gone(ctx context.Context, destination string) (bool, error) {
	at, err := arn.Parse(destination)
	if err != nil || at.Region != r.s.Region {
		return false, nil
	}
	if group, ok := strings.CutPrefix(at.Resource, "log-group:"); ok {
		group = strings.TrimSuffix(group, ":*")
		out, err := r.c.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &group})
		if err != nil {
			return false, ctx.Err()
		}
		for _, g := range out.LogGroups { // in order of their names: the name itself comes before longer ones
			if aws.ToString(g.LogGroupName) == group {
				return false, nil
			}
		}
		return true, nil
	}
	if stream, ok := strings.CutPrefix(at.Resource, "deliverystream/"); ok {
		_, err := r.c.Firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &stream})
		return awserr.NotFound(err), ctx.Err()
	}
	return false, nil
}

// LeftStages are the stages that deploy took and that are no longer in the pipeline.
func LeftStages(ctx context.Context, s *desired.Spec, c *Clients) ([]record.StageRef, error) {
	buckets, err := stateBuckets(ctx, s, c)
	if err != nil {
		return nil, fmt.Errorf("look for stages that left the pipeline: %w", err)
	}
	in := map[record.StageRef]bool{}
	for _, st := range s.Pipeline.Stages {
		in[st] = true
	}
	var left []record.StageRef
	for _, bucket := range buckets {
		known, err := rememberedIn(ctx, c, bucket)
		if err != nil {
			return nil, fmt.Errorf("look for stages that left the pipeline: %w", err)
		}
		for _, ref := range known {
			if !in[ref] {
				in[ref], left = true, append(left, ref)
			}
		}
	}
	return left, nil
}

// rememberedIn are the stages of which a bucket remembers the settings.
func rememberedIn(ctx context.Context, c *Clients, bucket string) (refs []record.StageRef, err error) {
	prefix := desired.PreviousLoggingPrefix
	pages := s3.NewListObjectsV2Paginator(c.S3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNothing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			name := strings.TrimSuffix(strings.TrimPrefix(aws.ToString(o.Key), prefix), ".json")
			if api, stage, ok := strings.Cut(name, "/"); ok {
				refs = append(refs, record.StageRef{API: api, Stage: stage})
			}
		}
	}
	return refs, nil
}

// movePrevious takes what is remembered of stages along to the pipeline's bucket, when the stream
// so far delivered into another. What stands in the new bucket already counts. The old bucket
// may be gone, or never have been the pipeline's, as one of another account. One of the account that
// these credentials may not look at is an error: what it remembers would be lost.
func movePrevious(ctx context.Context, s *desired.Spec, c *Clients, old string) error {
	if old == "" || old == s.Bucket() {
		return nil
	}
	mine, err := lookAt(s.WithBucket(old), c).mine(ctx)
	if err != nil || !mine {
		return err
	}
	prefix := desired.PreviousLoggingPrefix
	pages := s3.NewListObjectsV2Paginator(c.S3, &s3.ListObjectsV2Input{Bucket: &old, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNothing(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look in %s for the previous access log settings of stages: %w", old, err)
		}
		for _, o := range page.Contents {
			if err := moveOne(ctx, s, c, old, aws.ToString(o.Key)); err != nil {
				return fmt.Errorf("take s3://%s/%s along to %s: %w", old, aws.ToString(o.Key), s.Bucket(), err)
			}
		}
	}
	return nil
}

func moveOne(ctx context.Context, s *desired.Spec, c *Clients, old, key string) error {
	out, err := c.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &old, Key: &key})
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, maxPrevious))
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return err
	}
	_, err = c.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(s.Bucket()), Key: &key, Body: bytes.NewReader(body),
		ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*")})
	if awserr.Is(err, "PreconditionFailed") {
		return nil
	}
	return err
}
