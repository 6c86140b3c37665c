// Package e2e runs the real binary as a user would: over HTTP, over AWS's protocols with
// AWS's own clients, with signals and kills. It imports nothing of ours.
//
// Tests with clients that a machine may lack (the AWS CLI, boto3) say SKIPPED and why.
package e2e
