package firehose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

const (
	targetPrefix = "Firehose_20150804."
	contentType  = "application/x-amz-json-1.1"
)

// ServeHTTP serves a request whose signature the caller has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if !ok || r.Method != http.MethodPost {
		op = ""
	}
	body := wire.Body(r)
	if body == nil && r.Body != nil {
		var err error
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			s.fail(w, op, serialization("The request's body is incomplete or too large."))
			return
		}
	}
	var err *wire.Error
	switch op {
	case "PutRecordBatch":
		err = s.servePutRecordBatch(w, r, body)
	case "PutRecord":
		err = s.servePutRecord(w, r, body)
	default:
		err = s.serveControl(w, r, op, body)
	}
	if err != nil {
		s.fail(w, op, err)
		return
	}
	s.cfg.Metrics.requests.WithLabelValues(op, "OK").Inc()
}

func (s *Service) fail(w http.ResponseWriter, op string, err *wire.Error) {
	if _, known := requests[op]; !known && putRequests[op] == nil {
		op = "unknown" // clients must not create labels
	}
	s.cfg.Metrics.requests.WithLabelValues(op, err.Code).Inc()
	wire.WriteError(w, wire.JSON11, err)
}

// maxBody is the maximum size of a request that no Mux has read.
const maxBody = 8 << 20

func (s *Service) serveControl(w http.ResponseWriter, r *http.Request, op string, body []byte) *wire.Error {
	operations := map[string]func(context.Context, *request) (any, *wire.Error){
		"CreateDeliveryStream":          s.create,
		"DescribeDeliveryStream":        s.describe,
		"ListDeliveryStreams":           s.list,
		"UpdateDestination":             s.update,
		"DeleteDeliveryStream":          s.delete,
		"TagDeliveryStream":             s.tag,
		"UntagDeliveryStream":           s.untag,
		"ListTagsForDeliveryStream":     s.listTags,
		"StartDeliveryStreamEncryption": s.startEncryption,
		"StopDeliveryStreamEncryption":  s.stopEncryption,
	}
	serve := operations[op]
	if serve == nil {
		return &wire.Error{Code: codeUnknown, Message: "The X-Amz-Target header must be " + targetPrefix +
			" followed by an operation of the API, in a POST request."}
	}
	req, err := decode(body, requests[op])
	if err != nil {
		return err
	}
	answer, err := serve(r.Context(), req)
	if err != nil {
		return err
	}
	wire.WriteJSON(w, wire.JSON11, http.StatusOK, answer)
	return nil
}

// request holds the members of all control requests, checked against the model.
type request struct {
	DeliveryStreamName string

	// CreateDeliveryStream
	DeliveryStreamType                 string
	DirectPutSourceConfiguration       struct{ ThroughputHintInMBs int }
	S3DestinationConfiguration         *destinationInput
	ExtendedS3DestinationConfiguration *destinationInput
	Tags                               []Tag

	// UpdateDestination
	CurrentDeliveryStreamVersionId string
	DestinationId                  string
	S3DestinationUpdate            *destinationInput
	ExtendedS3DestinationUpdate    *destinationInput

	// lists
	Limit                            int
	ExclusiveStartDestinationId      string
	ExclusiveStartDeliveryStreamName string
	ExclusiveStartTagKey             string
	TagKeys                          []string

	DeliveryStreamEncryptionConfigurationInput *struct{ KeyARN, KeyType string }
}

func decode(body []byte, s *shape) (*request, *wire.Error) {
	value, err := parse(body)
	if err != nil {
		return nil, err
	}
	if err := s.check(value); err != nil {
		return nil, err
	}
	var req request
	if err := json.Unmarshal(orEmpty(body), &req); err != nil {
		return nil, serialization("The request's members do not have the types of the API.")
	}
	return &req, nil
}

func orEmpty(body []byte) []byte {
	if len(bytes.TrimSpace(body)) == 0 {
		return []byte("{}")
	}
	return body
}

// parse parses a body that consists of one JSON object.
func parse(body []byte) (map[string]any, *wire.Error) {
	dec := json.NewDecoder(bytes.NewReader(orEmpty(body)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, serialization("The request's body is not valid JSON.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, serialization("The request's body has more than one JSON value.")
	}
	value, ok := v.(map[string]any)
	if !ok {
		return nil, wrongType(v, "a structure")
	}
	return value, nil
}

// Codes of the API model.
const (
	codeInvalidArgument = "InvalidArgumentException"
	codeNotFound        = "ResourceNotFoundException"
	codeInUse           = "ResourceInUseException"
	codeLimit           = "LimitExceededException"
	codeConcurrent      = "ConcurrentModificationException"
	codeUnavailable     = "ServiceUnavailableException"
	// These two are not in the model; every AWS JSON service has them.
	codeValidation    = "ValidationException"
	codeSerialization = "SerializationException"
	codeUnknown       = "UnknownOperationException"
	codeInternal      = "InternalFailure"
)

func invalid(format string, args ...any) *wire.Error {
	return &wire.Error{Code: codeInvalidArgument, Message: fmt.Sprintf(format, args...)}
}

// refused returns the error for a feature of the service that stagelog does not support.
func refused(what string) *wire.Error {
	return invalid("stagelog does not support %s. Its delivery streams are Direct PUT streams with an S3 destination "+
		"and optionally a Lambda function.", what)
}

func serialization(message string) *wire.Error {
	return &wire.Error{Code: codeSerialization, Message: message}
}

// notFound returns the error for an unknown stream, with the service's text (turbot/steampipe-plugin-aws#759).
func (s *Service) notFound(name string) *wire.Error {
	return &wire.Error{Code: codeNotFound, Message: fmt.Sprintf("Firehose %s under account %s not found.", name, s.cfg.Account)}
}

// unavailable returns the retryable error, with the service's text. The model marks it as a fault of the
// service and specifies no status; SDKs retry on 5xx and on this code, and 503 matches the name.
func unavailable() *wire.Error {
	return &wire.Error{Code: codeUnavailable, Message: "Slow down.", Status: http.StatusServiceUnavailable, Fault: true}
}

func internalFailure() *wire.Error {
	return &wire.Error{Code: codeInternal, Message: "The request could not be processed because of an internal failure. See the log of stagelog.", Fault: true}
}

// validation joins violations as the service does. It returns nil if there are none.
func validation(violations []string) *wire.Error {
	switch len(violations) {
	case 0:
		return nil
	case 1:
		return &wire.Error{Code: codeValidation, Message: "1 validation error detected: " + violations[0]}
	}
	return &wire.Error{Code: codeValidation, Message: fmt.Sprintf("%d validation errors detected: %s", len(violations), strings.Join(violations, "; "))}
}
