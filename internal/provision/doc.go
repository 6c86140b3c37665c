// Package provision is the AWS face: it makes a pipeline real in an AWS account, with the
// resources that the pipeline's name gives them, and takes them away again.
//
// There is no state file. Each resource has a name derived from the pipeline's and carries
// a tag that says whose it is; what is there is read each time and compared field by field.
// One file holds one kind of resource, which reads, compares, applies and destroys itself;
// plan.go, apply.go and destroy.go walk over all of them in order.
package provision
