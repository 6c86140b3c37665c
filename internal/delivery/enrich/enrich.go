package enrich

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
	"github.com/stagelog/stagelog/internal/record"
)

// Index returns from memory the customer of a request. It must be safe for parallel use, must not
// block, and must not keep the bytes it is given.
type Index interface {
	// Lookup returns the usage plan of this key for this API and stage, and the customer. An empty
	// string means none. known reports whether the index has the key.
	Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool)
}

// APIKeyMode says what happens to the value of the member that holds an API key in clear.
type APIKeyMode string

// The modes. The member's place among the others never changes.
const (
	Mask APIKeyMode = "mask" // asterisks, of which the last four characters are left out; under eight characters, all asterisks
	Hash APIKeyMode = "hash" // the first 128 bits of HMAC-SHA256 under Config.HashSalt, in hex
	Drop APIKeyMode = "drop" // the member is left out
	Keep APIKeyMode = "keep" // as it came
)

// Config says which members hold what. An output name that is empty is left out of the output.
type Config struct {
	Fields accesslog.Fields // the members of the input, by their decoded names

	UsagePlan   string // output: the usage plan's name
	Customer    string // output: the API key's name
	UsagePlanID string // output: the usage plan's id

	APIKey   APIKeyMode // default Mask
	HashSalt []byte     // required for Hash: without a secret, a hash of a key can be guessed
	MaxBytes int        // the most bytes of a record, default record.MaxBytes
}

// Stats counts what was noteworthy since the start.
type Stats struct {
	Repaired uint64 // records whose curly quotes were repaired
	Split    uint64 // records that held more than one object
	Unknown  uint64 // objects whose key id the index does not know
	Bad      uint64 // records refused with a *Bad
}

// Enricher adds the usage plan and the customer to records. It is safe for parallel use.
type Enricher struct {
	dir      Index
	mode     APIKeyMode
	maxBytes int
	roles    roles
	secrets  *hasher

	// out are the output members in order, each `"name":"`, or empty where it is left out.
	out [outputs]string

	repaired, split, unknown, bad atomic.Uint64
}

// New checks cfg. The index is asked once for each object of each record.
func New(cfg Config, dir Index) (*Enricher, error) {
	if cfg.APIKey == "" {
		cfg.APIKey = Mask
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = record.MaxBytes
	}
	e := &Enricher{dir: dir, mode: cfg.APIKey, maxBytes: cfg.MaxBytes}
	if e.maxBytes < 0 || e.maxBytes > math.MaxInt32 {
		return nil, fmt.Errorf("%d is no limit for a record's bytes", e.maxBytes)
	}
	switch cfg.APIKey {
	case Mask, Drop, Keep:
	case Hash:
		if len(cfg.HashSalt) == 0 {
			return nil, errors.New("hash of API keys needs a salt")
		}
		e.secrets = newHasher(cfg.HashSalt)
	default:
		return nil, fmt.Errorf("API key mode %q is none of mask, hash, drop, keep", cfg.APIKey)
	}
	names := [roleCount]string{
		roleKeyID: cfg.Fields.KeyID, roleAPIID: cfg.Fields.APIID, roleStage: cfg.Fields.Stage, roleAPIKey: cfg.Fields.APIKey,
		roleUsagePlan: cfg.UsagePlan, roleCustomer: cfg.Customer, rolePlanID: cfg.UsagePlanID,
	}
	if e.mode == Keep {
		names[roleAPIKey] = ""
	}
	var err error
	if e.roles, err = newRoles(names); err != nil {
		return nil, err
	}
	for k := range e.out {
		if name := names[roleUsagePlan+role(k)]; name != "" {
			e.out[k] = string(append(appendEscaped([]byte{'"'}, name), `":"`...))
		}
	}
	return e, nil
}

// Append appends the enriched form of rec to dst: each object of rec on a line of its own, ended by
// one newline. The error is nil or a *Bad, and then dst is returned as it came.
//
// What is not replaced keeps its bytes, with one exception: a newline between two tokens becomes a
// space, because a line is an object.
func (e *Enricher) Append(dst, rec []byte) (out []byte, err error) {
	out, bad := e.append(dst, rec)
	if bad == nil {
		return out, nil
	}
	if out, ok := e.appendRepaired(dst, rec, bad); ok {
		e.repaired.Add(1)
		return out, nil
	}
	e.bad.Add(1)
	return dst, bad
}

// appendRepaired appends a record that is bad as it came, if nothing but its quotes is wrong.
func (e *Enricher) appendRepaired(dst, rec []byte, bad *Bad) ([]byte, bool) {
	if bad != jsonscan.BadJSON && bad != jsonscan.BadTruncated {
		return dst, false
	}
	repaired := jsonscan.FixQuotes(rec)
	if repaired == nil {
		return dst, false
	}
	out, bad := e.append(dst, repaired)
	if bad != nil || jsonscan.Repeats(repaired) {
		return dst, false
	}
	return out, true
}

// append is Append without the attempt to repair.
func (e *Enricher) append(dst, rec []byte) ([]byte, *Bad) {
	if len(rec) > e.maxBytes {
		return dst, badSize
	}
	i := jsonscan.SpaceEnd(rec, 0)
	if i == len(rec) {
		return dst, badEmpty
	}
	out, objects := dst, 0
	for i < len(rec) {
		var o object
		next, bad := e.scan(rec, i, &o)
		if bad != nil {
			return dst, bad
		}
		out = e.emit(out, rec, &o)
		objects++
		i = jsonscan.SpaceEnd(rec, next)
	}
	if objects > 1 {
		e.split.Add(1)
	}
	return out, nil
}

// Stats returns the counters as they stand.
func (e *Enricher) Stats() Stats {
	return Stats{Repaired: e.repaired.Load(), Split: e.split.Load(), Unknown: e.unknown.Load(), Bad: e.bad.Load()}
}
