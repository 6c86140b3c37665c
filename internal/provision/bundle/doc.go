// Package bundle is the enrichment function's deployment package: the zip with cmd/enricher
// as `bootstrap` that Lambda's provided.al2023 runs.
//
// A release of stagelog has it embedded: it is built with the tag release, after both zips were
// put into this folder (make release). Any other build makes it when it is asked for, with
// the go command and stagelog's source.
package bundle
