package console

import (
	"context"
	"net/http"
	"time"
)

// Delivery says how delivery goes.
type Delivery interface {
	// Deliveries is how it stands now. It answers from memory, or nearly.
	Deliveries(ctx context.Context) (Deliveries, error)
}

// Deliveries is how delivery goes at one moment.
type Deliveries struct {
	Streams   []Stream
	Directory *Directory // nil is: this process keeps none
}

// Stream is one delivery stream.
type Stream struct {
	Name        string
	Destination string // where its objects go: s3://bucket/prefix

	Backlog Backlog
	// What was delivered since the process began.
	Objects, Records, Bytes int64
	ErrorRecords            int64     // of them in error objects
	LastDelivered           time.Time // zero is never
	Failures                []Failure // the newest first
}

// Backlog is what was accepted and is not delivered yet.
type Backlog struct {
	Bytes int64         // on disk
	Age   time.Duration // of the oldest record that was read
}

// Failure is a reason for which records went to the error output, or delivery waits.
type Failure struct {
	Code, Message string
	Count         int64
	Last          time.Time
	Replay        string // the command that tries these records again; "" is none
}

// Directory is the map from API key to usage plan and customer.
type Directory struct {
	Keys, Plans int
	Remembered  int           // keys that are kept though deleted
	Pending     int           // unknown keys that wait for a refresh
	Age         time.Duration // of the snapshot
	Problem     string        // why the last refresh failed; "" is none
}

// delivery serves the page on delivery.
func (c *Console) delivery(w http.ResponseWriter, r *http.Request) {
	f := c.newFrame(r, "Delivery", "/delivery", nil)
	f.Refresh = 5
	c.render(w, "top", f)
	defer c.render(w, "bottom", f)
	flush(w)
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	now, err := c.cfg.Delivery.Deliveries(ctx)
	if err != nil {
		c.log.Error("page failed", "path", f.Path, "error", err)
		c.render(w, "problem", problem{Title: "Delivery does not say how it is", Text: err.Error()})
		return
	}
	c.render(w, "delivery", deliveryPage{Deliveries: now, Now: c.cfg.Now()})
}

// deliveryPage is what the page on delivery shows.
type deliveryPage struct {
	Deliveries
	Now time.Time
}

// Since says how long ago something was.
func (p deliveryPage) Since(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return age(max(0, p.Now.Sub(t))) + " ago"
}

// Health is the stream's state in a word.
func (s Stream) Health() string {
	switch {
	case s.Backlog.Age > lateAfter:
		return "late"
	case len(s.Failures) > 0:
		return "errors"
	case s.Backlog.Bytes > 0:
		return "delivering"
	}
	return "idle"
}

// lateAfter is when a backlog is a worry: the longest buffering interval is 15 minutes.
const lateAfter = 20 * time.Minute
