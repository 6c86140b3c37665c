package usageplan

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrChanged means that the stored snapshot is not the one named in Put: another process has written it.
var ErrChanged = errors.New("shared snapshot has changed")

// SnapshotStore keeps one snapshot, as bytes, for many processes. They may use it in parallel, because
// each Put names the version that it replaces.
type SnapshotStore interface {
	// Get returns the bytes and their ETag, or no bytes and no ETag if there are none yet.
	Get(ctx context.Context) (data []byte, etag string, err error)
	// Put replaces the bytes with the ETag ifMatch, or creates them if ifMatch is "", and returns the
	// new ETag. The error wraps ErrChanged if the bytes have another ETag.
	Put(ctx context.Context, data []byte, ifMatch string) (etag string, err error)
}

// leaseFor is how long one process may take to renew the shared snapshot before another one tries.
// An overrun is harmless: if two processes renew it, the second Put fails.
const leaseFor = time.Minute

// lease names the process that renews the shared snapshot. It is part of the stored bytes, so acquiring
// it is one conditional Put: of many processes that find the snapshot too old, one succeeds, and
// the others keep their snapshot.
type lease struct {
	holder string
	until  time.Time
}

// loadShared adopts the shared snapshot if it is newer, and renews it if it is too old and no other
// process is renewing it.
func (x *Index) loadShared(ctx context.Context) (next time.Time, err error) {
	data, etag, err := x.cfg.Store.Get(ctx)
	if err != nil {
		return x.loadAlone(ctx, err)
	}
	shared, held := &Snapshot{}, lease{}
	if len(data) > 0 {
		if shared, held, err = decode(data); errors.Is(err, errVersion) {
			return x.loadAlone(ctx, err) // written by a newer version; not replaced
		} else if err != nil {
			x.log.Warn("shared snapshot is unreadable; replacing it", "error", err)
			shared, held = &Snapshot{}, lease{}
		}
	}
	x.adopt(shared)

	now := time.Now()
	if !x.poked && now.Sub(shared.at) < x.cfg.Every {
		return shared.at.Add(jitter(x.cfg.Every)), nil
	}
	if held.holder != x.holder && now.Before(held.until) {
		return now.Add(min(held.until.Sub(now), x.untilOthersAreDone())), nil
	}
	etag, err = x.cfg.Store.Put(ctx, encode(shared, lease{x.holder, now.Add(leaseFor)}), etag)
	if errors.Is(err, ErrChanged) {
		return now.Add(x.untilOthersAreDone()), nil
	} else if err != nil {
		return x.loadAlone(ctx, err)
	}
	if err := x.list(ctx); err != nil {
		return next, err
	}
	if _, err := x.cfg.Store.Put(ctx, encode(x.snap.Load(), lease{}), etag); err != nil && !errors.Is(err, ErrChanged) {
		x.failures.Add(1)
		x.log.Warn("writing the shared snapshot failed", "error", err)
	}
	return time.Now().Add(jitter(x.cfg.Every)), nil
}

// untilOthersAreDone returns the wait before the next reading while another process renews the shared snapshot.
func (x *Index) untilOthersAreDone() time.Duration {
	if x.Ready() {
		return jitter(x.cfg.Every / 4)
	}
	return jitter(time.Second)
}

// loadAlone lists the source if the store fails.
func (x *Index) loadAlone(ctx context.Context, storeErr error) (next time.Time, err error) {
	x.failures.Add(1)
	x.log.Warn("shared snapshot is unavailable", "error", storeErr)
	if s := x.snap.Load(); s != nil && time.Since(s.at) < x.cfg.Every {
		return s.at.Add(jitter(x.cfg.Every)), nil
	}
	if err := x.list(ctx); err != nil {
		return next, fmt.Errorf("%w (shared snapshot: %w)", err, storeErr)
	}
	return time.Now().Add(jitter(x.cfg.Every)), nil
}

// adopt publishes a shared snapshot if it is newer. It keeps keys that only this process has.
func (x *Index) adopt(shared *Snapshot) {
	mine := x.snap.Load()
	if !shared.whole || mine != nil && mine.whole && !shared.at.After(mine.at) {
		return
	}
	next := shared
	if mine != nil {
		next = shared.With(nil, nil)
		next.remember(mine, next.planIndex())
	}
	x.publish(next)
	x.refreshes.Add(1)
}
