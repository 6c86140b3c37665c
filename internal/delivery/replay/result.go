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

// Metadata of the objects that a replay writes.
const (
	metaSource = "stagelog-source-etag" // ETag of the source object
	metaFailed = "stagelog-failed"      // number of its records that failed
	metaSHA256 = "stagelog-sha256"      // checksum of the output's records
)

// partBytes is the approximate size of the parts in which a line without newlines is enriched.
const partBytes = 256 << 10

// result processes one object into two outputs: one with the enriched records and one with the
// failed ones.
//
// Both outputs reflect the newest replay. The failed output is written, or removed, first: if the
// replay stops between the two, the metadata of the good output does not say that this version was
// replayed without failures, and the next replay does both again. An output that would not change
// is not put again, so repeated failures only cost reading, and a replay that is killed often
// still makes progress.
type result struct {
	cfg          *Config
	of           record.Object
	good, failed output
	skipped      bool
	scratch      []byte
}

// unreadError is an error in the object itself.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }

func (r *result) run(ctx context.Context) (err error) {
	r.good.key = keyOf(r.cfg.Into, strings.TrimPrefix(r.of.Key, r.cfg.From))
	r.failed.key = keyOf(r.cfg.Failed, r.of.Key)
	existing, err := r.existing(ctx)
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
		case out.records > 0 && !maps.Equal(existing[i], meta):
			if err := out.put(ctx, r.cfg.Bucket, meta); err != nil {
				return err
			}
		case out.records == 0 && existing[i] != nil:
			if err := r.cfg.Bucket.Delete(ctx, out.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// existing returns the metadata of the failed and the good output of an earlier replay. It sets
// skipped if there is nothing left to do.
func (r *result) existing(ctx context.Context) (existing [2]map[string]string, err error) {
	for i, out := range []*output{&r.failed, &r.good} {
		meta, err := r.cfg.Bucket.Head(ctx, out.key)
		switch {
		case errors.Is(err, record.ErrNotFound):
			continue
		case err != nil:
			return existing, err
		case meta.User[metaSource] == "":
			return existing, fmt.Errorf("%s exists and was not created by a replay; choose another prefix", out.key)
		}
		existing[i] = meta.User
		r.skipped = out == &r.good && meta.User[metaSource] == r.of.ETag && meta.User[metaFailed] == "0"
	}
	return existing, nil
}

// read enriches the object's records into the two outputs.
func (r *result) read(ctx context.Context) error {
	body, err := r.cfg.Bucket.Get(ctx, r.of.Key)
	if errors.Is(err, record.ErrNotFound) {
		return &unreadError{errors.New("the object disappeared after it was listed")}
	}
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
		return &unreadError{errors.New("cannot reprocess a Parquet file: it contains the records' values, not the records")}
	}
	packed := form != lines.Plain || strings.HasSuffix(r.good.key, gzipExt)
	r.good.packed, r.failed.packed = packed, packed
	r.good.sum, r.failed.sum = sha256.New(), sha256.New()
	fnErr := error(nil)
	err = lines.Lines(plain, partBytes, MaxRecordBytes, func(line []byte, cut bool) error {
		if ctx.Err() != nil {
			fnErr = ctx.Err()
		} else {
			fnErr = r.line(line, cut)
		}
		return fnErr
	})
	switch {
	case fnErr != nil:
		return fnErr
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &unreadError{fmt.Errorf("read %s data: %w", form, err)}
	}
	if err := r.failed.finish(); err != nil {
		return err
	}
	return r.good.finish()
}

// line enriches one line.
func (r *result) line(line []byte, cut bool) error {
	now := r.cfg.Now()
	failed := objectkey.ErrorRecord{Arrived: r.of.Modified}
	rec := line
	if cut {
		return &unreadError{fmt.Errorf("line is longer than %d bytes", MaxRecordBytes)}
	}
	if r.cfg.Errors {
		var err error
		if failed, err = objectkey.ParseErrorLine(line); err != nil {
			return &unreadError{fmt.Errorf("not Firehose error output: %w", err)}
		}
		rec = failed.RawData
	}
	out, err := r.cfg.Enricher.Append(r.scratch[:0], rec)
	switch {
	case err == nil:
		r.scratch = out
		return r.good.write(out, out)
	case errors.Is(err, record.ErrDropped):
		return nil
	}
	failed.RawData, failed.ErrorCode, failed.ErrorMessage = rec, record.CodeProcessingFailed, err.Error()
	failed.AttemptsMade++
	failed.AttemptsEnded = now
	r.scratch = failed.AppendLine(r.scratch[:0])
	return r.failed.write(r.scratch, rec)
}
