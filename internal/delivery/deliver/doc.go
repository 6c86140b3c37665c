// Package deliver takes the frames of one shard of a stream to objects in a bucket, each
// record into exactly one: good records into data objects, failed ones into error objects,
// also after crashes and repeated puts.
//
// One document per shard, written under its revision, holds how far delivery has come and
// the cut that is under way:
//
//  1. Frames are read in order, transformed, and appended to the open objects.
//  2. A size or an age closes the cut. It is decided once: the intent {first, last, object
//     names} is written. Every object that may ever be put is in an intent first.
//  3. The objects are put, again and again until it works. Their names are fixed.
//  4. The document says delivered = last, without an intent. Then the log is trimmed.
//
// Workers of several processes take turns by a lease. It is a courtesy; the
// revision decides.
//
// A worker that starts finishes a standing intent first: the same range is read and
// transformed again, into the same names. The document says more in file state.go.
package deliver
