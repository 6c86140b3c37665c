package coverage

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// LakeHistory derives a key's history from the lake's attributed rows. A row's customer applies from that row until the next
// row with another customer, so a renamed key keeps its old name for its old requests. The first row's customer also applies
// to earlier requests, because a new key is unknown for a moment. For a key without attributed rows, Else is used.
type LakeHistory struct {
	DB   *sql.DB
	Else History
}

// islands selects the runs of a key's consecutive rows with the same customer and plan.
const islands = `SELECT min(time) AS first, customer, usage_plan, usage_plan_id FROM (
	SELECT time, customer, usage_plan, usage_plan_id,
		row_number() OVER (ORDER BY time, object, line)
		- row_number() OVER (PARTITION BY customer, usage_plan, usage_plan_id ORDER BY time, object, line) AS island
	FROM request_rows
	WHERE key_id = ? AND api_id IS NOT DISTINCT FROM nullif(?, '') AND stage IS NOT DISTINCT FROM nullif(?, '') AND customer IS NOT NULL AND time IS NOT NULL)
	GROUP BY customer, usage_plan, usage_plan_id, island ORDER BY first`

// Periods implements History.
func (h LakeHistory) Periods(ctx context.Context, keyID, apiID, stage string) ([]Period, error) {
	var periods []Period
	err := lake.EachRow(ctx, h.DB, islands, []any{keyID, apiID, stage}, func(rows *sql.Rows) error {
		var first time.Time
		var p Period
		var plan, planID sql.NullString
		if err := rows.Scan(&first, &p.Customer, &plan, &planID); err != nil {
			return err
		}
		p.Plan, p.PlanID = plan.String, planID.String
		if n := len(periods); n > 0 {
			p.From, periods[n-1].To = first, first
		}
		periods = append(periods, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the plans of key %q from the lake: %w", keyID, err)
	}
	if len(periods) == 0 && h.Else != nil {
		return h.Else.Periods(ctx, keyID, apiID, stage)
	}
	return periods, nil
}

// Known is a History that applies the keys' current customers and plans to all times.
type Known struct {
	Index interface {
		Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool)
	}
}

// Periods implements History.
func (k Known) Periods(_ context.Context, keyID, apiID, stage string) ([]Period, error) {
	plan, planID, customer, known := k.Index.Lookup([]byte(keyID), []byte(apiID), []byte(stage))
	if !known {
		return nil, nil
	}
	return []Period{{Customer: customer, Plan: plan, PlanID: planID}}, nil
}
