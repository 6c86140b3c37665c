// Package export writes a pipeline as a Terraform configuration or a CloudFormation template,
// for users who do not run `stagelog deploy`: the same resources with the same names, documents
// and tags, so that plan and doctor work on the result. It also writes SQL for Amazon Athena.
//
// The text is independent of the account and Region in which it is applied, and the same for the
// same pipeline and zip.
package export
