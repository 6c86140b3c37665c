// Package deliver delivers the frames of one shard of a stream as objects in a bucket. Each record
// is in exactly one object, also after crashes and repeated puts: good records in data objects,
// failed ones in error objects.
//
// The delivery state, one document per shard, is written conditionally on its revision. It holds
// the watermark and the pending flush:
//
//  1. Frames are read in order, transformed, and appended to the open objects.
//  2. Size or age closes the flush. The pending flush {first, last, object names} is written
//     first: every object is named in a pending flush before it is put.
//  3. The objects are put under these fixed names, with retries until all succeed.
//  4. The state is written with delivered = last and no pending flush. Then the log is trimmed.
//
// A lease decides which of several processes delivers. It only avoids duplicate work; the
// revision guarantees correctness.
//
// A worker that starts finishes the pending flush first: it reads and transforms the same range
// again and writes to the same names. See document.
package deliver
