// Package usageplan holds the usage plan index: an in-memory map from (API key id, API id, stage) to
// the usage plan and the customer, and the ways to keep it current.
//
// A Snapshot is immutable. An Index holds the newest one behind an atomic pointer and answers
// look-ups without waiting; a key that is missing is noted for the next refresh. A Source lists plans
// and keys: APISource calls API Gateway, and anything in this process that can list them may be one.
// A SnapshotStore shares one snapshot between processes, so that a new process is ready at once and
// only one at a time calls API Gateway, which allows ten management calls a second per account.
//
// The values of API keys are never decoded, and so never held, stored or logged.
package usageplan
