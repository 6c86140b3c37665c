// Package policy is IAM's policy documents: those that a pipeline needs, what any of them
// means, and whether it allows a call.
//
// The grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
package policy
