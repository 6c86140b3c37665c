//go:build race

package enrich_test

// raceEnabled skips the check of allocations: the race detector makes pools drop their contents.
const raceEnabled = true
