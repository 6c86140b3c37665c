package server

import (
	"context"
	"net/http"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// localConfig converts the pipeline's local section for the control API. With lastLater, it leaves
// out the last customer of each plan.
func localConfig(l *config.Local, lastLater bool) apigateway.Local {
	var to apigateway.Local
	for _, a := range l.APIs {
		to.APIs = append(to.APIs, apigateway.LocalAPI(a))
	}
	for _, p := range l.UsagePlans {
		plan := apigateway.LocalPlan{ID: p.ID, Name: p.Name, Stages: p.Stages}
		if p.Throttle.Rate > 0 {
			plan.Throttle = &apigateway.Throttle{Rate: p.Throttle.Rate, Burst: p.Throttle.Burst}
		}
		if p.Quota.Limit > 0 {
			plan.Quota = &apigateway.Quota{Limit: int64(p.Quota.Limit), Period: apigateway.Period(p.Quota.Period), Offset: p.Quota.Offset}
		}
		customers := p.Customers
		if lastLater && len(customers) > 0 {
			customers = customers[:len(customers)-1]
		}
		for _, cust := range customers {
			plan.Customers = append(plan.Customers, apigateway.LocalCustomer{ID: cust.ID, Name: cust.Name, Value: string(cust.Key)})
		}
		to.Plans = append(to.Plans, plan)
	}
	return to
}

// faults returns the faults that the control API should simulate; nil means none.
func (c *Server) faults() *config.Faults {
	if l := c.cfg.Pipeline.Local; l != nil {
		return l.Faults
	}
	return nil
}

// heldBack reports whether the last customer of each plan is added later, during traffic.
func (c *Server) heldBack() bool { return c.faults() != nil && c.faults().NewKeyAfter > 0 }

// controlHandler returns the control API's handler, with the pipeline's simulated faults.
func (c *Server) controlHandler() http.Handler {
	f := c.faults()
	if f == nil {
		return c.control
	}
	return apigateway.Faults{PageSize: f.PageSize, ThrottleEvery: f.ThrottleEvery, Delay: f.Delay}.Wrap(c.control)
}

// addHeldBack applies the customers that were held back after the configured time. It waits until
// the rest is applied: in the other order they would be removed again.
func (c *Server) addHeldBack(ctx context.Context) error {
	if !c.heldBack() {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-c.applied:
	}
	if retry.Sleep(ctx, c.faults().NewKeyAfter) != nil {
		return nil
	}
	_, err := c.control.ApplyLocal(ctx, localConfig(c.cfg.Pipeline.Local, false))
	return err
}
