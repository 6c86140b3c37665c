package doctor

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
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/provision"
)

// watch looks for a marked record in new objects in the bucket.
type watch struct {
	c    *s3.Client
	s    *stream
	m    *marked
	seen map[string]bool // keys that existed before, or do not contain the record
}

// sighting describes where the record was found.
type sighting struct {
	key    string
	record []byte
	failed *objectkey.ErrorRecord // set if it was found in the error output
}

// newWatch lists the objects that exist before the record is sent, so that new ones are
// recognized without comparing clocks.
func (r *run) newWatch(ctx context.Context, s *stream, m *marked) (*watch, error) {
	w := &watch{c: r.c.S3, s: s, m: m, seen: map[string]bool{}}
	keys, err := w.list(ctx)
	for _, k := range keys {
		w.seen[k] = true
	}
	return w, err
}

const (
	firstPause    = 250 * time.Millisecond
	longestPause  = 3 * time.Second
	progressEvery = 30 * time.Second
)

// await polls until it finds the record. It returns nil, nil when the limit is reached, and calls
// progress every 30 seconds.
func (w *watch) await(ctx context.Context, limit time.Duration, progress func(waited time.Duration)) (*sighting, error) {
	start, reported := time.Now(), time.Now()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		found, err := w.look(ctx)
		if found != nil || err != nil {
			return found, err
		}
		if time.Since(start) >= limit {
			return nil, nil
		}
		if time.Since(reported) >= progressEvery {
			reported = time.Now()
			progress(time.Since(start))
		}
		if err := retry.Sleep(ctx, min(pause, limit-time.Since(start))); err != nil {
			return nil, err
		}
	}
}

// look searches the new objects.
func (w *watch) look(ctx context.Context) (*sighting, error) {
	keys, err := w.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if w.seen[key] {
			continue
		}
		found, err := w.read(ctx, key)
		if found != nil || err != nil {
			return found, err
		}
		w.seen[key] = true
	}
	return nil, nil
}

// list returns the keys of objects that may contain the record.
func (w *watch) list(ctx context.Context) (keys []string, err error) {
	for _, place := range w.places(time.Now()) {
		for page, err := range provision.Pages(ctx, s3.NewListObjectsV2Paginator(w.c, &s3.ListObjectsV2Input{Bucket: aws.String(w.s.bucket), Prefix: &place})) {
			if err != nil {
				return nil, err
			}
			for _, o := range page.Contents {
				keys = append(keys, aws.ToString(o.Key))
			}
		}
	}
	return keys, nil
}

// earlier is the maximum age of the oldest record in the same object, which determines the
// object's date: two buffering intervals of up to 15 minutes.
const earlier = 30 * time.Minute

// places returns the prefixes below which the record may appear, for now and for half an hour
// ago. A prefix that also depends on a random string or on the record is truncated there.
func (w *watch) places(now time.Time) (all []string) {
	good, failed, err := objectkey.ParsePrefixes(w.s.prefix(), w.s.errorPrefix())
	if err != nil {
		return []string{literal(w.s.prefix()), literal(w.s.errorPrefix())}
	}
	zone, err := time.LoadLocation(aws.ToString(w.s.to.CustomTimeZone))
	if err != nil {
		zone = time.UTC
	}
	add := func(place string) {
		if !slices.Contains(all, place) {
			all = append(all, place)
		}
	}
	for _, at := range []time.Time{now.Add(-earlier), now} {
		for _, p := range []struct {
			text   string
			prefix objectkey.Prefix
		}{{w.s.prefix(), good}, {w.s.errorPrefix(), failed}} {
			if timeOnly(p.text) {
				add(string(p.prefix.Append(nil, at.In(zone), objectkey.Vars{ErrorOutputType: objectkey.ProcessingFailed})))
			} else {
				add(literal(p.text))
			}
		}
	}
	return all
}

// timeOnly reports whether a prefix depends only on the time.
func timeOnly(prefix string) bool {
	return !strings.Contains(prefix, "random-string") && !strings.Contains(prefix, "partitionKey")
}

// largestObject exceeds the objects that Firehose puts: 128 MiB, or more if delivery is delayed.
const largestObject = 512 << 20

func (w *watch) read(ctx context.Context, key string) (*sighting, error) {
	out, err := w.c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(w.s.bucket), Key: &key})
	if awserr.Is(err, "NoSuchKey") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, largestObject))
	if err := errors.Join(err, out.Body.Close()); err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", w.s.bucket, key, err)
	}
	text, err := unpack(body)
	if err != nil {
		return nil, nil // not an object of this stream
	}
	return w.find(key, text), nil
}

// find searches an object for the record, either plain or in an error record.
func (w *watch) find(key string, text []byte) *sighting {
	marker := []byte(w.m.id)
	for line := range bytes.Lines(text) {
		if e, err := objectkey.ParseErrorLine(line); err == nil && bytes.Contains(e.RawData, marker) {
			return &sighting{key: key, failed: &e}
		}
		if bytes.Contains(line, marker) {
			return &sighting{key: key, record: recordIn(line, marker)}
		}
	}
	return nil
}

// recordIn returns the JSON object that contains the marker, from a line with one or more
// objects. If the line is not JSON, it returns the whole line.
func recordIn(line, marker []byte) []byte {
	for dec := json.NewDecoder(bytes.NewReader(line)); ; {
		var one json.RawMessage
		if err := dec.Decode(&one); err != nil {
			return line
		}
		if bytes.Contains(one, marker) {
			return one
		}
	}
}

// unpack returns the decompressed text of an object. It detects the compression from the content, because an HTTP client
// may have decompressed the object already, and error output is compressed differently.
func unpack(body []byte) (_ []byte, err error) {
	plain, _, err := lines.Open(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return io.ReadAll(io.LimitReader(plain, largestObject))
}
