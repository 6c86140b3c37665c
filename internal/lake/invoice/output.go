package invoice

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"strconv"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// money formats an amount with the invoice's decimals. It returns "" for nil.
func (in *Invoice) money(amount *big.Rat) string {
	if amount == nil {
		return ""
	}
	return amount.FloatString(in.Decimals)
}

// WriteCSV writes the lines of the invoice without the total. Texts are escaped by table.Cell, so that a spreadsheet does not
// run them as formulas.
func (in *Invoice) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"month", "customer", "key_id", "plan", "plan_id", "requests", "counted", "included", "fee", "amount", "currency", "note", "prices"})
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, l := range in.Lines {
		fee := ""
		if l.Fee != nil {
			fee = exact(l.Fee)
		}
		out.Write([]string{in.Manifest.Month, table.Cell(l.Customer), table.Cell(l.KeyID), table.Cell(l.Plan), table.Cell(l.PlanID),
			whole(l.Requests), whole(l.Counted), whole(l.Included), fee, in.money(l.Amount), in.Currency, l.Note, table.Cell(in.Manifest.Prices.Version)})
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write invoice: %w", err)
	}
	return nil
}

// WriteTable writes the invoice as a table that fits into width cells if possible. 0 is no limit.
func (in *Invoice) WriteTable(w io.Writer, width int) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s (%s), prices %s, %s\n\n", in.Manifest.Month, in.Manifest.Zone, table.Printable(in.Manifest.Prices.Version), in.Currency)
	var columns []table.Column
	add := func(head string, right bool, spare int, total string, cell func(Line) string) {
		c := table.Column{Head: head, Right: right, Spare: spare}
		for _, l := range in.Lines {
			c.Cells = append(c.Cells, cell(l))
		}
		c.Cells = append(c.Cells, total)
		columns = append(columns, c)
	}
	count := func(n int64) string { return table.Thousands(n) }
	add("customer", false, 0, "total", func(l Line) string { return table.Shown(l.Customer) })
	add("key id", false, 0, "", func(l Line) string { return table.Shown(l.KeyID) })
	add("plan", false, 0, "", func(l Line) string { return table.Shown(l.Plan) })
	add("plan id", false, 3, "", func(l Line) string { return table.Shown(l.PlanID) })
	add("requests", true, 2, count(in.Manifest.Rows), func(l Line) string { return count(l.Requests) })
	add("counted", true, 0, "", func(l Line) string { return count(l.Counted) })
	add("included", true, 4, "", func(l Line) string { return count(l.Included) })
	add("amount", true, 0, in.money(in.Total), func(l Line) string { return cmp.Or(in.money(l.Amount), missing) })
	add("note", false, 1, "", func(l Line) string { return l.Note })
	if err := table.Write(out, columns, width); err != nil {
		return err
	}
	for i, p := range in.Problems {
		if i == 0 {
			fmt.Fprintln(out)
		}
		for _, line := range table.Wrap("! "+table.Printable(p), width) {
			fmt.Fprintln(out, line)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write invoice: %w", err)
	}
	return nil
}

type jsonInvoice struct {
	Month    string     `json:"month"`
	Currency string     `json:"currency"`
	Total    string     `json:"total"`
	Lines    []jsonLine `json:"lines"`
	Problems []string   `json:"problems"`
	Manifest Manifest   `json:"manifest"`
}

type jsonLine struct {
	Customer  string       `json:"customer"`
	KeyID     string       `json:"key_id"`
	Plan      string       `json:"plan"`
	PlanID    string       `json:"plan_id"`
	Requests  int64        `json:"requests"`
	Counted   int64        `json:"counted"`
	Included  int64        `json:"included"`
	Fee       *string      `json:"fee"`
	Charges   []jsonCharge `json:"charges"`
	Amount    *string      `json:"amount"`
	Note      string       `json:"note,omitempty"`
	Stripe    string       `json:"stripe,omitempty"`
	OpenMeter string       `json:"openmeter,omitempty"`
}

type jsonCharge struct {
	Requests int64  `json:"requests"`
	Price    string `json:"price"`
	Per      int64  `json:"per"`
	Amount   string `json:"amount"` // exact; only the amount of the line is rounded
}

// WriteJSON writes the invoice and its manifest. Amounts are strings, as JSON numbers are not exact everywhere; a missing
// amount is null. Fields may be added but are never changed.
func (in *Invoice) WriteJSON(w io.Writer) error {
	out := jsonInvoice{in.Manifest.Month, in.Currency, in.money(in.Total), make([]jsonLine, len(in.Lines)), in.Problems, in.Manifest}
	if out.Problems == nil {
		out.Problems = []string{}
	}
	for i, l := range in.Lines {
		line := jsonLine{
			Customer: l.Customer, KeyID: l.KeyID, Plan: l.Plan, PlanID: l.PlanID, Requests: l.Requests, Counted: l.Counted,
			Included: l.Included, Charges: make([]jsonCharge, len(l.Charges)), Note: l.Note, Stripe: l.Account.Stripe, OpenMeter: l.Account.OpenMeter,
		}
		for j, c := range l.Charges {
			line.Charges[j] = jsonCharge{c.Requests, exact(c.Price), c.Per, exact(c.Amount)}
		}
		if l.Amount != nil {
			fee, amount := exact(l.Fee), in.money(l.Amount)
			line.Fee, line.Amount = &fee, &amount
		}
		out.Lines[i] = line
	}
	return table.WriteJSON(w, out)
}
