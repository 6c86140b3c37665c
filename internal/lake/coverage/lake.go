package coverage

import (
	"context"
	"database/sql"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// readLake adds the lake's figures to the rows and returns the newest names of keys. It uses one transaction, so that its
// results are not affected by concurrent imports.
func (r *Report) readLake(ctx context.Context, db *sql.DB, row func(time.Time, string) *Row) (names map[string]string, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // nothing was written
	period := []any{r.First, r.Last.AddDate(0, 0, 1)}
	err = lake.EachRow(ctx, tx, `SELECT CAST(time AS DATE), key_id, count(*) FILTER (NOT duplicate), count(*) FILTER (duplicate),
		count(*) FILTER (NOT duplicate AND customer IS NULL)
		FROM request_rows WHERE time >= ? AND time < ? GROUP BY ALL`, period, func(rows *sql.Rows) error {
		var at time.Time
		var key sql.NullString
		var f Figures
		if err := rows.Scan(&at, &key, &f.Lake, &f.Double, &f.Unattributed); err != nil {
			return err
		}
		if !key.Valid {
			r.Keyless += f.Lake
			return nil
		}
		to := row(day(at), key.String)
		to.Lake, to.Double, to.Unattributed = f.Lake, f.Double, f.Unattributed
		return nil
	})
	if err != nil {
		return nil, err
	}
	names = map[string]string{}
	err = lake.EachRow(ctx, tx, `SELECT key_id, arg_max(customer, time) FROM requests
		WHERE time >= ? AND time < ? AND key_id IS NOT NULL AND customer IS NOT NULL GROUP BY key_id`, period, func(rows *sql.Rows) error {
		var key, name string
		if err := rows.Scan(&key, &name); err != nil {
			return err
		}
		names[key] = name
		return nil
	})
	if err != nil {
		return nil, err
	}
	return names, tx.QueryRowContext(ctx, "SELECT count(*) FROM requests WHERE time IS NULL AND key_id IS NOT NULL").Scan(&r.Undated)
}
