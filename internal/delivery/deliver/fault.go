package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/record"
)

// FaultKind says what a fault of the storage did to records.
type FaultKind string

// Kinds of faults.
const (
	// Lost means that frames which were acknowledged and not delivered are gone.
	Lost FaultKind = "lost"
	// Repeated means that records of the frames may be in the bucket twice.
	Repeated FaultKind = "repeated"
	// Replaced means that the log is not the one that was delivered from. Frames of the old one that
	// were not delivered are lost; the frames of the new one are delivered from the first.
	Replaced FaultKind = "replaced"
	// Damaged means that files were damaged; Detail says which, and what that cost.
	Damaged FaultKind = "damaged"
)

// Unknown is the number of records of a fault if it cannot be known.
const Unknown = -1

// Fault is a fault of the storage that could not be repaired without a consequence.
type Fault struct {
	Found  time.Time `json:"found"`
	Kind   FaultKind `json:"kind"`
	Stream string    `json:"stream,omitempty"`
	Shard  int       `json:"shard,omitempty"`
	// First and Last are the sequences of the frames concerned.
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
	// Records is the number of records concerned, or Unknown.
	Records int64 `json:"records,omitempty"`
	// Detail describes a Damaged fault.
	Detail string `json:"detail,omitempty"`
	// Acknowledged is set once an operator has seen the fault.
	Acknowledged bool `json:"acknowledged,omitempty"`
}

// String returns one sentence for logs and pages.
func (f Fault) String() string {
	if f.Kind == Damaged {
		return f.Detail
	}
	records := "an unknown number of records"
	if f.Records != Unknown {
		records = fmt.Sprintf("%d records", f.Records)
	}
	where := fmt.Sprintf("stream %s, shard %d, frames %d to %d", f.Stream, f.Shard, f.First, f.Last)
	switch f.Kind {
	case Lost:
		return fmt.Sprintf("%s: storage lost %s that were acknowledged and not delivered", where, records)
	case Repeated:
		return fmt.Sprintf("%s: the delivery state is lost or no longer fits the log; %s may be in the bucket twice, and earlier frames are taken for delivered", where, records)
	}
	return fmt.Sprintf("stream %s, shard %d: the log was replaced or shortened after frame %d was delivered; what it held after that is lost (%s), and all of its frames are delivered",
		f.Stream, f.Shard, f.Last, records)
}

// key returns the key of the fault's document. It has no text, because the store limits its length.
func (f Fault) key(epoch string) string {
	return fmt.Sprintf("%s/%s/%d/%s/%d-%d/%08x", f.Kind, f.Stream, f.Shard, epoch, f.First, f.Last, crc32.ChecksumIEEE([]byte(f.Detail)))
}

// Faults keeps the faults of the storage until an operator acknowledges them. It may be used in parallel.
type Faults struct {
	store   record.Store
	logger  *slog.Logger
	records *prometheus.CounterVec

	mu   sync.Mutex // guards open
	open map[string]Fault
}

// OpenFaults reads the faults that are not acknowledged from the store and registers the metrics.
func OpenFaults(ctx context.Context, store record.Store, reg prometheus.Registerer, logger *slog.Logger) (*Faults, error) {
	f := &Faults{store: store, logger: logger, open: map[string]Fault{}, records: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stagelog_delivery_fault_records_total",
		Help: "Records concerned by faults of the storage, where the number is known: lost, or possibly repeated.",
	}, []string{"stream", "kind"})}
	reg.MustRegister(f.records, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stagelog_delivery_faults",
		Help: "Faults of the storage that were found and not yet acknowledged.",
	}, func() float64 { return float64(len(f.Open())) }))
	err := store.All(ctx, "", func(key string, value []byte, _ uint64) error {
		var fault Fault
		if err := json.Unmarshal(value, &fault); err != nil {
			fault = Fault{Kind: Damaged, Detail: "a report of a storage fault is unreadable"}
		}
		if !fault.Acknowledged {
			f.open[key] = fault
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the faults of the storage: %w", err)
	}
	return f, nil
}

// Open returns the faults that are not acknowledged, oldest first.
func (f *Faults) Open() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	open := make([]Fault, 0, len(f.open))
	for _, fault := range f.open {
		open = append(open, fault)
	}
	slices.SortFunc(open, func(a, b Fault) int {
		return cmp.Or(a.Found.Compare(b.Found), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.First, b.First))
	})
	return open
}

// Acknowledge marks the faults that Open returns as seen. They are not reported again.
func (f *Faults) Acknowledge(ctx context.Context) error {
	f.mu.Lock()
	open := maps.Clone(f.open)
	f.mu.Unlock()
	for key, fault := range open {
		fault.Acknowledged = true
		value, err := json.Marshal(fault)
		if err == nil {
			_, err = f.store.Set(ctx, key, value)
		}
		if err != nil {
			return fmt.Errorf("acknowledge a fault of the storage: %w", err)
		}
		f.logger.Info("fault of the storage acknowledged", "fault", fault.String())
		f.mu.Lock()
		delete(f.open, key)
		f.mu.Unlock()
	}
	return nil
}

func (f *Faults) known(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.open[key]
	return known
}

// Report logs, counts and stores a fault. Repeating it with the same epoch of the log has no effect.
func (f *Faults) Report(ctx context.Context, fault Fault, epoch string) error {
	key := fault.key(epoch)
	if f.known(key) {
		return nil
	}
	value, err := json.Marshal(fault)
	if err != nil {
		return fmt.Errorf("encode a fault of the storage: %w", err)
	}
	switch _, err := f.store.Put(ctx, key, value, 0); {
	case errors.Is(err, record.ErrConflict):
		return nil // reported before
	case err != nil:
		return fmt.Errorf("store a fault of the storage: %w", err)
	}
	f.mu.Lock()
	f.open[key] = fault
	f.mu.Unlock()
	f.logger.Error(fault.String(), "kind", string(fault.Kind))
	if fault.Records > 0 {
		f.records.WithLabelValues(fault.Stream, string(fault.Kind)).Add(float64(fault.Records))
	}
	return nil
}
