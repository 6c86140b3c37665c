package lake

import "time"

// Options of a Lake.
type Options struct {
	ReadOnly bool
	// MemoryMiB is how much memory DuckDB may take; the rest goes to disk. By default 1024.
	MemoryMiB int
	// Wait is how long Open waits for another process that has the lake. By default not at all.
	Wait time.Duration
	// Waiting is called once, when Open begins to wait. It may be nil.
	Waiting func()
}

// ImportOptions say what is imported.
type ImportOptions struct {
	Prefix string
	// Except are prefixes below Prefix that hold no logs.
	Except []string
	// From and To bound the requests' time; zero is no bound. Objects delivered somewhat
	// earlier and later are imported, too.
	From, To time.Time
	Mapping  Mapping
	// Forget drops what was imported of objects of the range that are no longer in the bucket,
	// once the import has come to its end. Where nothing at all is below Prefix it drops none.
	Forget bool
	// Parallel is how many objects are read at once. By default two for each processor.
	Parallel int
	// BatchRows is how many rows go into a transaction, about. By default 500,000.
	BatchRows int64
	// Progress is called after each transaction, never in parallel. It may be nil.
	Progress func(Summary)
}

// Summary is what an import has done, or has so far.
type Summary struct {
	Found     int   `json:"found"`     // objects in the range
	Imported  int   `json:"imported"`  // of them, those that were new or had changed
	Forgotten int   `json:"forgotten"` // objects that are gone from the bucket, and now from the lake
	Spared    int   `json:"spared"`    // objects to be forgotten, and kept because nothing is below the prefix
	Rows      int64 `json:"rows"`
	Bytes     int64 `json:"bytes"` // of the objects, as stored

	Bad        int64 `json:"bad"`        // lines that are no JSON object
	Doctor     int64 `json:"doctor"`     // records of `stagelog doctor`, left out
	Misfit     int64 `json:"misfit"`     // values that do not fit their column, kept in extra
	Repaired   int64 `json:"repaired"`   // lines whose curly quotes were repaired
	Duplicates int64 `json:"duplicates"` // rows of requests that were there already

	// Problems are objects that could not be read, or not to their end.
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is what is wrong with an object.
type Problem struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// maxProblems are listed; all of them are in the table objects.
const maxProblems = 20
