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
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// previousLogging holds a stage's access log settings from before deploy, as stored in the bucket.
type previousLogging struct {
	API   string `json:"api"`
	Stage string `json:"stage"`
	settings
	ReplacedAt time.Time `json:"replacedAt"`

	bucket string // where it is stored
}

// maxPrevious is far above the size of any format.
const maxPrevious = 1 << 20

// remember stores a stage's settings before they are changed. It keeps an existing record if the
// stage has no settings, or those of the pipeline or of its predecessor: the record is older.
func (r *Stage) remember(ctx context.Context, now settings, progress func(string)) error {
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
	err := repeat(ctx, progress, func() error {
		_, err := r.c.S3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(r.s.Bucket()), Key: aws.String(r.s.PreviousLoggingKey(r.ref)),
			Body: bytes.NewReader(body.Bytes()), ContentType: aws.String("application/json"),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("save the stage's previous access log settings: %w", err)
	}
	return nil
}

// stateBuckets returns the buckets that hold the pipeline's state: its own and, if bucket: in
// stagelog.yaml changed since the last deploy, the one that its stream still delivers to.
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

// deployedBucket returns the bucket that the stream delivers to if that is the pipeline's or the
// stream has the pipeline's tag, otherwise "".
func (r *Stream) deployedBucket(ctx context.Context) (string, error) {
	d, err := r.describe(ctx)
	if err != nil || d == nil {
		return "", err
	}
	to := destinationOf(d)
	switch {
	case to == nil:
		return "", nil
	case bucketOf(to) == r.s.Bucket(): // saves one call per stage
		return r.s.Bucket(), nil
	}
	if owner, err := r.owner(ctx); err != nil || owner != r.s.Owner() {
		return "", err
	}
	return bucketOf(to), nil
}

// predecessor reports whether a destination is the stream of another pipeline with the same bucket,
// as after renaming a pipeline: the stage's previous logging is then stored already.
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

// recall returns the stage's stored previous logging, or nil.
func (r *Stage) recall(ctx context.Context) (*previousLogging, error) {
	buckets, err := r.stream.stateBuckets(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the stage's previous access log settings: %w", err)
	}
	for _, bucket := range buckets {
		if f, err := r.recallFrom(ctx, bucket); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

func (r *Stage) recallFrom(ctx context.Context, bucket string) (*previousLogging, error) {
	key := r.s.WithBucket(bucket).PreviousLoggingKey(r.ref)
	body, err := readState(ctx, r.c, bucket, key)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the stage's previous access log settings: %w", err)
	}
	f := previousLogging{bucket: bucket}
	err = json.Unmarshal(body, &f)
	if err == nil && (f.API != r.ref.API || f.Stage != r.ref.Stage) {
		err = fmt.Errorf("it is about the stage %q", f.API+"/"+f.Stage)
	}
	if err != nil {
		return nil, fmt.Errorf("the stage's previous access log settings, in s3://%s/%s, %w: %w; repair the object, or delete it to disable access logs instead", bucket, key, errDamaged, err)
	}
	return &f, nil
}

// errDamaged means that the record of a stage's previous logging cannot be used.
var errDamaged = errors.New("are damaged")

// readState reads one of stagelog's own objects.
func readState(ctx context.Context, c *Clients, bucket, key string) ([]byte, error) {
	out, err := c.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, maxPrevious))
	return body, errors.Join(err, out.Body.Close())
}

// forget deletes the stage's stored previous logging.
func (r *Stage) forget(ctx context.Context) error {
	buckets, err := r.stream.stateBuckets(ctx)
	for _, bucket := range buckets {
		if err == nil {
			_, err = r.c.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(r.s.WithBucket(bucket).PreviousLoggingKey(r.ref))})
		}
		if isMissing(err) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete the stage's stored access log settings: %w", err)
	}
	return nil
}

// isMissing compares codes: the SDK does not return its NoSuchBucket type from every call.
func isMissing(err error) bool { return awserr.Is(err, "NoSuchKey", "NoSuchBucket") }

// ending is what happens to a stage that leaves the pipeline.
type ending struct {
	text    string    // the result, in words
	set     *settings // to restore, from bucket; nil to restore nothing
	bucket  string
	disable bool // disable access logs
	keep    bool // keep the record: another pipeline needs it
}

// ending finds out what Destroy will do, without a change.
func (r *Stage) ending(ctx context.Context) (ending, error) {
	now, err := r.settings(ctx)
	if errors.Is(err, ErrNoParent) {
		return ending{text: "the stage no longer exists"}, nil
	}
	if err != nil {
		return ending{}, err
	}
	was, err := r.recall(ctx)
	if err != nil && (r.ours(now) || !errors.Is(err, errDamaged)) {
		return ending{}, err
	}
	if !r.ours(now) {
		return r.endingElsewhere(ctx, now, was)
	}
	switch {
	case was == nil:
		return ending{text: fmt.Sprintf("access logs disabled: what they were before the deploy is not recorded (no object s3://%s/%s)", r.s.Bucket(), r.s.PreviousLoggingKey(r.ref)), disable: true}, nil
	case was.DestinationARN == "":
		return ending{text: "access logs disabled, as before", disable: true}, nil
	case r.ours(was.settings):
		return ending{text: "access logs disabled: their previous destination was the same stream", disable: true}, nil
	}
	to := destinationText(was.DestinationARN)
	gone, unknown, err := r.gone(ctx, was.DestinationARN)
	switch {
	case err != nil:
		return ending{}, err
	case gone:
		return ending{text: fmt.Sprintf("access logs disabled: their previous destination, %s, no longer exists%s", to, r.restoreLater(was.settings)), disable: true}, nil
	case unknown != "":
		return ending{text: fmt.Sprintf("previous access logs restored, to %s; it is unknown whether that still exists: %s", to, unknown), set: &was.settings, bucket: was.bucket}, nil
	}
	return ending{text: "previous access logs restored, to " + to, set: &was.settings, bucket: was.bucket}, nil
}

// endingElsewhere returns the ending of a stage that does not log to the pipeline's stream: its settings are not changed, except to
// finish what an interrupted putBack began.
func (r *Stage) endingElsewhere(ctx context.Context, now settings, was *previousLogging) (ending, error) {
	to := destinationText(now.DestinationARN)
	switch {
	case was != nil && now == was.settings && now.DestinationARN != "":
		return ending{text: "previous access logs restored already, to " + to}, nil
	case was != nil && now.DestinationARN == "" && was.DestinationARN != "" && was.Format == "":
		return ending{text: "previous access logs restored, to " + destinationText(was.DestinationARN), set: &was.settings, bucket: was.bucket}, nil
	case now.DestinationARN == "":
		return ending{text: "not changed: access logs were disabled after the deploy"}, nil
	}
	needed, err := r.predecessor(ctx, now.DestinationARN)
	return ending{text: "not changed: access logs were redirected after the deploy, to " + to, keep: needed}, err
}

// restoreLater returns how to set settings that cannot be restored now. Their record is deleted.
func (r *Stage) restoreLater(was settings) string {
	return "; once that is corrected, this command restores them: " + SetLoggingCommand(r.s.Region, r.ref, was.DestinationARN, was.Format)
}

// gone reports whether a previous destination no longer exists. API Gateway does not check that for a log group: it accepts one
// that does not exist, and the stage's logs are lost (recorded from AWS by LocalStack's tests, pull request 13849). So a destination that
// is gone is not set. unknown is the reason why it could not be checked, if so.
func (r *Stage) gone(ctx context.Context, destination string) (gone bool, unknown string, err error) {
	at, err := arn.Parse(destination)
	switch {
	case err != nil:
		return false, "its ARN cannot be read", nil
	case at.Region != r.s.Region || at.AccountID != r.s.Account:
		return false, fmt.Sprintf("it is in %s of account %s", at.Region, at.AccountID), nil
	}
	if group, ok := strings.CutPrefix(at.Resource, "log-group:"); ok {
		found, err := (&logGroup{c: r.c.Logs, group: strings.TrimSuffix(group, ":*")}).describe(ctx)
		return err == nil && found == nil, reasonOf(err), ctx.Err()
	}
	if stream, ok := strings.CutPrefix(at.Resource, "deliverystream/"); ok {
		out, err := r.c.Firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &stream})
		if awserr.NotFound(err) {
			return true, "", ctx.Err()
		}
		return err == nil && out.DeliveryStreamDescription.DeliveryStreamStatus == types.DeliveryStreamStatusDeleting, reasonOf(err), ctx.Err()
	}
	return false, "it is neither a log group nor a delivery stream", nil
}

// reasonOf returns the first line of an error's explanation, "" without an error.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	reason, _, _ := strings.Cut(Explain(err).Error(), "\n")
	return reason
}

// LeftStages returns the stages that were deployed earlier but are no longer in the pipeline.
func LeftStages(ctx context.Context, s *desired.Spec, c *Clients) ([]record.StageRef, error) {
	if s.StagesElsewhere {
		return nil, nil
	}
	buckets, err := stateBuckets(ctx, s, c)
	if err != nil {
		return nil, fmt.Errorf("find stages removed from the pipeline: %w", err)
	}
	in := map[record.StageRef]bool{}
	for _, st := range s.Pipeline.Stages {
		in[st] = true
	}
	var left []record.StageRef
	for _, bucket := range buckets {
		of := s.WithBucket(bucket)
		keys, err := previousKeys(ctx, of, c)
		if err != nil {
			return nil, fmt.Errorf("find stages removed from the pipeline: %w", err)
		}
		for _, key := range keys {
			name := strings.TrimSuffix(strings.TrimPrefix(key, of.PreviousLoggingPrefix()), ".json")
			api, stage, ok := strings.Cut(name, "/")
			if ref := (record.StageRef{API: api, Stage: stage}); ok && !in[ref] {
				in[ref], left = true, append(left, ref)
			}
		}
	}
	return left, nil
}

// previousKeys returns the objects with the stages' previous logging in the bucket.
func previousKeys(ctx context.Context, s *desired.Spec, c *Clients) (keys []string, err error) {
	for page, err := range Pages(ctx, s3.NewListObjectsV2Paginator(c.S3, &s3.ListObjectsV2Input{Bucket: aws.String(s.Bucket()), Prefix: aws.String(s.PreviousLoggingPrefix())})) {
		if isMissing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys, nil
}

// movePrevious copies the stored previous logging of all stages from the stream's old bucket to
// the pipeline's. Records in the new bucket take precedence. It ignores an old bucket that no longer
// exists or belongs to another account, but fails for one of this account without read permission:
// its records would be lost.
func movePrevious(ctx context.Context, s *desired.Spec, c *Clients, old string, progress func(string)) error {
	if old == "" || old == s.Bucket() {
		return nil
	}
	from := s.WithBucket(old)
	mine, err := lookAt(from, c).mine(ctx)
	if err != nil || !mine {
		return err
	}
	keys, err := previousKeys(ctx, from, c)
	if err != nil {
		return fmt.Errorf("list previous access log settings in %s: %w", old, err)
	}
	for _, key := range keys {
		body, err := readState(ctx, c, old, key)
		to := s.PreviousLoggingPrefix() + strings.TrimPrefix(key, from.PreviousLoggingPrefix())
		if err == nil {
			err = repeat(ctx, progress, func() error {
				_, err := c.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(s.Bucket()), Key: &to, Body: bytes.NewReader(body),
					ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*")})
				return err
			})
		}
		if err != nil && !awserr.Is(err, "PreconditionFailed") {
			return fmt.Errorf("copy s3://%s/%s to %s: %w", old, key, s.Bucket(), err)
		}
	}
	return nil
}
