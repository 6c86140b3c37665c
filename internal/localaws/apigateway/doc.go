// Package apigateway is API Gateway's control API (REST, version 2015-07-09), the part that
// the chain and its clients use: REST APIs with HTTP proxy integrations, deployments, stages
// with their access log settings, API keys, usage plans and usage.
//
// A Service has three faces. ServeHTTP answers the AWS SDKs and the AWS CLI; the caller's
// signature was checked before. The Runtime methods give the stage server an immutable view
// of what is deployed, without a lock on the way of a request. ApplyLocal brings the state
// to what stagelog.yaml says, through the same code as the wire.
//
// State is JSON documents in a Store, written before a call is answered, with a copy in
// memory. API key values are secrets: they are in the store and in the answers of the calls
// that AWS gives them in, and nowhere else: no error and no log line of this package holds one.
package apigateway
