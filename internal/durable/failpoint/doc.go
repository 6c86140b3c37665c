// Package failpoint names the steps at which a test may kill the process: where a crash could
// lose a record or deliver one twice. In every ordinary build At does nothing and costs
// nothing. Built with the tag faults, the variable STAGELOG_FAULT says at which step, and at
// which time that it is reached, the process kills itself.
package failpoint

// Step is a moment between two writes, of which the first has happened and the second has not.
type Step string

// The steps of a record's way, in order.
const (
	Received  Step = "received"  // records have come, and none is stored
	Appended  Step = "appended"  // a frame is synced, and its clients have no answer yet
	Collected Step = "collected" // a cut is closed, and nothing says so
	Decided   Step = "decided"   // its intent is written, and no object is put
	PutOne    Step = "put-one"   // one of its objects is put, and others may not be
	PutAll    Step = "put-all"   // all are put, and the intent stands
	Committed Step = "committed" // the range is delivered, and its frames are still there
	Trimmed   Step = "trimmed"   // its frames are gone
)

// Steps are all of them.
func Steps() []Step {
	return []Step{Received, Appended, Collected, Decided, PutOne, PutAll, Committed, Trimmed}
}
