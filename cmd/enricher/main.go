// Command enricher is the Lambda function of a stagelog pipeline: the `bootstrap` that Firehose calls with batches of access
// log records, and that adds the usage plan and the customer to each. In AWS and under `stagelog up` it is the same program.
//
// It is configured by environment variables alone:
//
//	STAGELOG_PRESET         apiable: its log format and field names; default none
//	STAGELOG_FORMAT         the stage's access log format, or the name of one (classic, usage, full); default classic
//	STAGELOG_FIELD_KEY_ID   names of the fields that hold the key's id, the API's id, the stage and the key's value,
//	STAGELOG_FIELD_API_ID   where the format cannot tell
//	STAGELOG_FIELD_STAGE
//	STAGELOG_FIELD_API_KEY
//	STAGELOG_USAGE_PLAN     names of the fields to add; "-" leaves one out;
//	STAGELOG_CUSTOMER       default usage_plan, customer, usage_plan_id
//	STAGELOG_USAGE_PLAN_ID
//	STAGELOG_API_KEY        what becomes of a key's value: mask (default), hash, drop, keep
//	STAGELOG_HASH_SALT      the secret that hash needs
//	STAGELOG_SNAPSHOT       s3://bucket/key of the shared usage plan index; default none
//	STAGELOG_REFRESH        how old the index may get; default 60s
//	STAGELOG_APIGATEWAY_ENDPOINT, STAGELOG_S3_ENDPOINT
//	                        URLs in the place of AWS's own; also AWS_ENDPOINT_URL_API_GATEWAY, _S3 and AWS_ENDPOINT_URL
//
// Credentials and region are the ones that Lambda sets.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	e, err := newEnricher(os.Getenv, logger)
	if err != nil {
		// The init error that Lambda reports is the exit; what is wrong is in the log.
		fmt.Fprintln(os.Stderr, "enricher:", err)
		os.Exit(1)
	}
	e.warmUp(context.Background())
	lambda.Start(e)
}
