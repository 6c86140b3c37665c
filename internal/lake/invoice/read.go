package invoice

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// missing is how a value that the logs do not have is shown.
const missing = "-"

// month reads the requests of one month from a lake, all in one transaction.
type month struct {
	tx       *sql.Tx
	from, to time.Time
	objects  string // ids of the objects, as a JSON list; set by freeze or thaw
}

// where restricts rows to the requests of the month in the objects.
const where = ` time >= ? AND time < ? AND object IN (SELECT unnest(from_json(?, '["INTEGER"]')))`

func (m *month) args() []any { return []any{m.from.UTC(), m.to.UTC(), m.objects} }

// freeze takes all objects that were delivered before closed.
func (m *month) freeze(ctx context.Context, closed time.Time) ([]Source, error) {
	return m.sources(ctx, func(_ Source, modified time.Time) bool { return modified.Before(closed) })
}

// thaw takes the objects of a manifest, and no others.
func (m *month) thaw(ctx context.Context, frozen []Source) ([]Source, error) {
	known := map[[2]string]bool{}
	for _, s := range frozen {
		known[[2]string{s.Bucket, s.Key}] = true
	}
	return m.sources(ctx, func(s Source, _ time.Time) bool { return known[[2]string{s.Bucket, s.Key}] })
}

func (m *month) sources(ctx context.Context, take func(Source, time.Time) bool) ([]Source, error) {
	rows, err := m.tx.QueryContext(ctx, `SELECT o.id, o.bucket, o.key, o.etag, o.modified, r.n
		FROM (SELECT object, count(*) AS n FROM requests WHERE time >= ? AND time < ? GROUP BY object) r
		JOIN objects o ON o.id = r.object ORDER BY o.bucket, o.key`, m.from.UTC(), m.to.UTC())
	if err != nil {
		return nil, fmt.Errorf("list the objects of the month: %w", err)
	}
	defer rows.Close()
	ids, sources := []int32{}, []Source{}
	for rows.Next() {
		var id int32
		var s Source
		var modified time.Time
		if err := rows.Scan(&id, &s.Bucket, &s.Key, &s.ETag, &modified, &s.Rows); err != nil {
			return nil, fmt.Errorf("list the objects of the month: %w", err)
		}
		if take(s, modified) {
			ids, sources = append(ids, id), append(sources, s)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the objects of the month: %w", err)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		panic("BUG: numbers that are no JSON: " + err.Error())
	}
	m.objects = string(list)
	return sources, nil
}

// notTaken counts the requests that are on no line: those that came late, and those without a time.
func (m *month) notTaken(ctx context.Context, closed time.Time) (late, undated int64, err error) {
	err = m.tx.QueryRowContext(ctx, `SELECT
		count(*) FILTER (r.time >= ? AND r.time < ? AND o.modified >= ?),
		count(*) FILTER (r.time IS NULL AND o.modified >= ? AND o.modified < ?)
		FROM requests r JOIN objects o ON o.id = r.object`,
		m.from.UTC(), m.to.UTC(), closed.UTC(), m.from.UTC(), closed.UTC()).Scan(&late, &undated)
	if err != nil {
		return 0, 0, fmt.Errorf("count late requests: %w", err)
	}
	return late, undated, nil
}

// canonical is one request as text: each value with its length in bytes before it, so that no two requests have the same.
const canonical = `epoch_us(time) || concat(` +
	`coalesce(strlen(request_id) || ':' || request_id, '-'), coalesce(strlen(key_id) || ':' || key_id, '-'), ` +
	`coalesce(strlen(customer) || ':' || customer, '-'), coalesce(strlen(usage_plan_id) || ':' || usage_plan_id, '-'), ` +
	`coalesce(strlen(usage_plan) || ':' || usage_plan, '-'), coalesce(strlen(route) || ':' || route, '-'), coalesce(CAST(status AS VARCHAR), '-'))`

// digest is the number of requests and the SHA-256 that Manifest describes.
func (m *month) digest(ctx context.Context) (n int64, sum string, err error) {
	rows, err := m.tx.QueryContext(ctx, "SELECT "+canonical+" AS line FROM requests WHERE"+where+" ORDER BY line", m.args()...)
	if err != nil {
		return 0, "", fmt.Errorf("hash the requests: %w", err)
	}
	defer rows.Close()
	hash := sha256.New()
	var line sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&line); err != nil {
			return 0, "", fmt.Errorf("hash the requests: %w", err)
		}
		hash.Write(line)
		hash.Write([]byte{'\n'})
		n++
	}
	if err := rows.Err(); err != nil {
		return 0, "", fmt.Errorf("hash the requests: %w", err)
	}
	return n, hex.EncodeToString(hash.Sum(nil)), nil
}

// cell is the requests that the same rule and price apply to.
type cell struct {
	keyID, nameOfNoKey string // the name tells only where there is no key
	planID, nameOfNoID string
	status             int // 0 is missing
	route              string
	requests           int64
	customer, plan     string // the newest names
	customerAt, planAt int64  // and when they were seen
}

// cells hands each cell to fn.
func (m *month) cells(ctx context.Context, fn func(cell)) error {
	// Of two names at one instant the greater wins, so that the order of rows decides nothing.
	const newest = `max(struct_pack(at := epoch_us(time), name := %[1]s)) FILTER (%[1]s IS NOT NULL)`
	statement := `SELECT coalesce(key_id, '-'), coalesce(k, '-'), coalesce(usage_plan_id, '-'), coalesce(p, '-'), coalesce(status, 0), coalesce(route, '-'), n,
		coalesce(c.name, '-'), coalesce(c.at, 0), coalesce(u.name, '-'), coalesce(u.at, 0)
	FROM (SELECT key_id, if(key_id IS NULL, customer, NULL) AS k, usage_plan_id, if(usage_plan_id IS NULL, usage_plan, NULL) AS p, status, route, count(*) AS n, ` +
		fmt.Sprintf(newest, "customer") + " AS c, " + fmt.Sprintf(newest, "usage_plan") + " AS u FROM requests WHERE" + where + " GROUP BY ALL)"
	rows, err := m.tx.QueryContext(ctx, statement, m.args()...)
	if err != nil {
		return fmt.Errorf("count the requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c cell
		if err := rows.Scan(&c.keyID, &c.nameOfNoKey, &c.planID, &c.nameOfNoID, &c.status, &c.route, &c.requests, &c.customer, &c.customerAt, &c.plan, &c.planAt); err != nil {
			return fmt.Errorf("count the requests: %w", err)
		}
		fn(c)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("count the requests: %w", err)
	}
	return nil
}
