// Package bundle provides the deployment package of the enrichment function: a zip with
// cmd/enricher as `bootstrap`, for Lambda's runtime provided.al2023.
//
// Releases of stagelog embed the zips: `make release` puts them into this directory and builds
// with the tag release. Other builds create the zip on demand with the go command from
// stagelog's source.
package bundle
