package invoice

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// Manifest describes the inputs of an invoice. Rebuild computes the same invoice from it.
type Manifest struct {
	Format      int       `json:"format"` // of this document: 1
	Month       string    `json:"month"`
	Zone        string    `json:"zone"`
	From        time.Time `json:"from"`   // first instant of the month
	To          time.Time `json:"to"`     // first instant after the month
	Closed      time.Time `json:"closed"` // objects delivered before this time count
	Preliminary bool      `json:"preliminary"`
	Prices      Prices    `json:"prices"`
	Objects     []Source  `json:"objects"` // those with requests of the month, delivered in time; by bucket and key
	Rows        int64     `json:"rows"`    // requests of the month
	// SHA256 is the hash of these requests: of each its time, request id, key id, customer, plan id, plan, route and status,
	// one line per request, sorted by bytes.
	SHA256 string `json:"sha256"`
	// Requests that were on no line. Rebuild does not check these counts.
	Late     int64 `json:"late"`     // requests of the month in objects delivered after it was closed
	Undated  int64 `json:"undated"`  // requests without a time in objects delivered between From and Closed
	Repeated int64 `json:"repeated"` // rows of the objects that repeat a request of the month
	// RepeatedLines counts those of Repeated without an extended request id, whose request id and all other fields are the same.
	RepeatedLines int64 `json:"repeated_lines"`
	// Unread counts what the objects delivered between From and Closed have besides requests.
	Unread lake.Unread `json:"unread"`
}

// Prices names a price file.
type Prices struct {
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Source is one object of a manifest.
type Source struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	ETag   string `json:"etag"`
	Rows   int64  `json:"rows"` // requests of the month that count from this object
}

const manifestFormat = 1

// ReadManifest reads a manifest that Write wrote.
func ReadManifest(r io.Reader) (*Manifest, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("read manifest: unknown format %d, expected %d; use the release that wrote it", m.Format, manifestFormat)
	}
	if !m.From.Before(m.To) {
		return nil, fmt.Errorf("read manifest: the month from %s to %s is empty; the file was modified", m.From, m.To)
	}
	return &m, nil
}

// Write writes the manifest as JSON.
func (m *Manifest) Write(w io.Writer) error { return table.WriteJSON(w, m) }

// Difference describes one difference between a manifest and the current lake or price file.
type Difference struct {
	What, Frozen, Found string
}

// String returns the difference on one line.
func (d Difference) String() string {
	return fmt.Sprintf("%s: the manifest has %s, found %s", d.What, d.Frozen, d.Found)
}

// differences compares a frozen manifest with m, which was computed now.
func differences(frozen, m *Manifest) []Difference {
	var all []Difference
	differ := func(what, a, b string) {
		if a != b {
			all = append(all, Difference{what, a, b})
		}
	}
	differ("price file", frozen.Prices.Version+" "+frozen.Prices.SHA256, m.Prices.Version+" "+m.Prices.SHA256)
	found := map[[2]string]Source{}
	for _, s := range m.Objects {
		found[[2]string{s.Bucket, s.Key}] = s
	}
	for _, s := range frozen.Objects {
		name := fmt.Sprintf("object %s/%s", s.Bucket, s.Key)
		now, ok := found[[2]string{s.Bucket, s.Key}]
		if !ok {
			all = append(all, Difference{name, fmt.Sprintf("%d rows", s.Rows), "no rows of this object in the lake; import it again"})
			continue
		}
		differ(name+", ETag", s.ETag, now.ETag)
		differ(name+", rows", fmt.Sprint(s.Rows), fmt.Sprint(now.Rows))
	}
	differ("rows", fmt.Sprint(frozen.Rows), fmt.Sprint(m.Rows))
	differ("content of the rows (SHA-256)", frozen.SHA256, m.SHA256)
	return all
}
