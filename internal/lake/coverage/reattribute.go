package coverage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Period is to whom a key belonged for a time.
type Period struct {
	From, To     time.Time // To is the instant after the last; zero is without bound
	Customer     string    // name of the key
	Plan, PlanID string    // of the key for the API and stage; "" where it had none
}

// History knows to whom keys belonged and when. Periods returns what it knows of a key in an API and stage, none where it
// knows nothing; they do not overlap.
type History interface {
	Periods(ctx context.Context, keyID, apiID, stage string) ([]Period, error)
}

// Reattribution is what became of the rows of one key that were of no customer.
type Reattribution struct {
	KeyID      string
	Attributed int64 // rows, duplicates included, that have a customer now
	Left       int64 // rows that the history knows nothing about for their time
}

// Reattribute gives rows that have a key and no customer the customer and plan that the history knows for their time. What
// rows have already stays, and so does everything about rows without a time. All of it happens in one transaction or none; doing
// it again changes nothing. Invoices frozen before no longer verify for months in which rows changed.
func Reattribute(ctx context.Context, db *sql.DB, h History) ([]Reattribution, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("reattribute: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	places, err := unattributed(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("find rows of no customer: %w", err)
	}
	byKey := map[string]*Reattribution{}
	for _, p := range places {
		periods, err := h.Periods(ctx, p.keyID, p.apiID.String, p.stage.String)
		if err != nil {
			return nil, fmt.Errorf("look up the history of key %q: %w", p.keyID, err)
		}
		m := byKey[p.keyID]
		if m == nil {
			m = &Reattribution{KeyID: p.keyID}
			byKey[p.keyID] = m
		}
		m.Left += p.rows
		for _, period := range periods {
			n, err := p.attribute(ctx, tx, period)
			if err != nil {
				return nil, fmt.Errorf("attribute rows of key %q: %w", p.keyID, err)
			}
			m.Attributed += n
			m.Left -= n
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("reattribute: %w", err)
	}
	all := make([]Reattribution, 0, len(byKey))
	for _, m := range byKey {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b Reattribution) int {
		return cmp.Or(cmp.Compare(b.Attributed+b.Left, a.Attributed+a.Left), strings.Compare(a.KeyID, b.KeyID))
	})
	return all, nil
}

// place is what a plan depends on, and the rows of no customer there.
type place struct {
	keyID        string
	apiID, stage sql.NullString
	rows         int64
}

func unattributed(ctx context.Context, tx *sql.Tx) ([]place, error) {
	var places []place
	err := lake.EachRow(ctx, tx, `SELECT key_id, api_id, stage, count(*) FROM request_rows WHERE customer IS NULL AND key_id IS NOT NULL
		GROUP BY ALL ORDER BY ALL`, nil, func(rows *sql.Rows) error {
		var p place
		if err := rows.Scan(&p.keyID, &p.apiID, &p.stage, &p.rows); err != nil {
			return err
		}
		places = append(places, p)
		return nil
	})
	return places, err
}

// attribute gives the rows of the place that lie in the period its customer, and counts them.
func (p place) attribute(ctx context.Context, tx *sql.Tx, period Period) (int64, error) {
	if period.Customer == "" || period.Customer == missing {
		return 0, nil
	}
	optional := func(s string) any {
		if s == "" || s == missing {
			return nil
		}
		return s
	}
	// A row that has a plan keeps id and name of it: the two belong together.
	statement := `UPDATE request_rows SET customer = ?,
		usage_plan = if(usage_plan IS NULL AND usage_plan_id IS NULL, ?, usage_plan),
		usage_plan_id = if(usage_plan IS NULL AND usage_plan_id IS NULL, ?, usage_plan_id)
		WHERE customer IS NULL AND key_id = ? AND api_id IS NOT DISTINCT FROM ? AND stage IS NOT DISTINCT FROM ? AND time IS NOT NULL`
	args := []any{period.Customer, optional(period.Plan), optional(period.PlanID), p.keyID, p.apiID, p.stage}
	if !period.From.IsZero() {
		statement, args = statement+" AND time >= ?", append(args, period.From.UTC())
	}
	if !period.To.IsZero() {
		statement, args = statement+" AND time < ?", append(args, period.To.UTC())
	}
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
