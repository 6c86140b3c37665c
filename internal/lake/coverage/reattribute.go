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

// Period describes a key's customer and plan during a time.
type Period struct {
	From, To     time.Time // To is exclusive; zero is no bound
	Customer     string    // name of the key
	Plan, PlanID string    // of the key for the API and stage; "" where it had none
}

// History provides the customers and plans of keys over time. Periods returns the known periods of a key in an API and stage,
// which do not overlap.
type History interface {
	Periods(ctx context.Context, keyID, apiID, stage string) ([]Period, error)
}

// Reattribution counts the rows of one key that had no customer.
type Reattribution struct {
	KeyID      string
	Attributed int64 // rows, duplicates included, that have a customer now
	Left       int64 // rows for whose time the history has no customer
}

// Reattribute sets the customer and plan, according to the history, of rows with a key but without a customer. It changes
// neither values that a row already has nor rows without a time. It uses one transaction, and repeating it changes nothing.
// Invoices of months whose rows changed can no longer be rebuilt.
func Reattribute(ctx context.Context, db *sql.DB, h History) ([]Reattribution, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("reattribute: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	places, err := unattributed(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("find rows without a customer: %w", err)
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

// place is a key, API and stage, which determine a plan, with the number of rows without a customer.
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

// attribute sets the period's customer in the rows of the place that are in the period, and returns their number.
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
	// A row with a plan id or name keeps both.
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
