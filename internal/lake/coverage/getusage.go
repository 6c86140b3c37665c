package coverage

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
)

// GetUsage reads API Gateway's counts per key and plan.
type GetUsage struct{ Gateway *apigateway.Client }

// usageLimit is the largest page of GetUsage and GetUsagePlans.
const usageLimit = 500

// Counts implements Counter.
func (g GetUsage) Counts(ctx context.Context, first, last time.Time, fn func(Count) error) error {
	plans := apigateway.NewGetUsagePlansPaginator(g.Gateway, &apigateway.GetUsagePlansInput{Limit: aws.Int32(usageLimit)})
	for plans.HasMorePages() {
		page, err := plans.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the usage plans: %w", err)
		}
		for _, plan := range page.Items {
			if err := g.plan(ctx, aws.ToString(plan.Id), first, last, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// plan calls fn with the counts of one plan.
func (g GetUsage) plan(ctx context.Context, id string, first, last time.Time, fn func(Count) error) error {
	in := &apigateway.GetUsageInput{
		UsagePlanId: &id, StartDate: aws.String(first.Format(time.DateOnly)), EndDate: aws.String(last.Format(time.DateOnly)), Limit: aws.Int32(usageLimit),
	}
	for {
		page, err := g.Gateway.GetUsage(ctx, in)
		if err != nil {
			return fmt.Errorf("get the usage of plan %s: %w", id, err)
		}
		for key, days := range page.Items {
			for i, used := range days { // used and remaining calls, per day
				if len(used) == 0 {
					continue
				}
				if err := fn(Count{KeyID: key, Day: first.AddDate(0, 0, i), Calls: used[0]}); err != nil {
					return err
				}
			}
		}
		if aws.ToString(page.Position) == "" || aws.ToString(page.Position) == aws.ToString(in.Position) {
			return nil
		}
		in.Position = page.Position
	}
}
