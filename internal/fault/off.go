//go:build !faults

package fault

// At marks that a step is reached.
func At(Step) {}
