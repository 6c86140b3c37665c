package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

// watch looks for a marked record in the objects that come into the bucket.
type watch struct {
	c    *s3.Client
	s    *stream
	m    *marked
	seen map[string]bool // keys that were there before, or were read and do not hold it
}

// sighting is where a record came out.
type sighting struct {
	key    string
	record []byte
	failed *objectkey.ErrorRecord // in the error output
}

// newWatch remembers which objects are there before the record is sent: what comes later is
// new whatever the clocks say.
func (r *run) newWatch(ctx context.Context, s *stream, m *marked) (*watch, error) {
	w := &watch{c: r.c.S3, s: s, m: m, seen: map[string]bool{}}
	keys, err := w.list(ctx)
	for _, k := range keys {
		w.seen[k] = true
	}
	return w, err
}

const (
	firstLook = 250 * time.Millisecond
	slowLook  = 3 * time.Second
	tellEvery = 30 * time.Second
)

// await looks until the record is there or the time is over, which is no error. It tells how
// long it waited, now and then.
func (w *watch) await(ctx context.Context, limit time.Duration, tell func(waited time.Duration)) (*sighting, error) {
	begun, told := time.Now(), time.Now()
	for pause := firstLook; ; pause = min(2*pause, slowLook) {
		found, err := w.look(ctx)
		if found != nil || err != nil {
			return found, err
		}
		if time.Since(begun) >= limit {
			return nil, nil
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			tell(time.Since(begun))
		}
		if err := retry.Sleep(ctx, min(pause, limit-time.Since(begun))); err != nil {
			return nil, err
		}
	}
}

// look reads the objects that are new.
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

// list is the keys that the record may be in.
func (w *watch) list(ctx context.Context) (keys []string, err error) {
	for _, place := range w.places(time.Now()) {
		pages := s3.NewListObjectsV2Paginator(w.c, &s3.ListObjectsV2Input{Bucket: aws.String(w.s.bucket), Prefix: &place})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
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

// earlier is how far back the oldest record of the same object may be, which gives the object
// its date: two buffers of 15 minutes at most.
const earlier = 30 * time.Minute

// places are the prefixes below which the record may come out: of this hour and the ones
// beside it. A prefix that also depends on chance or on the record is cut where it does.
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
			if steady(p.text) {
				add(string(p.prefix.Append(nil, at.In(zone), objectkey.Vars{ErrorOutputType: objectkey.ProcessingFailed})))
			} else {
				add(literal(p.text))
			}
		}
	}
	return all
}

// steady says whether a prefix depends on the time alone.
func steady(prefix string) bool {
	return !bytes.Contains([]byte(prefix), []byte("random-string")) && !bytes.Contains([]byte(prefix), []byte("partitionKey"))
}

// largestObject is over what Firehose puts: 128 MiB, and as much again where it lags.
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
	if closeErr := out.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", w.s.bucket, key, err)
	}
	text, err := unpack(body)
	if err != nil {
		return nil, nil // no object of this stream: it does not hold the record
	}
	return w.find(key, text), nil
}

// find is the record in an object, plain or in the envelope of the error output.
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

// recordIn is the JSON object that holds the marker, of those that stand on a line one behind
// the other. A line that is not JSON is taken whole.
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
