// Package usageplan is the directory: an in-memory map from (API key id, API id, stage) to the usage
// plan and the customer, and the ways to keep it current.
//
// A Snapshot is immutable. A Directory holds the newest one behind an atomic pointer and answers
// look-ups without waiting; a key it does not know is noted for the next refresh. A Source says what
// there is: APISource asks API Gateway, and anything in this process that can list plans and keys may
// be one. A SnapshotStore shares one snapshot between processes, so that a fresh one is ready at once
// and only one at a time asks API Gateway, which allows ten management calls a second per account.
//
// The values of API keys are never decoded, and so never held, stored or logged.
package usageplan
