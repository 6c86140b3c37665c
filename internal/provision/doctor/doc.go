// Package doctor proves that a chain from an API's stage to a reader of the bucket works, and
// names what is broken where it does not.
//
// It follows the chain as it is: from the stage to the destination of its access logs, from
// that stream to its function and its bucket, and to whoever the bucket's policy lets in. So
// it works on chains that stagelog did not build as well as on its own. Reading changes
// nothing; the one thing that is written is a marked record, when it is asked for.
//
// One file holds one link. What these credentials may not look at is skipped and said so,
// with the IAM statement that is missing: it is never taken for good.
package doctor
