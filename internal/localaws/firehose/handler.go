package firehose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
