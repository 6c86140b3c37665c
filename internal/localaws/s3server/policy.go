package s3server

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/record"
)

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal struct{ AWS []string }
	Action    string
	Resource  string
}

// ReaderPolicy is the bucket policy that lets the readers, AWS account ids, list the
// bucket, ask for its location, and get the objects below the delivery prefix; nothing
// else. prefix may hold Firehose expressions: what stands before the first counts. An
// empty prefix opens every object of the bucket, error objects included.
//
// ListBucket and GetBucketLocation are actions on the bucket and GetObject is one on
// objects, so they cannot share a Resource.
func ReaderPolicy(bucket, prefix string, readers []string) []byte {
	prefix, _, _ = strings.Cut(prefix, "!{")
	p := policy{Version: "2012-10-17", Statement: []statement{}}
	if len(readers) > 0 {
		arn := "arn:aws:s3:::" + bucket
		p.Statement = append(p.Statement,
			grant("ReaderList", "s3:ListBucket", arn, readers),
			grant("ReaderLocation", "s3:GetBucketLocation", arn, readers),
			grant("ReaderGet", "s3:GetObject", arn+"/"+prefix+"*", readers))
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		panic("BUG: a policy of strings cannot be written: " + err.Error())
	}
	return text
}

func grant(sid, action, resource string, readers []string) statement {
	s := statement{Sid: sid, Effect: "Allow", Action: action, Resource: resource}
	for _, id := range readers {
		s.Principal.AWS = append(s.Principal.AWS, "arn:aws:iam::"+id+":root")
	}
	return s
}

// isReaderPolicy says whether text is a policy of ReaderPolicy's statements alone.
func isReaderPolicy(text string) bool {
	var p struct{ Statement []struct{ Sid string } }
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return false
	}
	for _, s := range p.Statement {
		if s.Sid != "ReaderList" && s.Sid != "ReaderLocation" && s.Sid != "ReaderGet" {
			return false
		}
	}
	return len(p.Statement) > 0
}

// DropReaderPolicy deletes the policy of a bucket if ReaderPolicy made it. A policy that someone
// else wrote stays as it is.
func DropReaderPolicy(ctx context.Context, objects *bucket.Client, name string) error {
	text, err := objects.Policy(ctx, name)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !isReaderPolicy(text):
		return nil
	}
	return objects.DeletePolicy(ctx, name)
}
