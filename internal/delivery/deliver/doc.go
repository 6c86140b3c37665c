// Package deliver delivers the frames of one shard of a stream as objects in a bucket. Each record
// is in exactly one object, also after crashes and repeated puts: good records in data objects,
// failed ones in error objects.
//
// One document per shard, the delivery state, is written under its revision. It holds how far
// delivery has come and the pending flush:
//
//  1. Frames are read in order, transformed, and appended to the open objects.
//  2. A size or an age closes the flush. It is decided once: the pending flush {first, last,
//     object names} is written. Every object that may ever be put is in a pending flush first.
//  3. The objects are put, with retries until it succeeds. Their names are fixed.
//  4. The state is written with delivered = last and no pending flush. Then the log is trimmed.
//
// Workers of several processes take turns by a lease. The lease saves work; the revision decides.
//
// A worker that starts finishes the pending flush first: the same range is read and transformed
// again, into the same names. See document.
package deliver
