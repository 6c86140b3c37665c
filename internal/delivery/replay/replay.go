// Package replay takes delivered objects, or those of the error output, through enrichment
// again, into another prefix: logs that were delivered while a key was unknown, or that were
// refused by mistake, are put right.
//
// It keeps no state of its own. What becomes of an object has names that follow from its key,
// and says which version of it is in there; so a replay that was killed goes on where it
// was, one that is repeated does nothing again, and each record is there once however often
// that happens. Records that cannot be enriched this time either are put below the error
// output, and tried again by the next replay.
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

// Bucket is the bucket that is read and written. It may be used in parallel.
type Bucket interface {
	// List calls fn with every object whose key begins with prefix and comes after startAfter, in
	// the order of keys.
	List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error
	// Get opens an object as it is stored.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// Head returns the metadata that Put was given. It wraps record.ErrNotFound when there is no
	// such object.
	Head(ctx context.Context, key string) (record.Meta, error)
	// Put stores an object of m.Size bytes and returns once it is durable.
	Put(ctx context.Context, key string, body io.ReadSeeker, m record.Meta) error
	// Delete removes an object. One that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// MaxRecordBytes is the most that a line of an object holds. An enriched record may be longer
// than Firehose lets one be that comes in.
const MaxRecordBytes = 4 << 20

// Enricher enriches one record. An error says that the record is at fault, without its
// content.
type Enricher interface {
	Append(dst, rec []byte) ([]byte, error)
}

// Config says what is replayed, and whereto.
type Config struct {
	Bucket   Bucket
	Enricher Enricher
	// From is the prefix of the objects. Those below Into, Failed and Except are left out.
	From string
	// Errors says that the objects are an error output: their lines hold the records in
	// Firehose's envelope.
	Errors bool
	// Since and Until bound when an object was delivered; a zero one is no bound.
	Since, Until time.Time
	// Into is the prefix of what comes out. It ends in a slash.
	Into string
	// Failed is the prefix of the records that fail. It ends in a slash.
	Failed string
	// Except are prefixes that hold no logs.
	Except []string
	// Parallel is how many objects are worked on at once. By default 4.
	Parallel int
	// Progress is called now and then, never in parallel. It may be nil.
	Progress func(Summary)
	// Now is by default time.Now.
	Now func() time.Time
}

// Summary is what was done, or is so far.
type Summary struct {
	Objects int `json:"objects"` // to be replayed
	Bytes   int `json:"bytes"`   // of them, as stored

	Done    int `json:"done"`    // objects
	Skipped int `json:"skipped"` // of Done, those that an earlier replay had finished
	Records int `json:"records"` // enriched and put, of the others
	Failed  int `json:"failed"`  // refused by enrichment again
	// Unread are objects that could not be read to their end: nothing of them was put.
	Unread []Unread `json:"unread,omitempty"`
}

// Unread is an object that could not be read, and why.
type Unread struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

const defaultParallel = 4

// Check says what is wrong with where to and from, if anything.
func (c *Config) Check() error {
	switch {
	case c.Into == "" || c.Failed == "":
		return errors.New("replay: no prefix to put into")
	case !strings.HasSuffix(c.Into, "/") || !strings.HasSuffix(c.Failed, "/"):
		return fmt.Errorf("prefix %s does not end in a slash: write %s/", c.Into, c.Into)
	case !c.Errors && strings.HasPrefix(c.Into, c.From):
		return fmt.Errorf("%s lies below %s, which is replayed: the same requests would be there twice; choose a prefix beside it", c.Into, c.From)
	}
	for _, private := range append([]string{c.Failed}, c.Except...) {
		if strings.HasPrefix(c.Into, private) || strings.HasPrefix(private, c.Into) {
			return fmt.Errorf("prefix %s is in the way of %s, which is no place for logs; choose another one", c.Into, private)
		}
	}
	return nil
}

// Find lists the objects that Run will go through.
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

// Run replays. After an error some objects are done and the others are not touched, and it
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
