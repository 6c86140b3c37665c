// Package export writes a pipeline down as Terraform or as CloudFormation, for people who
// deploy otherwise: the same resources that deploy makes, with the same names, documents and
// tags, so that plan and doctor know them afterwards.
//
// Nothing in the text depends on the account or the Region that it is applied in. The same
// pipeline and zip give the same text.
package export
