package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// Reader checks the permissions of a reader's credentials: they must allow listing below the
// prefix and getting an object, but not reading the error output or stagelog's own objects. It
// writes nothing. Each check is passed to report as it completes.
func Reader(ctx context.Context, c *s3.Client, of Delivery, report func(Check)) (Report, error) {
	out := recorder{report: report}
	err := (&reader{c, of, &out}).examine(ctx, "")
	return out.Report, err
}

// Delivery describes where a stream delivers to. Prefixes may contain expressions.
type Delivery struct{ Bucket, Prefix, ErrorPrefix string }

// reader runs checks with a reader's own credentials.
type reader struct {
	s3 *s3.Client
	Delivery
	out *recorder
}

// examine tries everything that a reader must and must not be able to do. key is an object that
// must be readable; if "", the first listed object is used.
func (rd *reader) examine(ctx context.Context, key string) error {
	first, ok, err := rd.list(ctx)
	if err != nil {
		return err
	}
	if key == "" {
		key = first
	}
	switch {
	case key != "":
		if err := rd.get(ctx, key); err != nil {
			return err
		}
	case ok:
		rd.out.problem(Skipped, linkReaders, "get with its credentials", finding{found: "not checked: no object below " + rd.where(), cause: "nothing has been delivered yet", fix: "send a request to the stage, wait for the stream to deliver it, then run doctor again"})
	}
	private := []string{desired.StatePrefix}
	if p := literal(rd.ErrorPrefix); p != "" {
		private = append(private, p)
	}
	for _, p := range private {
		if err := rd.mayNotRead(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// arn returns the bucket's ARN. The partition follows from the Region.
func (rd *reader) arn() string {
	return "arn:" + record.Partition(rd.s3.Options().Region) + ":s3:::" + rd.Bucket
}

func (rd *reader) where() string { return "s3://" + rd.Bucket + "/" + literal(rd.Prefix) }

// list checks that the reader can list, and returns the first non-empty object below the prefix.
func (rd *reader) list(ctx context.Context) (key string, ok bool, err error) {
	const name = "list with its credentials"
	out, err := rd.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(rd.Bucket), Prefix: aws.String(literal(rd.Prefix)), MaxKeys: aws.Int32(20)})
	if err != nil {
		f, fatal := rd.denied(err, "s3:ListBucket", rd.arn())
		if fatal != nil {
			return "", false, fatal
		}
		f.found = "the reader cannot list " + rd.where()
		f.consequence = "it cannot find out which objects exist"
		rd.out.problem(Failed, linkReaders, name, f)
		return "", false, nil
	}
	rd.out.ok(linkReaders, name, "it can list %s", rd.where())
	for _, o := range out.Contents {
		if aws.ToInt64(o.Size) > 0 {
			return aws.ToString(o.Key), true, nil
		}
	}
	return "", true, nil
}

// get checks that the reader can read an object.
func (rd *reader) get(ctx context.Context, key string) error {
	const name = "get with its credentials"
	err := rd.first(ctx, key)
	if err == nil {
		rd.out.ok(linkReaders, name, "it can read s3://%s/%s", rd.Bucket, key)
		return nil
	}
	f, fatal := rd.denied(err, "s3:GetObject", rd.arn()+"/"+literal(rd.Prefix)+"*")
	if fatal != nil {
		return fatal
	}
	f.found = fmt.Sprintf("the reader cannot read s3://%s/%s", rd.Bucket, key)
	f.consequence = "it gets 403 AccessDenied even for objects whose names it knows"
	rd.out.problem(Failed, linkReaders, name, f)
	return nil
}

// first reads the first byte of an object.
func (rd *reader) first(ctx context.Context, key string) error {
	out, err := rd.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(rd.Bucket), Key: &key, Range: aws.String("bytes=0-0")})
	if err != nil {
		return err
	}
	return out.Body.Close()
}

// mayNotRead checks that the reader cannot read below a private prefix. It tries an existing
// object if it can list one, else a name that does not exist: S3 returns 404 only to callers
// that may read.
func (rd *reader) mayNotRead(ctx context.Context, prefix string) error {
	name := "error output with its credentials"
	if prefix == "stagelog/" {
		name = "stagelog's objects with its credentials"
	}
	key := prefix + "stagelog-doctor-probe"
	if out, err := rd.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(rd.Bucket), Prefix: &prefix, MaxKeys: aws.Int32(1)}); err == nil && len(out.Contents) > 0 {
		key = aws.ToString(out.Contents[0].Key)
	}
	err := rd.first(ctx, key)
	switch {
	case err != nil && !awserr.Answered(err):
		return err
	case err != nil && awserr.Denied(err):
		rd.out.ok(linkReaders, name, "it cannot read below %s", prefix)
	case err != nil && !awserr.Is(err, "NoSuchKey", "NotFound") && awserr.Status(err) != http.StatusRequestedRangeNotSatisfiable:
		rd.out.add(unknownCheck(linkReaders, name, "whether it can read below "+prefix, need{"s3:GetObject", rd.arn() + "/" + key}, err))
	default:
		rd.out.problem(Failed, linkReaders, name, finding{
			found: "the reader can read objects below s3://" + rd.Bucket + "/" + prefix, cause: "the bucket policy allows s3:GetObject on more than the delivery prefix, or these are not a reader's credentials",
			consequence: "it can see unmodified failed records and stagelog's own objects",
			fix:         "the bucket's owner restricts the statement's Resource to " + rd.arn() + "/" + literal(rd.Prefix) + "*: stagelog deploy",
		})
	}
	return nil
}

// denied explains why S3 rejected a call. The error is set for an error that is not a response
// from S3 or is due to invalid credentials.
func (rd *reader) denied(err error, action, resource string) (finding, error) {
	if !awserr.Answered(err) || awserr.BadCredentials(err) {
		return finding{}, err
	}
	message := awserr.Message(err)
	f := finding{
		cause: "either the bucket policy does not allow the reader's account, or the reader's own account does not allow this user or role: S3 needs both",
		fix:   "the bucket's owner runs stagelog doctor, which evaluates the bucket policy; the reader's account adds:\n" + allowStatement([]string{action}, []string{resource}),
	}
	switch region := awserr.BucketRegion(err); {
	case awserr.Is(err, "NoSuchBucket"):
		f.cause, f.fix = "the bucket does not exist", "correct bucket: in stagelog.yaml"
	case region != "" && region != rd.s3.Options().Region && !awserr.Denied(err):
		f.cause, f.fix = fmt.Sprintf("the bucket is in %s, and the reader uses %s", region, rd.s3.Options().Region), "stagelog doctor --as-reader --region "+region
	case strings.Contains(message, "kms:"):
		f.cause = "the object is encrypted with a KMS key that the reader is not allowed to use: " + truncate(message, 200)
		f.fix = "allow kms:Decrypt on it in both the key policy and the reader's account:\n" + allowStatement([]string{"kms:Decrypt"}, []string{"KEY_ARN"})
	case strings.Contains(message, "explicit deny"):
		f.cause = "an explicit deny: " + truncate(message, 200)
	case strings.Contains(message, "no resource-based policy"):
		f.cause = "the bucket policy does not allow the reader"
		f.fix = "the bucket's owner adds the reader's account: stagelog deploy, with readers: in stagelog.yaml"
	case strings.Contains(message, "no identity-based policy"):
		f.cause = "the reader's own account does not allow this user or role"
	case !awserr.Denied(err):
		f.cause = firstLine(err.Error())
	}
	return f, nil
}
