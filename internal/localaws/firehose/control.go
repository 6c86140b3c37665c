package firehose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// Quotas.
const (
	maxStreams     = 5000 // in us-east-1
	maxTags        = wire.MaxTags
	defaultListing = 10
)

// create creates a stream, which is ACTIVE at once.
func (s *Service) create(ctx context.Context, req *request) (any, *wire.Error) {
	in, err := oneOf(req.ExtendedS3DestinationConfiguration, req.S3DestinationConfiguration)
	if err != nil {
		return nil, err
	}
	if t := req.DeliveryStreamType; t != "" && t != "DirectPut" {
		return nil, refused("the DeliveryStreamType " + t)
	}
	d, err := s.merged(in, ExtendedS3Destination{})
	if err != nil {
		return nil, err
	}
	tags, err := withTags(nil, req.Tags)
	if err != nil {
		return nil, err
	}
	stream := Stream{
		Name: req.DeliveryStreamName, ARN: "arn:aws:firehose:" + s.cfg.Region + ":" + s.cfg.Account + ":deliverystream/" + req.DeliveryStreamName,
		Status: StatusActive, VersionID: "1", Created: s.cfg.Clock().UTC(),
		ThroughputHint: req.DirectPutSourceConfiguration.ThroughputHintInMBs, Destination: d, Tags: tags,
	}
	err = s.changing(ctx, "create delivery stream", stream.Name, func() *wire.Error { return s.start(ctx, stream) })
	if err != nil {
		return nil, err
	}
	s.noteLogging(stream)
	return map[string]string{"DeliveryStreamARN": stream.ARN}, nil
}

// oneOf returns the destination of a request, in whichever of the two members it is given.
func oneOf(extended, plain *destinationInput) (*destinationInput, *wire.Error) {
	switch {
	case (extended == nil) == (plain == nil):
		return nil, invalid("Exactly one destination configuration is supported for a Firehose")
	case extended == nil:
		return plain, nil
	}
	return extended, nil
}

// merged returns base with the settings of in, completed and checked.
func (s *Service) merged(in *destinationInput, base ExtendedS3Destination) (ExtendedS3Destination, *wire.Error) {
	d, err := in.merged(base)
	if err == nil {
		err = s.finish(&d)
	}
	return d, err
}

// start opens the logs of a new stream, stores its definition, and makes it accept records.
func (s *Service) start(ctx context.Context, stream Stream) *wire.Error {
	inUse := &wire.Error{Code: codeInUse, Message: fmt.Sprintf("Firehose %s under accountId %s already exists", stream.Name, s.cfg.Account)}
	if s.find(stream.Name) != nil {
		return inUse
	}
	if s.count() >= maxStreams {
		return &wire.Error{Code: codeLimit, Message: fmt.Sprintf("You have already consumed your firehose quota of %d hoses.", maxStreams)}
	}
	l := &live{stream: stream}
	accepting, err := s.ingest.Open(context.WithoutCancel(ctx), stream.Name)
	if err != nil {
		return s.failed("create delivery stream", stream.Name, err)
	}
	if err := s.save(ctx, l, stream); errors.Is(err, record.ErrConflict) {
		return inUse
	} else if err != nil {
		return s.failed("create delivery stream", stream.Name, err)
	}
	s.cfg.OnChange(stream)
	s.add(l, accepting)
	return nil
}

// add makes a stream known, and makes it accept records.
func (s *Service) add(l *live, accepting *ingest.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[l.stream.Name] = l
	s.ingest.Add(accepting)
}

func (s *Service) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.live)
}

// noteLogging logs once per change that delivery errors are logged here instead of in CloudWatch.
func (s *Service) noteLogging(stream Stream) {
	if stream.Destination.CloudWatchLoggingOptions.Enabled {
		s.cfg.Logger.Info("CloudWatchLoggingOptions stored for DescribeDeliveryStream only; delivery errors go to this log", "stream", stream.Name)
	}
}

// failed logs an error that the response does not contain, and returns a retryable error where a retry may help.
func (s *Service) failed(action, stream string, err error) *wire.Error {
	if errors.Is(err, record.ErrConflict) {
		return &wire.Error{Code: codeConcurrent, Message: "Firehose " + stream + " was changed concurrently. Read it again and retry."}
	}
	s.cfg.Logger.Error(action+" failed", "stream", stream, "error", err)
	if errors.Is(err, record.ErrFull) {
		return unavailable()
	}
	return internalFailure()
}

// update changes a stream's destination and its version.
func (s *Service) update(ctx context.Context, req *request) (any, *wire.Error) {
	in, err := oneOf(req.ExtendedS3DestinationUpdate, req.S3DestinationUpdate)
	if err != nil {
		return nil, err
	}
	err = s.changing(ctx, "update delivery stream", req.DeliveryStreamName, func() *wire.Error { return s.updateTo(ctx, req, in) })
	if err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// updateTo changes a stream's destination. The caller holds change.
func (s *Service) updateTo(ctx context.Context, req *request, in *destinationInput) *wire.Error {
	l, stream, err := s.active(req)
	if err != nil {
		return err
	}
	if stream.VersionID != req.CurrentDeliveryStreamVersionId {
		return &wire.Error{Code: codeConcurrent, Message: fmt.Sprintf(
			"Cannot update firehose: %s since the current version id: %s and specified version id: %s do not match",
			stream.Name, stream.VersionID, req.CurrentDeliveryStreamVersionId)}
	}
	if req.DestinationId != destinationID {
		return invalid("Destination Id %s not found", req.DestinationId)
	}
	if stream.Destination, err = s.merged(in, stream.Destination); err != nil {
		return err
	}
	stream.VersionID = strconv.Itoa(stream.Version() + 1)
	stream.Updated = s.cfg.Clock().UTC()
	if err := s.save(ctx, l, stream); err != nil {
		return s.failed("update delivery stream", stream.Name, err)
	}
	s.cfg.OnChange(stream)
	s.noteLogging(stream)
	return nil
}

// active returns the stream that a request changes, and its current definition.
func (s *Service) active(req *request) (*live, Stream, *wire.Error) {
	l, err := s.existing(req)
	if err != nil {
		return nil, Stream{}, err
	}
	stream := l.current()
	if stream.Status != StatusActive {
		return nil, Stream{}, &wire.Error{Code: codeInUse, Message: fmt.Sprintf(
			"Firehose %s under account %s is not ACTIVE. Current status: %s", stream.Name, s.cfg.Account, stream.Status)}
	}
	return l, stream, nil
}

// delete stops the stream from accepting records, waits for requests in progress, and removes the
// stream with its undelivered records.
func (s *Service) delete(ctx context.Context, req *request) (any, *wire.Error) {
	err := s.changing(ctx, "delete delivery stream", req.DeliveryStreamName, func() *wire.Error {
		l, refusal := s.existing(req)
		if refusal != nil {
			return refusal
		}
		stream := l.current()
		stream.Status = StatusDeleting
		if err := s.save(ctx, l, stream); err != nil {
			return s.failed("delete delivery stream", stream.Name, err)
		}
		s.ingest.Close(stream.Name)
		if err := s.finishDelete(ctx, stream.Name); err != nil {
			return s.failed("delete delivery stream", stream.Name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// description is a stream in the response of DescribeDeliveryStream.
type description struct {
	DeliveryStreamName                    string
	DeliveryStreamARN                     string
	DeliveryStreamStatus                  string
	DeliveryStreamEncryptionConfiguration map[string]string
	DeliveryStreamType                    string
	VersionId                             string
	CreateTimestamp                       seconds
	LastUpdateTimestamp                   *seconds           `json:",omitempty"`
	Source                                map[string]any     `json:",omitempty"`
	Destinations                          []destinationEntry // never nil
	HasMoreDestinations                   bool
}

// destinationEntry holds the destination twice, as on AWS: clients older than
// ExtendedS3DestinationDescription read S3DestinationDescription.
type destinationEntry struct {
	DestinationId                    string
	S3DestinationDescription         S3Destination
	ExtendedS3DestinationDescription ExtendedS3Destination
}

// seconds is a time in awsJson's format: seconds since 1970, with a fraction.
type seconds time.Time

// MarshalJSON writes milliseconds as the fraction.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(s).UnixMilli())/1000, 'f', 3, 64), nil
}

func (s *Service) describe(_ context.Context, req *request) (any, *wire.Error) {
	l, err := s.existing(req)
	if err != nil {
		return nil, err
	}
	stream := l.current()
	d := description{
		DeliveryStreamName: stream.Name, DeliveryStreamARN: stream.ARN, DeliveryStreamStatus: stream.Status,
		DeliveryStreamEncryptionConfiguration: map[string]string{"Status": "DISABLED"},
		DeliveryStreamType:                    "DirectPut", VersionId: stream.VersionID, CreateTimestamp: seconds(stream.Created),
		Destinations: []destinationEntry{},
	}
	if !stream.Updated.IsZero() {
		updated := seconds(stream.Updated)
		d.LastUpdateTimestamp = &updated
	}
	if stream.ThroughputHint > 0 {
		d.Source = map[string]any{"DirectPutSourceDescription": map[string]int{"ThroughputHintInMBs": stream.ThroughputHint}}
	}
	if req.ExclusiveStartDestinationId < destinationID {
		d.Destinations = append(d.Destinations, destinationEntry{destinationID, stream.Destination.S3Destination, stream.Destination})
	}
	return map[string]any{"DeliveryStreamDescription": d}, nil
}

func (s *Service) list(_ context.Context, req *request) (any, *wire.Error) {
	all := s.Streams()
	if req.DeliveryStreamType != "" && req.DeliveryStreamType != "DirectPut" {
		all = nil
	}
	streams, more := pageOf(all, func(s Stream) string { return s.Name }, req.ExclusiveStartDeliveryStreamName, cmp.Or(req.Limit, defaultListing))
	names := make([]string, len(streams))
	for i, stream := range streams {
		names[i] = stream.Name
	}
	return map[string]any{"DeliveryStreamNames": names, "HasMoreDeliveryStreams": more}, nil
}

// pageOf returns at most limit of the sorted items whose name is after start, and whether more follow.
func pageOf[T any](all []T, name func(T) string, start string, limit int) (page []T, more bool) {
	page = slices.DeleteFunc(slices.Clone(all), func(item T) bool { return name(item) <= start })
	return page[:min(limit, len(page))], len(page) > limit
}

func (s *Service) tag(ctx context.Context, req *request) (any, *wire.Error) {
	return s.changeTags(ctx, req, func(old []Tag) ([]Tag, *wire.Error) { return withTags(old, req.Tags) })
}

func (s *Service) untag(ctx context.Context, req *request) (any, *wire.Error) {
	return s.changeTags(ctx, req, func(old []Tag) ([]Tag, *wire.Error) {
		return slices.DeleteFunc(slices.Clone(old), func(t Tag) bool { return slices.Contains(req.TagKeys, t.Key) }), nil
	})
}

// changeTags changes the tags of a stream, which does not affect its version or its delivery.
func (s *Service) changeTags(ctx context.Context, req *request, change func([]Tag) ([]Tag, *wire.Error)) (any, *wire.Error) {
	err := s.changing(ctx, "change tags", req.DeliveryStreamName, func() *wire.Error {
		l, stream, err := s.active(req)
		if err != nil {
			return err
		}
		if stream.Tags, err = change(stream.Tags); err != nil {
			return err
		}
		if err := s.save(ctx, l, stream); err != nil {
			return s.failed("change tags", stream.Name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// withTags returns old with the tags of more, which replace those with the same key.
func withTags(old, more []Tag) ([]Tag, *wire.Error) {
	all := slices.Clone(old)
	given := map[string]bool{}
	for _, t := range more {
		if given[t.Key] {
			return nil, invalid("Duplicate tag key '%s'. Each key may be given once.", t.Key)
		}
		given[t.Key] = true
		all = slices.DeleteFunc(all, func(o Tag) bool { return o.Key == t.Key })
		all = append(all, t)
	}
	if len(all) > maxTags {
		return nil, &wire.Error{Code: codeLimit, Message: fmt.Sprintf("A delivery stream can have up to %d tags; this would make %d.", maxTags, len(all))}
	}
	slices.SortFunc(all, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

func (s *Service) listTags(_ context.Context, req *request) (any, *wire.Error) {
	l, err := s.existing(req)
	if err != nil {
		return nil, err
	}
	tags, more := pageOf(l.current().Tags, func(t Tag) string { return t.Key }, req.ExclusiveStartTagKey, cmp.Or(req.Limit, maxTags))
	if tags == nil {
		tags = []Tag{}
	}
	return map[string]any{"Tags": tags, "HasMoreTags": more}, nil
}

// startEncryption always refuses: records are stored unencrypted on this machine's disk, and the status
// ENABLED would be false.
func (s *Service) startEncryption(_ context.Context, req *request) (any, *wire.Error) {
	if _, err := s.existing(req); err != nil {
		return nil, err
	}
	if c := req.DeliveryStreamEncryptionConfigurationInput; c != nil && c.KeyType == "AWS_OWNED_CMK" && c.KeyARN != "" {
		return nil, invalid("KeyARN cannot be specified when KeyType is AWS_OWNED_CMK")
	}
	return nil, refused(noSSE)
}

// stopEncryption does nothing: streams are never encrypted.
func (s *Service) stopEncryption(_ context.Context, req *request) (any, *wire.Error) {
	_, err := s.existing(req)
	return struct{}{}, err
}
