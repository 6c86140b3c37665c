// Package replay runs delivered objects, or those of the error output, through enrichment again and
// writes the results below another prefix. It corrects logs that were delivered while a key was
// unknown, or that were rejected by mistake.
//
// It keeps no state of its own. The keys of the outputs follow from the source object's key, and
// their metadata records the source's version. So a killed replay continues where it stopped, a
// repeated one has nothing to do, and each record is written exactly once. Records that fail
// again are put below the error output, and the next replay retries them.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/record"
)

// Bucket reads and writes the objects. It may be used in parallel.
type Bucket interface {
	// List calls fn with every object whose key begins with prefix and sorts after startAfter, in
	// order.
	List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error
	// Get opens an object as it is stored.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// Head returns the metadata passed to Put. The error wraps record.ErrNotFound if there is no
	// such object.
	Head(ctx context.Context, key string) (record.Meta, error)
	// Put stores an object of m.Size bytes and returns once it is durable.
	Put(ctx context.Context, key string, body io.ReadSeeker, m record.Meta) error
	// Delete removes an object. A missing object is not an error.
	Delete(ctx context.Context, key string) error
}

// MaxRecordBytes limits a line of an object. An enriched record may be longer than Firehose's
// limit for incoming records.
const MaxRecordBytes = 4 << 20

// Enricher enriches one record. record.ErrDropped means that it holds no request, any other error that
// it is invalid. Errors do not include the record's content.
type Enricher interface {
	Append(dst, rec []byte) ([]byte, error)
}

// Config selects the objects to replay and the destination.
type Config struct {
	Bucket   Bucket
	Enricher Enricher
	// From is the prefix of the objects. Objects below Into, Failed and Except are skipped.
	From string
	// Errors means that the objects are error output: their lines hold the records in Firehose's
	// envelope.
	Errors bool
	// Since and Until limit the delivery time of the objects; zero means no limit.
	Since, Until time.Time
	// Into is the prefix of the results. It ends in a slash.
	Into string
	// Failed is the prefix of records that fail again. It ends in a slash.
	Failed string
	// Except lists prefixes without logs.
	Except []string
	// Parallel is the number of objects processed in parallel. By default 4.
	Parallel int
	// Progress is called after each object, never in parallel. It may be nil.
	Progress func(Summary)
	// Now is time.Now by default.
	Now func() time.Time
}

// Summary counts what has been done so far.
type Summary struct {
	Objects int `json:"objects"` // to replay
	Bytes   int `json:"bytes"`   // of these objects, as stored

	Done    int `json:"done"`    // objects
	Skipped int `json:"skipped"` // objects of Done that an earlier replay had finished
	Records int `json:"records"` // enriched and put, from the other objects
	Failed  int `json:"failed"`  // failed again
	// Unread lists objects that could not be read completely. None of their records was put.
	Unread []Unread `json:"unread,omitempty"`
}

// Unread is an object that could not be read, and the reason.
type Unread struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

const defaultParallel = 4

// Check reports the first invalid combination of prefixes.
func (c *Config) Check() error {
	switch {
	case c.Into == "" || c.Failed == "":
		return errors.New("replay: Into and Failed must not be empty")
	case !strings.HasSuffix(c.Into, "/") || !strings.HasSuffix(c.Failed, "/"):
		return fmt.Errorf("prefix %s does not end in a slash; use %s/", c.Into, c.Into)
	case !c.Errors && strings.HasPrefix(c.Into, c.From):
		return fmt.Errorf("prefix %s is below %s, which is being reprocessed, so its requests would be counted twice; choose a prefix outside it", c.Into, c.From)
	}
	for _, private := range append([]string{c.Failed}, c.Except...) {
		if strings.HasPrefix(c.Into, private) || strings.HasPrefix(private, c.Into) {
			return fmt.Errorf("prefix %s overlaps %s, which is reserved; choose another prefix", c.Into, private)
		}
	}
	return nil
}

// Find lists the objects that Run will process.
func (c *Config) Find(ctx context.Context) ([]record.Object, Summary, error) {
	var found []record.Object
	var sum Summary
	err := c.Bucket.List(ctx, c.From, "", func(o record.Object) error {
		for _, other := range append([]string{c.Into, c.Failed}, c.Except...) {
			if strings.HasPrefix(o.Key, other) {
				return nil
			}
		}
		if !c.Since.IsZero() && o.Modified.Before(c.Since) || !c.Until.IsZero() && !o.Modified.Before(c.Until) || strings.HasSuffix(o.Key, "/") {
			return nil
		}
		found = append(found, o)
		sum.Bytes += int(o.Size)
		return nil
	})
	sum.Objects = len(found)
	return found, sum, err
}

// Run replays the objects. After an error some objects are finished and the others untouched; Run
// may be repeated.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	if err := cfg.Check(); err != nil {
		return Summary{}, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = defaultParallel
	}
	objects, sum, err := cfg.Find(ctx)
	if err != nil {
		return sum, err
	}
	var mu sync.Mutex // guards sum
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cfg.Parallel)
	for _, o := range objects {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			r := result{cfg: &cfg, of: o}
			err := r.run(ctx)
			mu.Lock()
			defer mu.Unlock()
			unread := (*unreadError)(nil)
			switch {
			case errors.As(err, &unread):
				sum.Unread = append(sum.Unread, Unread{o.Key, unread.Error()})
			case err != nil:
				return fmt.Errorf("replay %s: %w", o.Key, err)
			default:
				sum.Records += r.good.records
				sum.Failed += r.failed.records
			}
			sum.Done++
			if r.skipped {
				sum.Skipped++
			}
			if cfg.Progress != nil {
				cfg.Progress(sum)
			}
			return nil
		})
	}
	err = group.Wait()
	slices.SortFunc(sum.Unread, func(a, b Unread) int { return strings.Compare(a.Key, b.Key) })
	return sum, err
}
