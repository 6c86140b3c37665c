package coverage

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// LakeHistory is what the lake's own rows say of a key: from the first row with a customer on that one, from the first row
// with another on the other. So a key that was renamed has its old name for its old requests, as its requests beside them
// have. What comes before the first row has the first one's customer: a key is unknown for a moment when it is new. Of
// a key that no row attributes, Else is asked.
type LakeHistory struct {
	DB   *sql.DB
	Else History
}

// islands are the rows of a key that follow each other with the same customer and plan.
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

// Known is a History of what is known of keys now: it holds for all time.
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
