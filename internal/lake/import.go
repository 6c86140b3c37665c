//go:build cgo

package lake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A transaction takes so many rows or objects, about, unless it is told otherwise.
const (
	defaultBatchRows = 500_000
	batchObjects     = 1000
)

// Import imports the objects of a source that are not in the lake yet. It may be repeated, and
// goes on where it was after a failure or a kill.
func (l *Lake) Import(ctx context.Context, src Source, opts ImportOptions) (Summary, error) {
	if opts.Parallel <= 0 {
		opts.Parallel = 2 * runtime.GOMAXPROCS(0)
	}
	if opts.BatchRows <= 0 {
		opts.BatchRows = defaultBatchRows
	}
	im := importer{lake: l, src: src, opts: opts, seen: map[string]bool{}}
	if err := im.load(ctx); err != nil {
		return im.sum, err
	}
	group, ctx := errgroup.WithContext(ctx)
	queue := make(chan chan *read, opts.Parallel)
	group.Go(func() error { return im.find(ctx, queue) })
	group.Go(func() error { return im.store(ctx, queue) })
	err := group.Wait()
	return im.sum, err
}

// importer is one import.
type importer struct {
	lake *Lake
	src  Source
	opts ImportOptions

	known map[string]known // by key, of the prefix
	next  int32            // id
	seen  map[string]bool  // keys of known that were found, when the others are to be forgotten

	found atomic.Int64
	batch []*read
	rows  int64
	sum   Summary // of what is in the lake
}

type known struct {
	id   int32
	etag string
}

// load reads what is in the lake already.
func (im *importer) load(ctx context.Context) error {
	im.known = map[string]known{}
	rows, err := im.lake.db.QueryContext(ctx, "SELECT id, key, etag FROM objects WHERE bucket = ? AND starts_with(key, ?)", im.src.Bucket(), im.opts.Prefix)
	if err != nil {
		return fmt.Errorf("read which objects are in the lake: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k known
		var key string
		if err := rows.Scan(&k.id, &key, &k.etag); err != nil {
			return fmt.Errorf("read which objects are in the lake: %w", err)
		}
		im.known[key] = k
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read which objects are in the lake: %w", err)
	}
	return im.lake.db.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM objects").Scan(&im.next)
}

// find lists the objects and has each that is new read; queue gets them in the list's order.
func (im *importer) find(ctx context.Context, queue chan<- chan *read) error {
	defer close(queue)
	readers, ctx := errgroup.WithContext(ctx)
	readers.SetLimit(im.opts.Parallel)
	listed := list(ctx, im.src, im.opts.Prefix, windowOf(im.opts.From, im.opts.To), func(o Object) error {
		for _, other := range im.opts.Except {
			if other != "" && strings.HasPrefix(o.Key, other) {
				return nil
			}
		}
		im.found.Add(1)
		if im.opts.Forget {
			im.seen[o.Key] = true
		}
		if im.known[o.Key].etag == o.ETag {
			return nil
		}
		im.next++
		id, done := im.next, make(chan *read, 1)
		select {
		case queue <- done:
		case <-ctx.Done():
			return ctx.Err()
		}
		readers.Go(func() error {
			r, err := readObject(ctx, im.src, o, id, im.opts.Mapping, im.lake.dir)
			if err != nil {
				return err
			}
			done <- r
			return nil
		})
		return nil
	})
	return errors.Join(readers.Wait(), listed)
}

// store puts what was read into the lake, many objects in a transaction.
func (im *importer) store(ctx context.Context, queue <-chan chan *read) error {
	for done := range queue {
		select {
		case r := <-done:
			im.batch = append(im.batch, r)
			im.rows += r.count.rows
		case <-ctx.Done():
			return ctx.Err()
		}
		if im.rows >= im.opts.BatchRows || len(im.batch) >= batchObjects {
			if err := im.flush(ctx, false); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return im.flush(ctx, true)
}

// flush is one transaction. The last one marks the requests that were there already.
func (im *importer) flush(ctx context.Context, last bool) error {
	defer func() {
		for _, r := range im.batch {
			_ = os.Remove(r.file) // its folder goes in the end
		}
		im.batch, im.rows = nil, 0
	}()
	sum := im.sum
	err := im.lake.tx(ctx, func(tx *sql.Tx) error {
		if len(im.batch) > 0 {
			if err := im.insert(ctx, tx, &sum); err != nil {
				return err
			}
		}
		if !last {
			return nil
		}
		if im.opts.Forget {
			if err := im.forget(ctx, tx, &sum); err != nil {
				return err
			}
		}
		n, err := markDuplicates(ctx, tx)
		sum.Duplicates = n
		return err
	})
	if err != nil {
		return fmt.Errorf("write to the lake: %w", err)
	}
	sum.Found = int(im.found.Load())
	im.sum = sum
	if im.opts.Progress != nil {
		im.opts.Progress(sum)
	}
	return nil
}

// insert adds the batch's objects and their rows.
func (im *importer) insert(ctx context.Context, tx *sql.Tx, sum *Summary) error {
	objects, bad, files := &table{dir: im.lake.dir}, &table{dir: im.lake.dir}, []string{}
	defer objects.remove()
	defer bad.remove()
	now := time.Now().UTC()
	for _, r := range im.batch {
		if old, ok := im.known[r.Key]; ok {
			if err := dropObject(ctx, tx, old.id); err != nil {
				return err
			}
		}
		objects.row(int64(r.id), im.src.Bucket(), r.Key, r.ETag, r.Size, r.Modified.UTC(), now, r.count.rows, r.count.bad, r.problem)
		for _, b := range r.bad {
			bad.row(int64(r.id), b.line, b.reason, b.content)
		}
		if r.count.rows > 0 {
			files = append(files, r.file)
		}
		sum.add(r)
	}
	for _, t := range []struct {
		from  *table
		query string
	}{{objects, insertObjects}, {bad, insertBad}} {
		file, err := t.from.file()
		if err != nil {
			return err
		}
		if file == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(t.query, quote(file))); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, insertRows(files)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO unchecked SELECT id FROM objects WHERE id >= ? AND lines > 0", im.batch[0].id)
	return err
}

func (s *Summary) add(r *read) {
	s.Imported++
	s.Rows += r.count.rows
	s.Bytes += r.Size
	s.Bad += r.count.bad
	s.Doctor += r.count.doctor
	s.Misfit += r.count.misfit
	s.Mended += r.count.mended
	if r.problem != "" && len(s.Problems) < maxProblems {
		s.Problems = append(s.Problems, Problem{r.Key, r.problem})
	}
}

// forget drops the objects of the range that were not found.
func (im *importer) forget(ctx context.Context, tx *sql.Tx, sum *Summary) error {
	w := windowOf(im.opts.From, im.opts.To)
	for key, k := range im.known {
		if im.seen[key] {
			continue
		}
		var begin time.Time
		err := tx.QueryRowContext(ctx, "SELECT modified FROM objects WHERE id = ?", k.id).Scan(&begin)
		if errors.Is(err, sql.ErrNoRows) {
			continue // it has been replaced
		} else if err != nil {
			return err
		}
		end := begin
		if d, ok := dateIn(key[len(im.opts.Prefix):]); ok {
			begin, end = d.begin, d.begin.Add(d.span)
		}
		if !w.holds(begin, end) {
			continue
		}
		if err := dropObject(ctx, tx, k.id); err != nil {
			return err
		}
		sum.Forgotten++
	}
	return nil
}
