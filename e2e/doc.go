// Package e2e tests the real binary over HTTP, with AWS's own clients, signals and kills. It imports
// no product code.
//
// Tests whose clients are not installed (the AWS CLI, boto3) are skipped with SKIPPED and the reason.
package e2e
