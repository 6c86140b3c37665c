// Package export writes a pipeline as a Terraform configuration or a CloudFormation template,
// for users who do not run `stagelog deploy`: the same resources with the same names, documents
// and tags, so that plan and doctor work on the result. It also writes SQL for Amazon Athena.
//
// The text depends neither on the account nor on the Region in which it is applied. The same
// pipeline and zip give the same text.
package export
