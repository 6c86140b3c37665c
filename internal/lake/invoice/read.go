package invoice

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// missing stands for a value that the logs lack.
const missing = "-"

// month reads the requests of one month from a lake, all in one transaction.
type month struct {
	tx       *sql.Tx
	from, to time.Time
	objects  string // ids of the objects, as a JSON list; set by freeze or thaw
}

// requestID is the SQL expression of a request's id in the canonical text.
const requestID = "coalesce(extended_request_id, request_id)"

// timeInName is the SQL expression of the time that Firehose put into the name of an object of objects o; NULL if there is none.
const timeInName = `try_strptime(regexp_extract(o.key, '-[0-9]+-([0-9]{4}(-[0-9]{2}){5})-[^/]*$', 1), '%Y-%m-%d-%H-%M-%S')`

// delivered is the SQL expression of when that object was delivered: when it was last modified, unless the time in its name is
// days earlier. Then it is a copy, and that time counts. Firehose retries for a day at most.
const delivered = "CASE WHEN o.modified > " + timeInName + " + INTERVAL 2 DAY THEN " + timeInName + " ELSE o.modified END"

// billed is the WITH clause that selects the month's requests in the objects, each once. Of a request with several rows, the
// view `requests` has the row that was imported first. A lake that is imported again may have another order, so billed
// selects the first row by the object's key. The same id in another month is another request.
const billed = `WITH chosen AS (SELECT id AS object, row_number() OVER (ORDER BY bucket, key) AS place
	FROM objects WHERE id IN (SELECT unnest(from_json($3, '["INTEGER"]')))),
twice AS (SELECT DISTINCT ` + lake.RequestKey + ` AS who FROM request_rows WHERE duplicate),
firsts AS (SELECT r.object, r.line FROM request_rows r JOIN chosen USING (object)
	WHERE time >= $1 AND time < $2 AND ` + lake.RequestKey + ` IN (SELECT who FROM twice)
	QUALIFY row_number() OVER (PARTITION BY ` + lake.SameRequest + ` ORDER BY place, line) = 1),
billed AS (
	SELECT r.* FROM request_rows r SEMI JOIN chosen USING (object) ANTI JOIN twice ON ` + lake.RequestKey + ` = who WHERE time >= $1 AND time < $2
	UNION ALL
	SELECT r.* FROM request_rows r SEMI JOIN firsts USING (object, line))
`

func (m *month) args() []any { return []any{m.from.UTC(), m.to.UTC(), m.objects} }

// freeze selects all objects that were delivered before closed.
func (m *month) freeze(ctx context.Context, closed time.Time) ([]Source, error) {
	return m.sources(ctx, func(_ Source, delivered time.Time) bool { return delivered.Before(closed) })
}

// thaw selects the objects of a manifest.
func (m *month) thaw(ctx context.Context, frozen []Source) ([]Source, error) {
	known := map[[2]string]bool{}
	for _, s := range frozen {
		known[[2]string{s.Bucket, s.Key}] = true
	}
	return m.sources(ctx, func(s Source, _ time.Time) bool { return known[[2]string{s.Bucket, s.Key}] })
}

// sources selects objects with rows of the month, and counts the billed rows of each.
func (m *month) sources(ctx context.Context, want func(Source, time.Time) bool) ([]Source, error) {
	var unchecked int64
	if err := m.tx.QueryRowContext(ctx, "SELECT count(*) FROM unchecked").Scan(&unchecked); err != nil {
		return nil, fmt.Errorf("check for unfinished imports: %w", err)
	}
	if unchecked > 0 {
		return nil, fmt.Errorf("an import was interrupted: the requests of %d objects were not checked for duplicates and might be billed twice; run the command again without --no-import", unchecked)
	}
	ids, sources, index := []int32{}, []Source{}, map[int32]int{}
	err := lake.EachRow(ctx, m.tx, `SELECT o.id, o.bucket, o.key, o.etag, `+delivered+` FROM objects o
		SEMI JOIN (SELECT DISTINCT object FROM request_rows WHERE time >= $1 AND time < $2) r ON o.id = r.object ORDER BY o.bucket, o.key`,
		[]any{m.from.UTC(), m.to.UTC()}, func(rows *sql.Rows) error {
			var id int32
			var s Source
			var at time.Time
			if err := rows.Scan(&id, &s.Bucket, &s.Key, &s.ETag, &at); err != nil {
				return err
			}
			if want(s, at) {
				index[id] = len(ids)
				ids, sources = append(ids, id), append(sources, s)
			}
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("list the objects of the month: %w", err)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		panic("BUG: encode object ids: " + err.Error())
	}
	m.objects = string(list)
	err = lake.EachRow(ctx, m.tx, billed+"SELECT object, count(*) FROM billed GROUP BY object", m.args(), func(rows *sql.Rows) error {
		var id int32
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		sources[index[id]].Rows = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the rows of objects: %w", err)
	}
	return sources, nil
}

// unbilled counts the rows that are on no line.
func (m *month) unbilled(ctx context.Context, of *Manifest) error {
	err := m.tx.QueryRowContext(ctx, billed+`SELECT
		count(*) FILTER (NOT r.duplicate AND r.time >= $1 AND r.time < $2 AND o.delivered >= $4),
		count(*) FILTER (NOT r.duplicate AND r.time IS NULL AND o.delivered >= $1 AND o.delivered < $4),
		count(*) FILTER (r.time >= $1 AND r.time < $2 AND o.delivered < $4) - (SELECT count(*) FROM billed),
		count(*) FILTER (r.time >= $1 AND r.time < $2 AND o.delivered < $4 AND r.extended_request_id IS NULL) - (SELECT count(*) FROM billed WHERE extended_request_id IS NULL)
		FROM request_rows r JOIN (SELECT o.id, `+delivered+` AS delivered FROM objects o) o ON o.id = r.object`,
		append(m.args(), of.Closed.UTC())...).Scan(&of.Late, &of.Undated, &of.Repeated, &of.RepeatedLines)
	if err != nil {
		return fmt.Errorf("count requests that are not billed: %w", err)
	}
	if of.Unread, err = lake.CountUnread(ctx, m.tx, delivered+" >= $1 AND "+delivered+" < $2", m.from.UTC(), of.Closed.UTC()); err != nil {
		return fmt.Errorf("count unread lines: %w", err)
	}
	return nil
}

// canonical is the SQL expression of a request as text. Each value follows its length, so that different requests differ.
const canonical = `epoch_us(time) || concat(` +
	`coalesce(strlen(` + requestID + `) || ':' || ` + requestID + `, '-'), coalesce(strlen(key_id) || ':' || key_id, '-'), ` +
	`coalesce(strlen(customer) || ':' || customer, '-'), coalesce(strlen(usage_plan_id) || ':' || usage_plan_id, '-'), ` +
	`coalesce(strlen(usage_plan) || ':' || usage_plan, '-'), coalesce(strlen(route) || ':' || route, '-'), coalesce(CAST(status AS VARCHAR), '-'))`

// digest returns the number of requests and Manifest.SHA256.
func (m *month) digest(ctx context.Context) (n int64, sum string, err error) {
	hash := sha256.New()
	var line sql.RawBytes
	err = lake.EachRow(ctx, m.tx, billed+"SELECT "+canonical+" AS text FROM billed ORDER BY text", m.args(), func(rows *sql.Rows) error {
		if err := rows.Scan(&line); err != nil {
			return err
		}
		hash.Write(line)
		hash.Write([]byte{'\n'})
		n++
		return nil
	})
	if err != nil {
		return 0, "", fmt.Errorf("hash the requests: %w", err)
	}
	return n, hex.EncodeToString(hash.Sum(nil)), nil
}

// cell counts requests to which the same rule and price apply.
type cell struct {
	keyID, nameOfNoKey string // the customer's name if there is no key, else "-"
	planID, nameOfNoID string
	status             int // 0 is missing
	route              string
	requests           int64
	customer, plan     string // newest names
	customerAt, planAt int64  // when they were seen, in microseconds since 1970
}

// cells reads all cells.
func (m *month) cells(ctx context.Context) (all []cell, err error) {
	// Of two names at one instant the greater wins, so that the result does not depend on the order of rows.
	const newest = `max(struct_pack(at := epoch_us(time), name := %[1]s)) FILTER (%[1]s IS NOT NULL)`
	statement := billed + `SELECT coalesce(key_id, '-'), coalesce(k, '-'), coalesce(usage_plan_id, '-'), coalesce(p, '-'), coalesce(status, 0), coalesce(route, '-'), n,
		coalesce(c.name, '-'), coalesce(c.at, 0), coalesce(u.name, '-'), coalesce(u.at, 0)
	FROM (SELECT key_id, if(key_id IS NULL, customer, NULL) AS k, usage_plan_id, if(usage_plan_id IS NULL, usage_plan, NULL) AS p, status, route, count(*) AS n, ` +
		fmt.Sprintf(newest, "customer") + " AS c, " + fmt.Sprintf(newest, "usage_plan") + " AS u FROM billed GROUP BY ALL)"
	err = lake.EachRow(ctx, m.tx, statement, m.args(), func(rows *sql.Rows) error {
		var c cell
		if err := rows.Scan(&c.keyID, &c.nameOfNoKey, &c.planID, &c.nameOfNoID, &c.status, &c.route, &c.requests, &c.customer, &c.customerAt, &c.plan, &c.planAt); err != nil {
			return err
		}
		all = append(all, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the requests: %w", err)
	}
	return all, nil
}
