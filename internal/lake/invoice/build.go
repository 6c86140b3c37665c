package invoice

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Options configures an invoice.
type Options struct {
	Zone     *time.Location // time zone of the month; nil is UTC
	LateDays int            // days after the month's end in which delivered objects still count; 0 means 3, negative none
	Now      time.Time      // an invoice is preliminary before the month is closed; zero means time.Now()
}

const defaultLateDays = 3

// Invoice holds the costs of a month.
type Invoice struct {
	Manifest Manifest
	Currency string
	Decimals int
	Lines    []Line   // by customer, key id and plan
	Total    *big.Rat // of the rounded amounts
	Problems []string // to check before the invoice is sent
}

// Line holds the requests of one API key in one usage plan.
type Line struct {
	KeyID, Customer string // the newest name of the month; "-" if missing
	PlanID, Plan    string
	Requests        int64 // of the month
	Counted         int64 // that the rules of the price file count
	Included        int64 // of those, that the fee covers
	Fee             *big.Rat
	Charges         []Charge
	Amount          *big.Rat // rounded; nil if the line cannot be billed
	Note            string   // why Amount is nil, or that the plan is free
	Account         Account  // the customer's accounts in billing systems
	free            bool
}

// Build computes the invoice of a month in one read transaction.
func Build(ctx context.Context, db *sql.DB, prices *PriceFile, of Month, o Options) (*Invoice, error) {
	zone := cmp.Or(o.Zone, time.UTC)
	if _, err := time.LoadLocation(zone.String()); err != nil || zone == time.Local {
		return nil, fmt.Errorf("invoice of %s: time zone %s has no portable name; use one like Europe/Berlin", of, zone)
	}
	days := cmp.Or(o.LateDays, defaultLateDays)
	end := of.End(zone)
	m := Manifest{
		Format: manifestFormat, Month: of.String(), Zone: zone.String(), From: of.Begin(zone).UTC(), To: end.UTC(),
		Closed: end.AddDate(0, 0, max(0, days)).UTC(), Prices: Prices{prices.Version, prices.SHA256},
	}
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	m.Preliminary = now.Before(m.Closed)
	var invoice *Invoice
	err := read(ctx, db, &m, func(r *month) (err error) {
		if m.Objects, err = r.freeze(ctx, m.Closed); err != nil {
			return err
		}
		if m.Rows, m.SHA256, err = r.digest(ctx); err != nil {
			return err
		}
		if err := r.unbilled(ctx, &m); err != nil {
			return err
		}
		invoice, err = r.invoice(ctx, prices, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("invoice of %s: %w", of, err)
	}
	return invoice, nil
}

// Rebuild computes the invoice of a manifest again. If its inputs have changed, the error lists the differences.
func Rebuild(ctx context.Context, db *sql.DB, prices *PriceFile, frozen *Manifest) (*Invoice, error) {
	var invoice *Invoice
	err := read(ctx, db, frozen, func(r *month) error {
		different, err := r.verify(ctx, prices, frozen)
		if err != nil {
			return err
		}
		if len(different) > 0 {
			lines := make([]string, len(different))
			for i, d := range different {
				lines[i] = d.String()
			}
			return fmt.Errorf("the inputs of the invoice have changed:\n%s", strings.Join(lines, "\n"))
		}
		invoice, err = r.invoice(ctx, prices, *frozen)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rebuild invoice of %s: %w", frozen.Month, err)
	}
	return invoice, nil
}

func read(ctx context.Context, db *sql.DB, m *Manifest, fn func(*month) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("read the lake: %w", err)
	}
	defer tx.Rollback() // nothing was written
	return fn(&month{tx: tx, from: m.From, to: m.To})
}

func (m *month) verify(ctx context.Context, prices *PriceFile, frozen *Manifest) ([]Difference, error) {
	now := *frozen
	now.Prices = Prices{prices.Version, prices.SHA256}
	var err error
	if now.Objects, err = m.thaw(ctx, frozen.Objects); err != nil {
		return nil, err
	}
	if now.Rows, now.SHA256, err = m.digest(ctx); err != nil {
		return nil, err
	}
	return differences(frozen, &now), nil
}

// invoice returns the invoice with its priced lines.
func (m *month) invoice(ctx context.Context, prices *PriceFile, manifest Manifest) (*Invoice, error) {
	lines, err := m.lines(ctx, prices)
	if err != nil {
		return nil, err
	}
	in := &Invoice{Manifest: manifest, Currency: prices.Currency, Decimals: prices.Decimals, Lines: lines, Total: new(big.Rat)}
	for i := range in.Lines {
		l := &in.Lines[i]
		l.price(prices)
		if l.Amount != nil {
			in.Total.Add(in.Total, l.Amount)
		}
	}
	in.Problems = in.problems()
	return in, nil
}

// named holds the newest name of a customer or plan.
type named struct {
	name string
	at   int64
}

func (n *named) see(name string, at int64) {
	if name != missing && (n.name == "" || at > n.at || at == n.at && name > n.name) {
		n.name, n.at = name, at
	}
}

// lines counts the requests of each key and plan by the rules of the plan's price.
func (m *month) lines(ctx context.Context, prices *PriceFile) ([]Line, error) {
	type id struct{ keyID, nameOfNoKey, planID, nameOfNoID string }
	type tally struct {
		Line
		matcher *matcher
	}
	found := map[id]*tally{}
	customers, plans := map[id]*named{}, map[id]*named{}
	see := func(names map[id]*named, of id, name string, at int64) {
		if names[of] == nil {
			names[of] = &named{}
		}
		names[of].see(name, at)
	}
	cells, err := m.cells(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range cells {
		see(customers, id{keyID: c.keyID, nameOfNoKey: c.nameOfNoKey}, c.customer, c.customerAt)
		see(plans, id{planID: c.planID, nameOfNoID: c.nameOfNoID}, c.plan, c.planAt)
	}
	for _, c := range cells {
		of := id{c.keyID, c.nameOfNoKey, c.planID, c.nameOfNoID}
		t := found[of]
		if t == nil {
			t = &tally{Line: Line{
				KeyID: c.keyID, Customer: cmp.Or(customers[id{keyID: c.keyID, nameOfNoKey: c.nameOfNoKey}].name, missing),
				PlanID: c.planID, Plan: cmp.Or(plans[id{planID: c.planID, nameOfNoID: c.nameOfNoID}].name, missing),
			}}
			if p := prices.plan(t.PlanID, t.Plan); p != nil {
				ready := p.Count.matcher()
				t.matcher = &ready
			}
			found[of] = t
		}
		t.Requests += c.requests
		if t.matcher != nil && t.matcher.counts(c.status, c.route) {
			t.Counted += c.requests
		}
	}
	lines := make([]Line, 0, len(found))
	for _, t := range found {
		lines = append(lines, t.Line)
	}
	slices.SortFunc(lines, func(a, b Line) int {
		return cmp.Or(strings.Compare(a.Customer, b.Customer), strings.Compare(a.KeyID, b.KeyID), strings.Compare(a.Plan, b.Plan), strings.Compare(a.PlanID, b.PlanID))
	})
	return lines, nil
}

// price sets the line's fee, charges and amount.
func (l *Line) price(prices *PriceFile) {
	l.Account = prices.account(l.KeyID, l.Customer)
	p := prices.plan(l.PlanID, l.Plan)
	switch {
	case l.KeyID == missing && l.Customer == missing:
		l.Note = "no customer"
	case p == nil && l.PlanID == missing && l.Plan == missing:
		l.Note = "no usage plan"
	case p == nil:
		l.Note = "the price file has no such plan"
	case p.Free:
		l.Note, l.free, l.Amount, l.Fee = "free", true, new(big.Rat), new(big.Rat)
	default:
		l.Fee = p.Fee
		l.Charges, l.Included = p.charges(l.Counted)
		sum := new(big.Rat).Set(p.Fee)
		for _, c := range l.Charges {
			sum.Add(sum, c.Amount)
		}
		l.Amount = prices.Rounding.round(sum, prices.Decimals)
	}
}

// usualRepeats: up to one repeated row in this many is normal. Firehose redelivers after failures, which are rarer.
const usualRepeats = 100

func (in *Invoice) problems() []string {
	var all []string
	m := in.Manifest
	if m.Preliminary {
		all = append(all, fmt.Sprintf("preliminary: objects count until %s", m.Closed.Format(time.RFC3339)))
	}
	for _, l := range in.Lines {
		if l.Amount == nil {
			all = append(all, fmt.Sprintf("%d requests of %s (key %s, plan %s) are unbilled: %s", l.Requests, l.Customer, l.KeyID, l.Plan, l.Note))
		}
	}
	switch {
	case m.Late > 0 && m.Rows == 0:
		all = append(all, fmt.Sprintf("NOTHING IS BILLED: the requests of the month (%d) are all in objects that were last modified after it was closed (%s); "+
			"if the bucket was copied, bill with --late-days above the days until the copy", m.Late, m.Closed.Format(time.RFC3339)))
	case m.Late > 0:
		all = append(all, fmt.Sprintf("%d requests of the month were delivered after it was closed (%s), by the time in the names of objects or their last modification, and are not billed",
			m.Late, m.Closed.Format(time.RFC3339)))
	}
	if m.Undated > 0 {
		all = append(all, fmt.Sprintf("%d requests have no time and are not billed", m.Undated))
	}
	if m.Repeated > 0 {
		text := fmt.Sprintf("%d rows repeat another one and are billed once: %d have the same extended request id, %d are the same in every field", m.Repeated, m.Repeated-m.RepeatedLines, m.RepeatedLines)
		if m.Repeated > m.Rows/usualRepeats {
			text += "; this is unusually many"
		}
		all = append(all, text)
	}
	if unread := m.Unread.String(); unread != "" {
		all = append(all, "not billed: the objects delivered since the month began also have "+unread)
	}
	return all
}
