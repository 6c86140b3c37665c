// Package apigateway serves the part of API Gateway's control API (REST, version 2015-07-09) that the
// pipeline and its clients use: REST APIs with HTTP proxy integrations, deployments, stages with access
// log settings, API keys, usage plans and usage.
//
// A Service has three interfaces. ServeHTTP serves the AWS SDKs and the AWS CLI; the caller verifies
// signatures. The Runtime methods return an immutable view of the deployed stages to the stage server
// without locking. ApplyLocal changes the state to match stagelog.yaml with the same code as ServeHTTP.
//
// State is stored as JSON documents, written before the response is sent, with a copy in memory. API key
// values are secrets: only the store and the responses in which AWS returns them contain one, never an
// error or a log line of this package.
package apigateway
