// Package doctor checks every hop of a chain from an API's stage to a reader of the bucket,
// and reports the cause of and the fix for each fault.
//
// It follows the actual configuration: from the stage to the destination of its access logs,
// from that stream to its function and its bucket, and to the accounts that the bucket policy
// admits. So it also works on chains that stagelog did not build. Checks are read-only, except
// that a marked record is sent on request.
//
// One file holds one link. Checks without permission are reported as unknown, with the IAM
// statement that is missing; they never count as passed.
package doctor
