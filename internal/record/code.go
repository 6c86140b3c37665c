package record

// ErrorCode is the errorCode of a record in the error output. Except for CodeCorruptFrame, the codes
// are Firehose's:
// https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html
type ErrorCode string

// The codes.
const (
	CodeFunctionError    ErrorCode = "Lambda.FunctionError"
	CodeTimedOut         ErrorCode = "Lambda.FunctionTimedOut"
	CodeLimitExceeded    ErrorCode = "Lambda.InvokeLimitExceeded"
	CodeFunctionNotFound ErrorCode = "Lambda.ResourceNotFound"
	CodeMissingRecord    ErrorCode = "Lambda.MissingRecordId"
	CodeDuplicatedRecord ErrorCode = "Lambda.DuplicatedRecordId"
	CodeProcessingFailed ErrorCode = "Lambda.ProcessingFailedStatus"
	CodeInvalidReturn    ErrorCode = "Lambda.InvalidReturnFormat"
	CodeInvalidJSON      ErrorCode = "Lambda.JsonProcessingException"

	CodePartitionKeys ErrorCode = "DynamicPartitioning.MetadataExtractionFailed"
	// CodeTooManyPartitions is for records beyond 500 active partitions.
	CodeTooManyPartitions ErrorCode = "DynamicPartitioning.ActivePartitionsLimitExceeded"

	// CodeNoTable is for all records if the catalog does not contain the conversion's table.
	CodeNoTable       ErrorCode = "DataFormatConversion.EntityNotFound"
	CodeInvalidSchema ErrorCode = "DataFormatConversion.InvalidSchema"
	CodeMalformedData ErrorCode = "DataFormatConversion.MalformedData"

	// CodeCorruptFrame is stagelog's own: the stored frame is unreadable, and is kept whole.
	CodeCorruptFrame ErrorCode = "Stagelog.CorruptFrame"
)

// Messages of the codes.
const (
	MessageFunctionError    = "The Lambda function was successfully invoked but it returned an error result."
	MessageTimedOut         = "The Lambda function invocation timed out. Increase the Timeout setting in the Lambda function."
	MessageLimitExceeded    = "The Lambda function could not be invoked now. Firehose retries the invocation."
	MessageFunctionNotFound = "The Lambda function does not exist. Check its ARN in the stream's processing configuration."
	MessageMissingRecord    = "One or more record Ids were not returned. Ensure that the Lambda function returns all received record Ids."
	MessageDuplicatedRecord = "Multiple records were returned with the same record Id. Ensure that the Lambda function returns a unique record Id for each record."
	MessageProcessingFailed = "ProcessingFailed status set for record"
	MessageInvalidReturn    = "The data field cannot be null when the SourceType is DirectPut or KinesisStreamAsSource and processing result is Ok. The value field cannot be null when the SourceType is MSKAsSource and processing result is Ok."
	MessageInvalidJSON      = "There was an error parsing JSON object(s) in the returned records."
	// MessageInvalidResult is the message of CodeFunctionError for a record with a malformed result
	// or data.
	MessageInvalidResult = "Check your function and make sure the output is in required format. In addition to that, make sure the processed records contain valid result status of Dropped, Ok, or ProcessingFailed"

	MessagePartitionKeys     = "partitionKeys values must not be null or empty"
	MessageTooManyPartitions = "The number of active partitions is over the limit of 500"
	MessageNoTable           = "The specified table/database could not be found. Please ensure that the table/database exists and that the values provided in the schema configuration are correct, especially with regards to casing."
	MessageCorruptFrame      = "The stored batch of records cannot be read."
)
