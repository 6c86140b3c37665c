//go:build cgo

package lake

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// remember stores the mapping with which the objects of a bucket are imported from now on. If another one was stored before, it
// returns the number of objects that were imported until then, up to the id last. Their rows stay as they are: usually the
// stage's format has changed, and they were written in the old one.
func (m Mapping) remember(ctx context.Context, tx *sql.Tx, bucket string, last int32) (earlier int, err error) {
	var before string
	now := m.fingerprint()
	err = tx.QueryRowContext(ctx, "SELECT mapping FROM mappings WHERE bucket = ?", bucket).Scan(&before)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err = tx.ExecContext(ctx, "INSERT INTO mappings VALUES (?, ?)", bucket, now)
		return 0, err
	case err != nil || before == now:
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE mappings SET mapping = ? WHERE bucket = ?", now, bucket); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM objects WHERE bucket = ? AND id <= ?", bucket, last).Scan(&earlier)
	return earlier, err
}

// fingerprint returns a text that differs for different mappings.
func (m Mapping) fingerprint() string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(m.fields)) {
		f := m.fields[path]
		fmt.Fprintf(h, "%q %d %d %d\n", path, f.kind, f.column, f.rank)
	}
	for _, path := range slices.Sorted(maps.Keys(m.own)) {
		fmt.Fprintf(h, "%q\n", path)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
