package lake

import (
	"errors"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
)

// ErrDamaged is returned for a damage of a shared lake's file that another process found. Damaged returns true for it.
var ErrDamaged = errors.New("the file of the lake is damaged")

// ErrInUse is returned by Open while another process has the lake open.
var ErrInUse = errors.New("in use by another process")

// Options configures a Lake.
type Options struct {
	ReadOnly bool
	// MemoryMiB limits DuckDB's memory; more is spilled to disk. By default 1024.
	MemoryMiB int
	// Temp is an empty directory for temporary files and for what does not fit in memory. Close removes it. By default Open
	// creates one, and DuckDB spills to a directory beside the lake.
	Temp string
	// SpillMiB limits what does not fit in memory. By default DuckDB's limit applies, which is most of the free disk space.
	SpillMiB int
	// Wait is how long Open waits for another process to close the lake. By default it does not wait.
	Wait time.Duration
	// Waiting is called once, when Open starts to wait. It may be nil.
	Waiting func()
	// Rebuilt allows Open to set a damaged file aside and create a new one, as the lake is a copy of the bucket. It is called
	// with the path of the damaged file. If it is nil, Open returns an error.
	Rebuilt func(aside string)
}

// ImportOptions selects what is imported, and how.
type ImportOptions struct {
	Prefix string
	// Except are prefixes below Prefix that hold no logs.
	Except []string
	// From and To bound the requests' time; zero is no bound. Objects delivered slightly
	// earlier or later are imported too.
	From, To time.Time
	Mapping  Mapping
	// Forget removes, at the end of a successful import, the rows of the range's objects that are no
	// longer in the bucket. If no object at all is below Prefix, it removes none.
	Forget bool
	// Parallel is the number of objects read at once. By default two per processor.
	Parallel int
	// BatchRows is the approximate number of rows per transaction. By default 1,000,000.
	BatchRows int64
	// Progress is called after each transaction, never in parallel. It may be nil.
	Progress func(Summary)
}

// Summary counts what an import has done so far.
type Summary struct {
	Found     int   `json:"found"`     // objects in the range
	Imported  int   `json:"imported"`  // of those, new or changed
	Forgotten int   `json:"forgotten"` // objects no longer in the bucket, removed from the lake
	Spared    int   `json:"spared"`    // objects kept although missing, because no object is below the prefix
	Earlier   int   `json:"earlier"`   // objects in the lake that were read with the previous Mapping, if this one is new
	Skipped   int   `json:"skipped"`   // objects not imported, which the next import tries again; Problems has the reasons
	Rows      int64 `json:"rows"`
	Bytes     int64 `json:"bytes"` // of the objects, as stored

	Bad        int64 `json:"bad"`        // lines that are not JSON objects
	Other      int64 `json:"other"`      // JSON objects that are not access log lines
	Control    int64 `json:"control"`    // messages with which CloudWatch Logs tests a destination, left out
	Doctor     int64 `json:"doctor"`     // records of `stagelog doctor`, left out
	Misfit     int64 `json:"misfit"`     // values that do not fit their column, kept in extra
	Repaired   int64 `json:"repaired"`   // lines that were not valid JSON before a repair; Repairs has the causes
	Zoneless   int64 `json:"zoneless"`   // times without a zone, read as UTC
	Duplicates int64 `json:"duplicates"` // rows of requests that were already in the lake

	// Repairs counts the repaired lines by the cause of the first repair in their object.
	Repairs []Repair `json:"repairs,omitempty"`
	// Problems lists objects that could not be read completely, at most 20.
	Problems []Problem `json:"problems,omitempty"`
}

// Repair describes a fault of lines that were repaired.
type Repair struct {
	Cause string `json:"cause"`
	Lines int64  `json:"lines"`
}

// Problem describes what is wrong with an object.
type Problem struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
	// Skipped reports whether the object was not imported. Otherwise its good lines were, and it is not read again.
	Skipped bool `json:"skipped,omitempty"`
}

// maxProblems bounds Summary.Problems. The table objects has all of them.
const maxProblems = 20

// ownPrefix is the prefix of stagelog's own objects in a bucket.
const ownPrefix = "stagelog/"

// OptionsOf returns the options to import the logs that a pipeline delivers. If p is nil, logs may be anywhere in the bucket
// and in any format.
func OptionsOf(p *config.Pipeline) ImportOptions {
	opts := ImportOptions{Except: []string{ownPrefix}}
	if p == nil {
		return opts
	}
	opts.Prefix = p.Deliver.Logs()
	if failed := p.Deliver.ErrorOutput(); failed != "" {
		opts.Except = append(opts.Except, failed)
	}
	if p.Format != "" {
		opts.Mapping = MappingOf(accesslog.Parse(p.Format), p.Names.UsagePlan, p.Names.Customer, p.Names.UsagePlanID)
	}
	return opts
}
