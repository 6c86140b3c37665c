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
	// Get returns the bytes and their ETag, or no bytes and no ETag if there are none yet. If the ETag is known, Get may
	// return it without the bytes.
	Get(ctx context.Context, known string) (data []byte, etag string, err error)
	// Put replaces the bytes with the ETag ifMatch, or creates them if ifMatch is "", and returns the
	// new ETag. The error wraps ErrChanged if the bytes have another ETag.
	Put(ctx context.Context, data []byte, ifMatch string) (etag string, err error)
}

// leaseFor is how long one process may take to renew the shared snapshot before another one tries.
// An overrun is harmless: if two processes renew it, the second Put fails.
const leaseFor = time.Minute

// keepFor is for how many refresh intervals other processes rely on the process that wrote the shared snapshot last, its
// keeper, and writesAfter how old the keeper lets it become. The keeper lists the plans and keys at every refresh, but writes
// the snapshot only if they have changed or it is this old: a small API's puts to S3 would otherwise cost more than the
// rest of its pipeline. When Lambda stops the keeper, another process notices after keepFor intervals.
const (
	keepFor     = 5
	writesAfter = 3.5
)

// lease names the process that wrote the shared snapshot, or until then renews it. It is part of the stored bytes, so
// acquiring it is one conditional Put: of many processes that find the snapshot too old, one succeeds, and
// the others keep their snapshot.
type lease struct {
	holder string    // "" if the snapshot was written by a version without keepers
	until  time.Time // when a renewal is considered to have failed; zero if none is running
}

// sharedCopy is the shared snapshot as this process last read or wrote it.
type sharedCopy struct {
	snap *Snapshot
	held lease
	etag string
}

// loadShared adopts the shared snapshot if it is newer, and renews it if this process is its keeper, or if it is too old and
// no other process is renewing it.
func (x *Index) loadShared(ctx context.Context) (next time.Time, err error) {
	if err := x.readShared(ctx); err != nil {
		return x.loadAlone(ctx, err)
	}
	shared, held := x.shared.snap, x.shared.held
	x.adopt(shared)

	now := time.Now()
	age, keeper := now.Sub(shared.at), held.holder == x.holder
	switch {
	case !keeper && now.Before(held.until):
		return now.Add(min(held.until.Sub(now), x.untilOthersAreDone())), nil
	case x.poked:
	case age < x.cfg.Every:
		return shared.at.Add(jitter(x.cfg.Every)), nil
	case !keeper && held.holder != "" && shared.whole && age < keepFor*x.cfg.Every:
		return now.Add(x.untilOthersAreDone()), nil
	}
	if !keeper {
		if err := x.writeShared(ctx, shared, lease{x.holder, now.Add(leaseFor)}); errors.Is(err, ErrChanged) {
			return now.Add(x.untilOthersAreDone()), nil
		} else if err != nil {
			return x.loadAlone(ctx, err)
		}
	}
	if err := x.list(ctx); err != nil {
		return next, err
	}
	renewing := !x.shared.held.until.IsZero()
	if listed := x.snap.Load(); renewing || float64(age) >= writesAfter*float64(x.cfg.Every) || !listed.sameContent(shared) {
		if err := x.writeShared(ctx, listed, lease{holder: x.holder}); err != nil && !errors.Is(err, ErrChanged) {
			x.failures.Add(1)
			x.log.Warn("writing the shared snapshot failed", "error", err)
		}
	}
	return time.Now().Add(jitter(x.cfg.Every)), nil
}

// readShared reads the shared snapshot into x.shared.
func (x *Index) readShared(ctx context.Context) error {
	data, etag, err := x.cfg.Store.Get(ctx, x.shared.etag)
	if err != nil {
		return err
	}
	if etag != "" && etag == x.shared.etag {
		return nil
	}
	read := sharedCopy{snap: &Snapshot{}, etag: etag}
	if len(data) > 0 {
		if read.snap, read.held, err = decode(data); errors.Is(err, errVersion) {
			return err // written by a newer version; not replaced
		} else if err != nil {
			x.log.Warn("shared snapshot is unreadable; replacing it", "error", err)
			read.snap, read.held = &Snapshot{}, lease{}
		}
	}
	x.shared = read
	return nil
}

// writeShared replaces the shared snapshot that x.shared holds.
func (x *Index) writeShared(ctx context.Context, s *Snapshot, l lease) error {
	etag, err := x.cfg.Store.Put(ctx, encode(s, l), x.shared.etag)
	if err == nil {
		x.shared = sharedCopy{s, l, etag}
	}
	return err
}

// untilOthersAreDone returns the wait before the next reading while another process keeps or renews the shared snapshot.
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
