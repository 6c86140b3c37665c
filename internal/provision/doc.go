// Package provision creates, changes and removes a pipeline's resources in an AWS account.
//
// There is no state file. Each resource has a name derived from the pipeline's name and an owner
// tag; its actual state is read on each run and compared field by field. One file holds one kind
// of resource with its Read, Apply and Destroy methods; plan.go, apply.go and destroy.go call
// these for all resources in order.
package provision
