package s3server

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/record"
)

// isReaderPolicy reports whether text is a policy that consists only of statements that earlier versions of `up` wrote for readers.
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

// DropReaderPolicy deletes the policy of a bucket if an earlier version of `up` wrote it for readers. It keeps any other policy.
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
