// Package usage counts requests per usage plan, API key and day, fast enough for every request: each key
// has its own lock. Flush stores the counts as one document per plan and day, so a crash loses the counts
// since the last Flush. The processes of a cluster add their counts to the same documents.
package usage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// KeepDays is the retention of the counts: GetUsage's longest range is 90 days, and a monthly quota
// needs 31.
const KeepDays = 100

const prefix = "usage/"

// Day is a UTC day, counted from 1970-01-01.
type Day int64

// DayOf returns the day that contains at.
func DayOf(at time.Time) Day { return Day(floorDiv(at.Unix(), 86400)) }

// String returns the day in GetUsage's format, 2006-01-02.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// Time returns the beginning of the day.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// ParseDay parses the format of String.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	return DayOf(t), err
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

// Counters holds the counts of all plans. It is safe for concurrent use.
type Counters struct {
	store record.Store
	plans sync.Map // plan id -> *plan; few, and never removed except by Forget

	flushMu sync.Mutex // held while documents are written or merged
}

type plan struct {
	keys sync.Map // key id -> *counter

	docs map[Day]*stored // guarded by Counters.flushMu

	dirty atomic.Int64 // the day changed since the last flush, plus 1; 0: none
	mu    sync.Mutex   // guards more
	more  map[Day]bool // further such days
}

// counter holds one key's days, the newest last. There are at most KeepDays.
type counter struct {
	mu   sync.Mutex
	days []dayCount
}

type dayCount struct {
	day    Day
	n      int64
	stored int64 // part of n that is in the document
}

// stored describes the document of a plan and day.
type stored struct {
	rev  uint64 // 0: none
	sent []byte // what this process has written, while the result is unknown
}

// Open reads the stored counts, and deletes those older than KeepDays.
func Open(ctx context.Context, store record.Store, now time.Time) (*Counters, error) {
	c := &Counters{store: store}
	var old []string
	oldest := DayOf(now) - KeepDays
	err := store.All(ctx, prefix, func(key string, value []byte, rev uint64) error {
		_, day, err := parseKey(key)
		if err == nil && day < oldest {
			old = append(old, key)
			return nil
		}
		return cmp.Or(err, c.Merge(key, value, rev))
	})
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	for _, key := range old {
		if err := store.Delete(ctx, key); err != nil {
			return nil, fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return c, nil
}

func docKey(planID string, day Day) string { return prefix + planID + "/" + day.String() }

func parseKey(key string) (planID string, day Day, err error) {
	rest := strings.TrimPrefix(key, prefix)
	slash := strings.LastIndexByte(rest, '/')
	if slash < 0 {
		return "", 0, fmt.Errorf("%s is not a usage document", key)
	}
	day, err = ParseDay(rest[slash+1:])
	return rest[:slash], day, err
}

func (c *Counters) plan(id string) *plan {
	if p, ok := c.plans.Load(id); ok {
		return p.(*plan)
	}
	p, _ := c.plans.LoadOrStore(id, &plan{})
	return p.(*plan)
}

func (p *plan) counter(keyID string) *counter {
	if k, ok := p.keys.Load(keyID); ok {
		return k.(*counter)
	}
	k, _ := p.keys.LoadOrStore(keyID, &counter{})
	return k.(*counter)
}

// Add counts one request of the key on a day.
func (c *Counters) Add(planID, keyID string, day Day) {
	p := c.plan(planID)
	p.counter(keyID).add(day, 1)
	p.mark(day)
}

// Take counts one request of the key on a day and returns true, or returns false if the days from from to
// day already have limit requests.
func (c *Counters) Take(planID, keyID string, day, from Day, limit int64) bool {
	p := c.plan(planID)
	k := p.counter(keyID)
	k.mu.Lock()
	ok := k.sumLocked(from, day) < limit
	if ok {
		k.addLocked(day, 1)
	}
	k.mu.Unlock()
	if ok {
		p.mark(day)
	}
	return ok
}

// Used returns the number of requests of the key on the days from from to to, both included.
func (c *Counters) Used(planID, keyID string, from, to Day) int64 {
	p, ok := c.plans.Load(planID)
	if !ok {
		return 0
	}
	k, ok := p.(*plan).keys.Load(keyID)
	if !ok {
		return 0
	}
	counter := k.(*counter)
	counter.mu.Lock()
	defer counter.mu.Unlock()
	return counter.sumLocked(from, to)
}

// Forget deletes the counts of a plan from memory and from the store.
func (c *Counters) Forget(ctx context.Context, planID string) error {
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	c.Drop(planID)
	var keys []string
	err := c.store.All(ctx, prefix+planID+"/", func(key string, _ []byte, _ uint64) error {
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		if e := c.store.Delete(ctx, key); e != nil {
			err = errors.Join(err, fmt.Errorf("delete %s: %w", key, e))
		}
	}
	return err
}

// Drop removes the counts of a plan from memory.
func (c *Counters) Drop(planID string) { c.plans.Delete(planID) }

// IsKey reports whether the key of a document is one of a usage document.
func IsKey(key string) bool { return strings.HasPrefix(key, prefix) }

// Merge adds the counts of a usage document that another process has written. A nil value means that the document was deleted.
func (c *Counters) Merge(key string, value []byte, rev uint64) error {
	planID, day, err := parseKey(key)
	if err != nil {
		return err
	}
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	p := c.plan(planID)
	if rev <= p.doc(day).rev {
		return nil
	}
	return p.merge(key, day, value, rev)
}

// merge makes the document of a day the stored part of the counts; nil is an empty one. The caller holds Counters.flushMu.
func (p *plan) merge(key string, day Day, value []byte, rev uint64) error {
	var counts map[string]int64
	if value != nil {
		if err := json.Unmarshal(value, &counts); err != nil {
			return fmt.Errorf("%s is not valid", key)
		}
	}
	doc := p.doc(day)
	own := value != nil && bytes.Equal(value, doc.sent)
	for keyID := range counts {
		p.counter(keyID)
	}
	p.keys.Range(func(keyID, k any) bool {
		k.(*counter).store(day, counts[keyID.(string)], own)
		return true
	})
	*doc = stored{rev: rev}
	return nil
}

// doc returns the description of a day's document. The caller holds Counters.flushMu.
func (p *plan) doc(day Day) *stored {
	if p.docs[day] == nil {
		if p.docs == nil {
			p.docs = map[Day]*stored{}
		}
		p.docs[day] = &stored{}
	}
	return p.docs[day]
}

// Flush writes the days that have changed. The next Flush retries those that could not be written.
func (c *Counters) Flush(ctx context.Context) error {
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	var errs []error
	c.plans.Range(func(id, value any) bool {
		p := value.(*plan)
		for _, day := range p.changed() {
			if err := c.write(ctx, id.(string), p, day); err != nil {
				p.mark(day)
				errs = append(errs, err)
			}
		}
		return true
	})
	return errors.Join(errs...)
}

// maxTries is how many times write tries to write a document that other processes keep changing. The next Flush continues.
const maxTries = 5

// write adds the counts that are not stored yet to the document of a day. The caller holds flushMu.
func (c *Counters) write(ctx context.Context, planID string, p *plan, day Day) (err error) {
	key := docKey(planID, day)
	for range maxTries {
		if err = c.put(ctx, key, p, day); !errors.Is(err, record.ErrConflict) {
			break
		}
		if err = c.reread(ctx, key, p, day); err != nil {
			break
		}
		err = record.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("write usage of plan %s: %w", planID, err)
	}
	return nil
}

func (c *Counters) put(ctx context.Context, key string, p *plan, day Day) error {
	counts := map[string]int64{}
	p.keys.Range(func(keyID, value any) bool {
		k := value.(*counter)
		k.mu.Lock()
		n := k.sumLocked(day, day)
		k.mu.Unlock()
		if n > 0 {
			counts[keyID.(string)] = n
		}
		return true
	})
	data, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	doc := p.doc(day)
	rev, err := c.store.Put(ctx, key, data, doc.rev)
	if err == nil || !errors.Is(err, record.ErrConflict) {
		doc.sent = data // after an error, it may or may not be stored
	}
	if err != nil {
		return err
	}
	return p.merge(key, day, data, rev)
}

// reread merges the document of a day after a conflict.
func (c *Counters) reread(ctx context.Context, key string, p *plan, day Day) error {
	value, rev, err := c.store.Get(ctx, key)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return p.merge(key, day, nil, 0)
	case err != nil:
		return err
	}
	return p.merge(key, day, value, rev)
}

// mark marks a day as changed. It is called after the count was added, so that the flush that clears the
// mark writes the count.
func (p *plan) mark(day Day) {
	if p.dirty.Load() == int64(day)+1 {
		return
	}
	if old := p.dirty.Swap(int64(day) + 1); old != 0 && old != int64(day)+1 {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.more == nil {
			p.more = map[Day]bool{}
		}
		p.more[Day(old-1)] = true
	}
}

func (p *plan) changed() []Day {
	var days []Day
	if d := p.dirty.Swap(0); d != 0 {
		days = append(days, Day(d-1))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for d := range p.more {
		if !slices.Contains(days, d) {
			days = append(days, d)
		}
	}
	p.more = nil
	return days
}

func (k *counter) add(day Day, n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addLocked(day, n)
}

func (k *counter) addLocked(day Day, n int64) {
	i := len(k.days)
	for i > 0 && k.days[i-1].day > day {
		i--
	}
	if i > 0 && k.days[i-1].day == day {
		k.days[i-1].n += n
		return
	}
	k.days = slices.Insert(k.days, i, dayCount{day: day, n: n})
	if len(k.days) > KeepDays {
		k.days = slices.Delete(k.days, 0, len(k.days)-KeepDays)
	}
}

// store makes n the stored part of a day's count. Unless this process wrote n, the difference from what was stored before is the
// counts of other processes.
func (k *counter) store(day Day, n int64, own bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n > 0 {
		k.addLocked(day, 0)
	}
	i := slices.IndexFunc(k.days, func(d dayCount) bool { return d.day == day })
	if i < 0 {
		return
	}
	if !own {
		k.days[i].n += n - k.days[i].stored
	}
	k.days[i].stored = n
}

func (k *counter) sumLocked(from, to Day) int64 {
	var n int64
	for i := len(k.days) - 1; i >= 0 && k.days[i].day >= from; i-- {
		if k.days[i].day <= to {
			n += k.days[i].n
		}
	}
	return n
}
