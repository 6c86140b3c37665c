package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/pipeline"
)

// former is what a stage's access log settings were before deploy changed them, as the bucket
// keeps it.
type former struct {
	API   string `json:"api"`
	Stage string `json:"stage"`
	settings
	ReplacedAt time.Time `json:"replacedAt"`
}

// maxFormer is far over what a format can have.
const maxFormer = 1 << 20

// remember keeps what a stage has before it is changed. What is kept already stays when the
// stage has the pipeline's settings, or none: those came later.
func (r *Stage) remember(ctx context.Context, now settings) error {
	if r.ours(now) || now.DestinationARN == "" {
		known, err := r.recall(ctx)
		if err != nil || known != nil {
			return err
		}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(former{API: r.ref.API, Stage: r.ref.Stage, settings: now, ReplacedAt: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return err
	}
	_, err := r.c.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(r.s.Bucket()), Key: aws.String(r.s.FormerKey(r.ref)),
		Body: bytes.NewReader(body.Bytes()), ContentType: aws.String("application/json"),
	})
	if err != nil {
		return fmt.Errorf("remember the stage's access log settings before they are replaced: %w", err)
	}
	return nil
}

// recall is what was remembered of the stage, or nil.
func (r *Stage) recall(ctx context.Context) (*former, error) {
	out, err := r.c.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(r.s.Bucket()), Key: aws.String(r.s.FormerKey(r.ref))})
	if isNothing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recall the stage's former access log settings: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, maxFormer))
	if err := errors.Join(err, out.Body.Close()); err != nil {
		return nil, fmt.Errorf("recall the stage's former access log settings: %w", err)
	}
	var f former
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, fmt.Errorf("s3://%s/%s, which holds the stage's former access log settings, is damaged (%w): mend it, or delete it to have the access logs switched off", r.s.Bucket(), r.s.FormerKey(r.ref), err)
	}
	return &f, nil
}

// forget removes what was remembered of the stage.
func (r *Stage) forget(ctx context.Context) error {
	_, err := r.c.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(r.s.Bucket()), Key: aws.String(r.s.FormerKey(r.ref))})
	if err != nil && !isNothing(err) {
		return fmt.Errorf("forget the stage's former access log settings: %w", err)
	}
	return nil
}

func isNothing(err error) bool {
	var key *types.NoSuchKey
	var bucket *types.NoSuchBucket
	return errors.As(err, &key) || errors.As(err, &bucket)
}

// gone says whether a former destination exists no more. What cannot be known counts as
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
		none := (*firehosetypes.ResourceNotFoundException)(nil)
		return errors.As(err, &none), ctx.Err()
	}
	return false, nil
}

// LeftStages are the stages that deploy took and that are no longer in the pipeline.
func LeftStages(ctx context.Context, s *Spec, c *Clients) ([]pipeline.StageRef, error) {
	in := map[pipeline.StageRef]bool{}
	for _, st := range s.Pipeline.Stages {
		in[st] = true
	}
	prefix := statePrefix + "former/"
	pages := s3.NewListObjectsV2Paginator(c.S3, &s3.ListObjectsV2Input{Bucket: aws.String(s.Bucket()), Prefix: &prefix})
	var left []pipeline.StageRef
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNothing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look for stages that left the pipeline: %w", err)
		}
		for _, o := range page.Contents {
			name := strings.TrimSuffix(strings.TrimPrefix(aws.ToString(o.Key), prefix), ".json")
			api, stage, ok := strings.Cut(name, "/")
			if ref := (pipeline.StageRef{API: api, Stage: stage}); ok && !in[ref] {
				left = append(left, ref)
			}
		}
	}
	return left, nil
}

// moveFormer takes what is remembered of stages along to the pipeline's bucket, when the stream
// so far delivered into another. What stands in the new bucket already counts. The old bucket
// may be gone, or never have been the pipeline's.
func moveFormer(ctx context.Context, s *Spec, c *Clients, old string) error {
	if old == "" || old == s.Bucket() {
		return nil
	}
	prefix := statePrefix + "former/"
	pages := s3.NewListObjectsV2Paginator(c.S3, &s3.ListObjectsV2Input{Bucket: &old, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNothing(err) || answered(err, denials...) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look in %s for the former access log settings of stages: %w", old, err)
		}
		for _, o := range page.Contents {
			if err := moveOne(ctx, s, c, old, aws.ToString(o.Key)); err != nil {
				return fmt.Errorf("take s3://%s/%s along to %s: %w", old, aws.ToString(o.Key), s.Bucket(), err)
			}
		}
	}
	return nil
}

func moveOne(ctx context.Context, s *Spec, c *Clients, old, key string) error {
	out, err := c.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &old, Key: &key})
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, maxFormer))
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return err
	}
	_, err = c.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(s.Bucket()), Key: &key, Body: bytes.NewReader(body),
		ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*")})
	if answered(err, "PreconditionFailed") {
		return nil
	}
	return err
}
