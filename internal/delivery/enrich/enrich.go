package enrich

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
	"github.com/stagelog/stagelog/internal/record"
)

// Index returns the customer of a request from memory. It must be safe for parallel use, must not
// block, and must not keep the bytes passed to it.
type Index interface {
	// Lookup returns the usage plan of this key for this API and stage, and the customer. An empty
	// string means none. known reports whether the index has the key.
	Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool)
}

// APIKeyMode selects what happens to the value of the member with the plaintext API key.
type APIKeyMode string

// The modes. The order of the members never changes.
const (
	Mask APIKeyMode = "mask" // asterisks except for the last four characters; all asterisks if shorter than eight
	Hash APIKeyMode = "hash" // the first 128 bits of HMAC-SHA256 under Config.HashSalt, in hex
	Drop APIKeyMode = "drop" // the member is removed
	Keep APIKeyMode = "keep" // unchanged
)

// Config describes the records and names the output members. An output with an empty name is omitted.
type Config struct {
	Format *accesslog.Format // of the records; default accesslog.Classic

	UsagePlan   string // output: the usage plan's name
	Customer    string // output: the API key's name
	UsagePlanID string // output: the usage plan's id

	APIKey   APIKeyMode // default Mask
	HashSalt []byte     // required for Hash: without a secret, keys could be guessed from their hashes
	MaxBytes int        // maximum size of a record, default record.MaxBytes
}

// Bad is the reason why a record belongs in the error output. Reason is one of a few fixed texts
// without any of the record's content, so it can be logged and counted.
type Bad = jsonscan.Bad

// Reasons, in addition to those of jsonscan.
var (
	badEmpty  = &Bad{Reason: "the record is empty"}
	badSize   = &Bad{Reason: "the record is larger than the limit"}
	badObject = &Bad{Reason: "the record is not a JSON object"}
)

// Enricher adds the usage plan and the customer to records. It is safe for parallel use.
type Enricher struct {
	dir      Index
	mode     APIKeyMode
	maxBytes int
	fields   *fields
	secrets  *hasher

	// out holds the output members in order, each as `"name":"`, or "" if it is omitted.
	out [outputs]string

	mark       role // the input role whose field each line has
	unwrappers sync.Pool
	unknown    atomic.Uint64
}

// New returns an Enricher. It calls Lookup once for each object of a record.
func New(cfg Config, dir Index) (*Enricher, error) {
	if cfg.APIKey == "" {
		cfg.APIKey = Mask
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = record.MaxBytes
	}
	e := &Enricher{dir: dir, mode: cfg.APIKey, maxBytes: cfg.MaxBytes}
	if e.maxBytes < 0 || e.maxBytes > math.MaxInt32 {
		return nil, fmt.Errorf("invalid record size limit %d", e.maxBytes)
	}
	switch cfg.APIKey {
	case Mask, Drop, Keep:
	case Hash:
		if len(cfg.HashSalt) == 0 {
			return nil, errors.New("API key mode hash requires a salt")
		}
		e.secrets = newHasher(cfg.HashSalt)
	default:
		return nil, fmt.Errorf("unknown API key mode %q; use mask, hash, drop or keep", cfg.APIKey)
	}
	if cfg.Format == nil {
		cfg.Format = accesslog.Parse(accesslog.Classic)
	}
	names := [outputs]string{cfg.UsagePlan, cfg.Customer, cfg.UsagePlanID}
	var err error
	if e.fields, err = newFields(cfg.Format, e.mode, names); err != nil {
		return nil, err
	}
	e.mark = markOf(cfg.Format)
	e.unwrappers.New = e.newUnwrapper
	for k, name := range names {
		if name != "" {
			e.out[k] = string(append(appendEscaped([]byte{'"'}, name), `":"`...))
		}
	}
	return e, nil
}

// Append appends the enriched record to dst: each object of rec on a line of its own. The error is
// nil, a *Bad, or record.ErrDropped if the record holds no request; on an error dst is returned unchanged.
//
// All other bytes are kept, with one exception: a newline between two tokens becomes a space,
// because each line holds one object.
func (e *Enricher) Append(dst, rec []byte) (out []byte, err error) {
	out, bad := e.append(dst, rec)
	switch bad {
	case nil:
		return out, nil
	case badSize, badEmpty:
		return dst, bad
	}
	return e.unwrap(dst, rec)
}

// append does the same as Append for a record that needs no repair and wraps nothing.
func (e *Enricher) append(dst, rec []byte) ([]byte, *Bad) {
	if len(rec) > e.maxBytes {
		return dst, badSize
	}
	i := jsonscan.SpaceEnd(rec, 0)
	if i == len(rec) {
		return dst, badEmpty
	}
	out := dst
	for i < len(rec) {
		var o object
		next, bad := e.scan(rec, i, &o)
		if bad != nil {
			return dst, bad
		}
		if o.in[e.mark].kind == kindNone {
			return dst, notLine
		}
		out = e.emit(out, rec, &o)
		i = jsonscan.SpaceEnd(rec, next)
	}
	return out, nil
}

// Unknown returns the number of objects so far whose key id was not in the index.
func (e *Enricher) Unknown() uint64 { return e.unknown.Load() }

// addedBytes estimates the bytes that enrichment adds to a record, to reserve memory once.
const addedBytes = 160

// Transform enriches a batch without the JSON and base64 of a Lambda event. It appends one result
// for each record to out[:0]; their data is in scratch.
func (e *Enricher) Transform(b record.Batch, scratch *[]byte, out []record.Result) []record.Result {
	size := 0
	for _, rec := range b.Records {
		size += len(rec) + addedBytes
	}
	buf := slices.Grow((*scratch)[:0], size)
	out = out[:0]
	for _, rec := range b.Records {
		begin := len(buf)
		enriched, err := e.Append(buf, rec)
		switch {
		case errors.Is(err, record.ErrDropped):
			out = append(out, record.Result{Status: record.Dropped})
			continue
		case err != nil:
			out = append(out, record.Result{Status: record.Failed, Code: record.CodeProcessingFailed,
				Message: record.MessageProcessingFailed + ": " + err.Error()})
			continue
		}
		// If buf was reallocated, earlier results still reference the old array, which stays valid.
		buf = enriched
		out = append(out, record.Result{Status: record.OK, Data: buf[begin:len(buf):len(buf)]})
	}
	*scratch = buf
	return out
}
