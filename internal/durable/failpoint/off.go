//go:build !faults

package failpoint

// At marks that a step is reached.
func At(Step) {}
