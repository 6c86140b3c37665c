package invoice

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"strconv"

	"github.com/stagelog/stagelog/internal/lake/report"
)

// money is an amount as it stands on the invoice, or "" where there is none.
func (in *Invoice) money(amount *big.Rat) string {
	if amount == nil {
		return ""
	}
	return amount.FloatString(in.Decimals)
}

// WriteCSV writes a line for each line of the invoice and none for the total. Texts are written as report.Cell does, so that
// a spreadsheet does not run them.
func (in *Invoice) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"month", "customer", "key_id", "plan", "plan_id", "requests", "counted", "included", "fee", "amount", "currency", "note", "prices"})
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, l := range in.Lines {
		fee := ""
		if l.Fee != nil {
			fee = exact(l.Fee)
		}
		out.Write([]string{in.Manifest.Month, report.Cell(l.Customer), report.Cell(l.KeyID), report.Cell(l.Plan), report.Cell(l.PlanID),
			whole(l.Requests), whole(l.Counted), whole(l.Included), fee, in.money(l.Amount), in.Currency, l.Note, report.Cell(in.Manifest.Prices.Version)})
	}
	out.Flush()
	if err := out.Error(); err != nil {
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

// WriteJSON writes the invoice and its manifest. Amounts are texts, as JSON's numbers are not exact everywhere; an amount
// that does not exist is null. Fields may be added, and stay as they are.
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
	return writeJSON(w, out)
}
