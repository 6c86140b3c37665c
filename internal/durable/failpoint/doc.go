// Package failpoint marks the steps of delivery where a crash could lose a record or deliver
// it twice, so that tests can kill the process there. In a normal build At is a no-op. With
// the build tag faults, the environment variable STAGELOG_FAULT selects the step, and the
// number of times that it must be reached, at which the process kills itself.
package failpoint

// Step is a point between two writes: the first is done, the second is not.
type Step string

// The steps of delivery, in order.
const (
	Received  Step = "received"  // records are received, none is stored
	Appended  Step = "appended"  // a frame is synced, its clients have no response yet
	Collected Step = "collected" // a flush is decided, nothing records it
	Decided   Step = "decided"   // the pending flush is recorded, no object is put
	PutOne    Step = "put-one"   // one object of the flush is put, others may be missing
	PutAll    Step = "put-all"   // all objects are put, the pending flush is still recorded
	Committed Step = "committed" // the range is recorded as delivered, its frames still exist
	Trimmed   Step = "trimmed"   // the frames are deleted
)
