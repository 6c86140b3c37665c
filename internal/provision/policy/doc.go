// Package policy implements IAM policy documents: it builds those that a pipeline needs, and
// parses, compares and evaluates any of them.
//
// The grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
package policy
