package invoice

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// ErrPreliminary is returned instead of events if the month is not closed: a meter keeps the first event of an identifier,
// so the final count would be ignored.
var ErrPreliminary = errors.New("the month is still open, and meter events cannot be corrected once they are sent")

// A meter event has the counted requests of one line, including those that the fee covers: fees, included requests and tiers
// are defined in the billing system. Lines without an amount or of a free plan have no event. Events may be sent again: their
// identifier depends on month, key and plan, but not on the count, so a second invoice of the month is not added to the first.

type stripeEvent struct {
	EventName  string        `json:"event_name"`
	Timestamp  int64         `json:"timestamp"`
	Identifier string        `json:"identifier"`
	Payload    stripePayload `json:"payload"`
}

type stripePayload struct {
	Customer string `json:"stripe_customer_id"`
	Value    string `json:"value"`
}

// WriteStripe writes the bodies of POST /v1/billing/meter_events as JSON, one for each line of the invoice that has a Stripe
// customer, and returns the lines that lack one. The timestamp is the last second of the month: Stripe accepts events of the
// last 35 days and remembers identifiers for at least 24 hours.
func (in *Invoice) WriteStripe(w io.Writer, eventName string) (unmapped []Line, err error) {
	at := in.lastSecond().Unix()
	return in.events(w, func(l Line) (any, bool) {
		return stripeEvent{eventName, at, l.identifier(in.Manifest), stripePayload{l.Account.Stripe, strconv.FormatInt(l.Counted, 10)}}, l.Account.Stripe != ""
	})
}

type cloudEvent struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject"`
	Time        string    `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        eventData `json:"data"`
}

type eventData struct {
	Requests int64  `json:"requests"`
	Month    string `json:"month"`
	KeyID    string `json:"key_id"`
	PlanID   string `json:"plan_id"`
	Plan     string `json:"plan"`
}

// WriteOpenMeter writes CloudEvents of a type as JSON, one for each line of the invoice that has an OpenMeter subject, and
// returns the lines that lack one. A meter sums $.requests; OpenMeter counts each id of a source once.
func (in *Invoice) WriteOpenMeter(w io.Writer, eventType string) (unmapped []Line, err error) {
	at := in.lastSecond().Format(time.RFC3339)
	return in.events(w, func(l Line) (any, bool) {
		return cloudEvent{
			SpecVersion: "1.0", ID: l.identifier(in.Manifest), Source: "stagelog", Type: eventType, Subject: l.Account.OpenMeter, Time: at,
			ContentType: "application/json", Data: eventData{l.Counted, in.Manifest.Month, l.KeyID, l.PlanID, l.Plan},
		}, l.Account.OpenMeter != ""
	})
}

// events writes the event of each billed line, and returns the lines without an account.
func (in *Invoice) events(w io.Writer, event func(Line) (any, bool)) (unmapped []Line, err error) {
	if in.Manifest.Preliminary {
		return nil, fmt.Errorf("write meter events of %s: %w", in.Manifest.Month, ErrPreliminary)
	}
	out := bufio.NewWriter(w)
	for _, l := range in.Lines {
		if l.Amount == nil || l.free || l.Counted == 0 {
			continue
		}
		e, mapped := event(l)
		if !mapped {
			unmapped = append(unmapped, l)
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("write meter events: %w", err)
		}
		out.Write(append(table.JSON(data), '\n')) // the error stays until Flush
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("write meter events: %w", err)
	}
	return unmapped, nil
}

// lastSecond returns the last full second of the month.
func (in *Invoice) lastSecond() time.Time { return in.Manifest.To.Add(-time.Second).UTC() }

// identifier returns the line's identifier for meters. It uses names only in place of missing ids, as names change.
func (l Line) identifier(m Manifest) string {
	hash := sha256.New()
	who, plan := l.Customer, l.Plan
	if l.KeyID != missing {
		who = ""
	}
	if l.PlanID != missing {
		plan = ""
	}
	for _, part := range []string{m.Month, l.KeyID, who, l.PlanID, plan} {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return "stagelog-" + m.Month + "-" + hex.EncodeToString(hash.Sum(nil))[:32]
}
