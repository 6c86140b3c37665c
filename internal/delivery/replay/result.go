package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/record"
)

// What an object of ours says about itself.
const (
	metaSource = "stagelog-source-etag" // of the object that it was made from
	metaFailed = "stagelog-failed"      // how many records of that one failed
	metaSHA256 = "stagelog-sha256"      // of its records
)

// partBytes is about how much of a line without newlines is enriched at once.
const partBytes = 256 << 10

// result is what becomes of one object: one object with what could be enriched and one with
// what could not.
//
// Both exist or do not as the newest replay has found. The one that failed is written, or
// removed, first: while it and the other disagree, the other does not say that it is made
// of this version without failures, and whoever comes next does both again. What is there
// already as it would be put is not put again: what fails every time costs reading alone, and
// a replay that is killed often still comes to its end.
type result struct {
	cfg          *Config
	of           record.Object
	good, failed output
	skipped      bool
	scratch      []byte
}

// unreadError is an object's own fault.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }

func (r *result) run(ctx context.Context) (err error) {
	r.good.key = keyOf(r.cfg.Into, strings.TrimPrefix(r.of.Key, r.cfg.From))
	r.failed.key = keyOf(r.cfg.Failed, r.of.Key)
	stands, err := r.stands(ctx)
	if err != nil || r.skipped {
		return err
	}
	defer func() { err = errors.Join(err, r.good.discard(), r.failed.discard()) }()
	if err := r.read(ctx); err != nil {
		return err
	}
	for i, out := range []*output{&r.failed, &r.good} {
		meta := map[string]string{metaSource: r.of.ETag, metaFailed: strconv.Itoa(r.failed.records), metaSHA256: hex.EncodeToString(out.sum.Sum(nil))}
		switch {
		case out.records > 0 && !maps.Equal(stands[i], meta):
			if err := out.put(ctx, r.cfg.Bucket, meta); err != nil {
				return err
			}
		case out.records == 0 && stands[i] != nil:
			if err := r.cfg.Bucket.Delete(ctx, out.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// stands is what those of both objects say of themselves that stand in the bucket from a replay
// before. It sets skipped when nothing is left to do.
func (r *result) stands(ctx context.Context) (stands [2]map[string]string, err error) {
	for i, out := range []*output{&r.failed, &r.good} {
		meta, err := r.cfg.Bucket.Head(ctx, out.key)
		switch {
		case errors.Is(err, record.ErrNotFound):
			continue
		case err != nil:
			return stands, err
		case meta.User[metaSource] == "":
			return stands, fmt.Errorf("%s is there, and no replay has put it: choose another prefix", out.key)
		}
		stands[i] = meta.User
		r.skipped = out == &r.good && meta.User[metaSource] == r.of.ETag && meta.User[metaFailed] == "0"
	}
	return stands, nil
}

// read enriches the object's records into both outputs.
func (r *result) read(ctx context.Context) error {
	body, err := r.cfg.Bucket.Get(ctx, r.of.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	plain, form, err := lines.Open(body)
	if err != nil {
		return &unreadError{err}
	}
	defer plain.Close()
	if form == lines.Parquet {
		return &unreadError{errors.New("it is a Parquet file, which has the records' values and not the records")}
	}
	packed := form != lines.Plain || strings.HasSuffix(r.good.key, gzipExt)
	r.good.packed, r.failed.packed = packed, packed
	r.good.sum, r.failed.sum = sha256.New(), sha256.New()
	ours := error(nil)
	err = lines.Lines(plain, partBytes, MaxRecordBytes, func(line []byte, cut bool) error {
		if ctx.Err() != nil {
			ours = ctx.Err()
		} else {
			ours = r.line(line, cut)
		}
		return ours
	})
	switch {
	case ours != nil:
		return ours
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &unreadError{fmt.Errorf("read the %s data: %w", form, err)}
	}
	if err := r.failed.finish(); err != nil {
		return err
	}
	return r.good.finish()
}

// line takes one line through enrichment.
func (r *result) line(line []byte, cut bool) error {
	now := r.cfg.Now()
	failed := objectkey.ErrorRecord{Arrived: r.of.Modified}
	rec := line
	if cut {
		return &unreadError{fmt.Errorf("a line is longer than %d bytes", MaxRecordBytes)}
	}
	if r.cfg.Errors {
		var err error
		if failed, err = objectkey.ParseErrorLine(line); err != nil {
			return &unreadError{fmt.Errorf("not an error output of Firehose: %w", err)}
		}
		rec = failed.RawData
	}
	out, err := r.cfg.Enricher.Append(r.scratch[:0], rec)
	if err == nil {
		r.scratch = out
		return r.good.write(out, out)
	}
	failed.RawData, failed.ErrorCode, failed.ErrorMessage = rec, record.CodeProcessingFailed, err.Error()
	failed.AttemptsMade++
	failed.AttemptsEnded = now
	r.scratch = failed.AppendLine(r.scratch[:0])
	return r.failed.write(r.scratch, rec)
}
