package console

import (
	"context"
	"net/http"
	"time"
)

// Deliveries is the delivery status at one moment.
type Deliveries struct {
	Streams []Stream
	Index   *PlanIndex // nil if this process has none
	Faults  []Fault    // of the storage, oldest first
}

// Fault is a fault of the storage that lost or repeated records.
type Fault struct {
	Found time.Time
	Text  string
}

// Stream is the status of a delivery stream.
type Stream struct {
	Name        string
	Destination string // of its objects: s3://bucket/prefix

	Backlog Backlog
	// Delivered since the process started.
	Objects, Records, Bytes int64
	ErrorRecords            int64     // of those, in error objects
	LastDelivered           time.Time // zero if never
	Failures                []Failure // newest first
}

// Backlog describes accepted records that are not delivered yet.
type Backlog struct {
	Bytes int64         // on disk
	Age   time.Duration // of the oldest record that delivery has read
}

// Failure is a reason why records went to the error output or delivery is stalled.
type Failure struct {
	Code, Message string
	Count         int64
	Last          time.Time
	Replay        string // command that reprocesses these records; "" if none
}

// PlanIndex is the status of the usage plan index.
type PlanIndex struct {
	Keys, Plans int
	Remembered  int           // deleted keys that are still known
	Pending     int           // unknown keys that await a refresh
	Age         time.Duration // of the snapshot
}

// acknowledge hides the faults of the storage.
func (c *Console) acknowledge(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.Acknowledge(r.Context()); err != nil {
		c.log.Error("acknowledging faults of the storage failed", "error", err)
		http.Error(w, "The faults could not be acknowledged. See the log.", http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/delivery", http.StatusSeeOther)
}

// delivery serves the delivery page.
func (c *Console) delivery(w http.ResponseWriter, r *http.Request) {
	f := c.newFrame(r, "Delivery", "/delivery", nil)
	f.Refresh = 5
	c.render(w, "top", f)
	defer c.render(w, "bottom", f)
	flush(w)
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	now, err := c.cfg.Delivery(ctx)
	if err != nil {
		c.log.Error("page failed", "path", f.Path, "error", err)
		c.render(w, "problem", problem{Title: "Delivery status unavailable", Text: err.Error()})
		return
	}
	c.render(w, "delivery", deliveryPage{Deliveries: now, Now: c.cfg.Now()})
}

// deliveryPage is the data of the delivery page.
type deliveryPage struct {
	Deliveries
	Now time.Time
}

// Since returns how long ago t was, as text.
func (p deliveryPage) Since(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return age(max(0, p.Now.Sub(t))) + " ago"
}

// Health returns the stream's state: late, errors, delivering or idle.
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

// lateAfter is the age from which a backlog is late: the longest buffering interval is 15 minutes.
const lateAfter = 20 * time.Minute
