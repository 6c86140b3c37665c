// Package usageplan provides the usage plan index, an in-memory map from (API key id, API id, stage)
// to the usage plan and the customer, and keeps it current.
//
// A Snapshot is immutable. An Index holds the newest one behind an atomic pointer and answers lookups
// without blocking; a missing key is recorded for the next refresh. A Source lists plans and keys:
// APISource calls API Gateway, and other types in this process can implement it too. A SnapshotStore
// shares one snapshot between processes, so that a new process is ready immediately and only one at a
// time calls API Gateway, which allows ten management calls per second and account.
//
// The values of API keys are never decoded, and therefore never held, stored or logged.
package usageplan
