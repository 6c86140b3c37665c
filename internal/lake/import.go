//go:build cgo

package lake

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/record"
)

// Approximate limits of one transaction. Each DuckDB thread starts its own row groups, and a group that is not full is
// written a second time: with half as many rows an import takes a fifth longer.
const (
	defaultBatchRows = 1_000_000
	batchObjects     = 4000
	batchBytes       = 1 << 30 // of rows in files
)

// Import imports the objects of a source that are not in the lake yet. It may be repeated, and
// continues where it stopped after a failure or a kill.
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
	group, both := errgroup.WithContext(ctx)
	queue := make(chan chan *read, opts.Parallel)
	group.Go(func() error { return im.find(both, queue) })
	group.Go(func() error { return im.store(both, queue) })
	err := group.Wait()
	if err == nil && im.failed != nil && im.sum.Skipped+len(im.skipped) == int(im.found.Load()) {
		err = im.failed // of all objects, none could be read
	}
	if err == nil {
		err = im.flush(ctx, true)
	}
	return im.sum, err
}

// importer holds the state of one import.
type importer struct {
	lake *Lake
	src  Source
	opts ImportOptions

	known  map[string]known // objects in the lake below the prefix, by key
	before int32            // last object id in use before the import
	next   int32            // last object id in use
	seen   map[string]bool  // listed keys; filled only if Forget is set
	left   leftOut          // the part of the listing that was skipped

	found   atomic.Int64
	skipped []Problem // objects that were not imported
	failed  error     // why the first of them could not be fetched, unless it disappeared
	batch   []*read
	rows    int64
	bytes   int64   // of the batch's rows
	sum     Summary // of what was committed
}

type known struct {
	id   int32
	etag string
}

// load reads which objects are in the lake.
func (im *importer) load(ctx context.Context) error {
	im.known = map[string]known{}
	statement := "SELECT id, key, etag FROM objects WHERE bucket = ? AND starts_with(key, ?)"
	err := EachRow(ctx, im.lake.db, statement, []any{im.src.Bucket(), im.opts.Prefix}, func(rows *sql.Rows) error {
		var k known
		var key string
		if err := rows.Scan(&k.id, &key, &k.etag); err != nil {
			return err
		}
		im.known[key] = k
		return nil
	})
	if err != nil {
		return fmt.Errorf("read which objects are in the lake: %w", err)
	}
	err = im.lake.db.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM objects").Scan(&im.before)
	im.next = im.before
	return err
}

// find lists the objects and starts reading each new one. It sends the results to queue in the order of the listing.
func (im *importer) find(ctx context.Context, queue chan<- chan *read) error {
	defer close(queue)
	readers, ctx := errgroup.WithContext(ctx)
	readers.SetLimit(im.opts.Parallel)
	reader := objectReader{src: im.src, mapping: im.opts.Mapping, dir: im.lake.dir}
	var listed error
	im.left, listed = list(ctx, im.src, im.opts.Prefix, windowOf(im.opts.From, im.opts.To), func(o record.Object) error {
		if im.opts.Forget {
			im.seen[o.Key] = true
		}
		for _, other := range im.opts.Except {
			if other != "" && strings.HasPrefix(o.Key, other) {
				return nil
			}
		}
		im.found.Add(1)
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
			r, err := reader.read(ctx, o, id)
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

// store writes the objects that were read to the lake, many in one transaction.
func (im *importer) store(ctx context.Context, queue <-chan chan *read) error {
	for done := range queue {
		select {
		case r := <-done:
			if r.skipped != "" {
				im.skipped = append(im.skipped, Problem{r.Key, r.skipped, true})
				im.failed = cmp.Or(im.failed, r.failed)
				continue
			}
			im.batch = append(im.batch, r)
			im.rows += r.count.rows
			im.bytes += r.bytes
		case <-ctx.Done():
			return ctx.Err()
		}
		if im.rows >= im.opts.BatchRows || im.bytes >= batchBytes || len(im.batch) >= batchObjects {
			if err := im.flush(ctx, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the batch in one transaction. The last flush of a successful import also forgets missing objects and marks
// duplicate requests.
func (im *importer) flush(ctx context.Context, last bool) error {
	defer func() {
		for _, r := range im.batch {
			_ = os.Remove(r.file) // Close removes what is left
		}
		im.batch, im.rows, im.bytes = nil, 0, 0
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
		var err error
		if sum.Duplicates, err = markDuplicates(ctx, tx); err != nil {
			return err
		}
		sum.Earlier, err = im.opts.Mapping.remember(ctx, tx, im.src.Bucket(), im.before)
		return err
	})
	if err != nil {
		return fmt.Errorf("write to the lake: %w", withoutContent(err))
	}
	sum.Found = int(im.found.Load())
	sum.Skipped += len(im.skipped)
	sum.Problems = append(sum.Problems, im.skipped[:min(len(im.skipped), maxProblems-len(sum.Problems))]...)
	im.skipped = nil
	im.sum = sum
	if im.opts.Progress != nil {
		im.opts.Progress(sum)
	}
	return nil
}

// withoutContent removes what a message of DuckDB quotes from a record. Messages about the machine quote none.
func withoutContent(err error) error {
	var e *duckdb.Error
	if !errors.As(err, &e) || Damaged(err) || slices.Contains([]duckdb.ErrorType{duckdb.ErrorTypeIO, duckdb.ErrorTypeOutOfMemory, duckdb.ErrorTypeInterrupt}, e.Type) {
		return err
	}
	kind, _, _ := strings.Cut(e.Msg, ":")
	return fmt.Errorf("DuckDB reported: %s", kind)
}

// insert adds the batch's objects and their rows.
func (im *importer) insert(ctx context.Context, tx *sql.Tx, sum *Summary) error {
	objects, bad, files := &table{dir: im.lake.dir}, &table{dir: im.lake.dir}, []string{}
	now := time.Now().UTC()
	var replaced []int32
	for _, r := range im.batch {
		if old, ok := im.known[r.Key]; ok {
			replaced = append(replaced, old.id)
		}
		objects.row(int64(r.id), im.src.Bucket(), r.Key, r.ETag, r.Size, r.Modified.UTC(), now, r.count.rows, r.count.bad, r.problem, r.count.other, r.count.repaired, r.repair)
		for _, b := range r.bad {
			bad.row(int64(r.id), b.line, b.reason, b.content)
		}
		if r.count.rows > 0 {
			files = append(files, r.file)
		}
		sum.add(r)
	}
	if err := dropObjects(ctx, tx, replaced...); err != nil {
		return err
	}
	if err := objects.insert(ctx, tx, insertObjects); err != nil {
		return err
	}
	if err := bad.insert(ctx, tx, insertBad); err != nil || len(files) == 0 {
		return err
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
	s.Other += r.count.other
	s.Control += r.count.control
	s.Doctor += r.count.doctor
	s.Misfit += r.count.misfit
	s.Repaired += r.count.repaired
	s.Zoneless += r.count.zoneless
	if r.count.repaired > 0 {
		i := slices.IndexFunc(s.Repairs, func(other Repair) bool { return other.Cause == r.repair })
		if s.Repairs = slices.Clone(s.Repairs); i < 0 {
			i, s.Repairs = len(s.Repairs), append(s.Repairs, Repair{Cause: r.repair})
		}
		s.Repairs[i].Lines += r.count.repaired
	}
	if r.problem != "" && len(s.Problems) < maxProblems {
		s.Problems = append(s.Problems, Problem{r.Key, r.problem, false})
	}
}

// forget removes the objects of the range that were not listed. If no object at all is below the prefix, it removes none:
// the bucket may be another one of the same name or may have been emptied by mistake, and the lake may be the only copy.
func (im *importer) forget(ctx context.Context, tx *sql.Tx, sum *Summary) error {
	gone := im.gone()
	if len(gone) == 0 {
		return nil
	}
	if len(im.seen) == 0 {
		err := im.src.List(ctx, im.opts.Prefix, "", func(record.Object) error { return errFound })
		if err == nil {
			sum.Spared = len(gone)
			return nil
		} else if !errors.Is(err, errFound) {
			return err
		}
	}
	sum.Forgotten = len(gone)
	return dropObjects(ctx, tx, gone...)
}

// gone returns the ids of the known objects that should have been listed and were not.
func (im *importer) gone() (ids []int32) {
	w := windowOf(im.opts.From, im.opts.To)
	for key, k := range im.known {
		if im.seen[key] || im.left.holds(key) {
			continue
		}
		if w.holds(key[len(im.opts.Prefix):]) {
			ids = append(ids, k.id)
		}
	}
	return ids
}
