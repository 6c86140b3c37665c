// Command enricher is the Lambda function of a stagelog pipeline: the `bootstrap` that Firehose invokes with batches of access
// log records. It adds the usage plan and the customer to each record. The same program runs in AWS and under `stagelog up`.
//
// It is configured only by environment variables:
//
//	STAGELOG_PRESET         apiable for its log format and field names; default none
//	STAGELOG_FORMAT         the stage's access log format, or the name of one (classic, usage, full); default classic.
//	                        The fields with the key id, the API id, the stage and the key's value are enough.
//	STAGELOG_FIELD_KEY_ID   names of top-level fields with the key id, the API id, the stage and the key's value,
//	STAGELOG_FIELD_API_ID   instead of those of the format
//	STAGELOG_FIELD_STAGE
//	STAGELOG_FIELD_API_KEY
//	STAGELOG_USAGE_PLAN     names of the fields to add; "-" omits one;
//	STAGELOG_CUSTOMER       default usage_plan, customer, usage_plan_id
//	STAGELOG_USAGE_PLAN_ID
//	STAGELOG_API_KEY        treatment of a key's value: mask (default), hash, drop, keep
//	STAGELOG_HASH_SALT      secret for hash
//	STAGELOG_SNAPSHOT       s3://bucket/key of the shared usage plan index; default none
//	STAGELOG_REFRESH        maximum age of the index; default 60s
//	STAGELOG_APIGATEWAY_ENDPOINT, STAGELOG_S3_ENDPOINT
//	                        URLs that replace those of AWS; also AWS_ENDPOINT_URL_API_GATEWAY, _S3 and AWS_ENDPOINT_URL
//
// Credentials and Region are those set by Lambda.
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
		// Lambda only reports the exit status; the reason is in the log.
		fmt.Fprintln(os.Stderr, "enricher:", err)
		os.Exit(1)
	}
	e.warmUp(context.Background())
	lambda.Start(e)
}
