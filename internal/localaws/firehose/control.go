package firehose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// Quotas.
const (
	maxStreams     = 5000 // in us-east-1
	maxTags        = 50
	defaultListing = 10
)

// create makes a stream. It is ACTIVE at once.
func (s *Service) create(ctx context.Context, req *request) (any, *wire.Error) {
	in := req.ExtendedS3DestinationConfiguration
	if (in == nil) == (req.S3DestinationConfiguration == nil) {
		return nil, invalid("Exactly one destination configuration is supported for a Firehose")
	}
	if in == nil {
		in = req.S3DestinationConfiguration
	}
	if t := req.DeliveryStreamType; t != "" && t != "DirectPut" {
		return nil, refused("the DeliveryStreamType " + t)
	}
	d, err := in.merged(ExtendedS3Destination{})
	if err == nil {
		err = s.finish(&d)
	}
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
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.start(ctx, stream); err != nil {
		return nil, err
	}
	s.noteLogging(stream)
	return map[string]string{"DeliveryStreamARN": stream.ARN}, nil
}

// start opens a new stream's Logs, writes its definition, and makes it accept records.
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
		return s.failed("create a delivery stream", stream.Name, err)
	}
	if err := s.save(ctx, l, stream); errors.Is(err, record.ErrConflict) {
		return inUse
	} else if err != nil {
		return s.failed("create a delivery stream", stream.Name, err)
	}
	s.cfg.OnChange(stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[stream.Name] = l
	s.ingest.Add(accepting)
	return nil
}

func (s *Service) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.live)
}

// noteLogging tells once per change where the messages go that CloudWatch has on AWS.
func (s *Service) noteLogging(stream Stream) {
	if stream.Destination.CloudWatchLoggingOptions.Enabled {
		s.cfg.Logger.Info("CloudWatchLoggingOptions is kept for DescribeDeliveryStream; errors of delivery are in this log", "stream", stream.Name)
	}
}

// failed logs what the caller is not told, and asks it to come again where that may help.
func (s *Service) failed(action, stream string, err error) *wire.Error {
	if errors.Is(err, record.ErrConflict) {
		return &wire.Error{Code: codeConcurrent, Message: "Firehose " + stream + " was changed by somebody else at the same time. Read it again and retry."}
	}
	s.cfg.Logger.Error("can't "+action, "stream", stream, "error", err)
	if errors.Is(err, record.ErrFull) {
		return unavailable()
	}
	return internalFailure()
}

// update changes a stream's destination and its version.
func (s *Service) update(ctx context.Context, req *request) (any, *wire.Error) {
	in := req.ExtendedS3DestinationUpdate
	if (in == nil) == (req.S3DestinationUpdate == nil) {
		return nil, invalid("Exactly one destination configuration is supported for a Firehose")
	}
	if in == nil {
		in = req.S3DestinationUpdate
	}
	s.change.Lock()
	defer s.change.Unlock()
	l := s.find(req.DeliveryStreamName)
	if l == nil {
		return nil, s.notFound(req.DeliveryStreamName)
	}
	stream := l.current()
	if stream.Status != StatusActive {
		return nil, s.notActive(stream)
	}
	if stream.VersionID != req.CurrentDeliveryStreamVersionId {
		return nil, &wire.Error{Code: codeConcurrent, Message: fmt.Sprintf(
			"Cannot update firehose: %s since the current version id: %s and specified version id: %s do not match",
			stream.Name, stream.VersionID, req.CurrentDeliveryStreamVersionId)}
	}
	if req.DestinationId != destinationID {
		return nil, invalid("Destination Id %s not found", req.DestinationId)
	}
	d, err := in.merged(stream.Destination)
	if err == nil {
		err = s.finish(&d)
	}
	if err != nil {
		return nil, err
	}
	stream.Destination = d
	stream.VersionID = strconv.Itoa(stream.Version() + 1)
	stream.Updated = s.cfg.Clock().UTC()
	if err := s.save(ctx, l, stream); err != nil {
		return nil, s.failed("update a delivery stream", stream.Name, err)
	}
	s.cfg.OnChange(stream)
	s.noteLogging(stream)
	return struct{}{}, nil
}

func (s *Service) notActive(stream Stream) *wire.Error {
	return &wire.Error{Code: codeInUse, Message: fmt.Sprintf("Firehose %s under account %s is not ACTIVE. Current status: %s", stream.Name, s.cfg.Account, stream.Status)}
}

// delete stops the stream from accepting records, waits for those under way, and removes the
// stream with what it has not delivered.
func (s *Service) delete(ctx context.Context, req *request) (any, *wire.Error) {
	s.change.Lock()
	defer s.change.Unlock()
	l := s.find(req.DeliveryStreamName)
	if l == nil {
		return nil, s.notFound(req.DeliveryStreamName)
	}
	stream := l.current()
	stream.Status = StatusDeleting
	if err := s.save(ctx, l, stream); err != nil {
		return nil, s.failed("delete a delivery stream", stream.Name, err)
	}
	s.ingest.Close(stream.Name)
	if err := s.finishDelete(ctx, stream.Name); err != nil {
		return nil, s.failed("delete a delivery stream", stream.Name, err)
	}
	return struct{}{}, nil
}

// description is a stream as DescribeDeliveryStream tells it.
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

// destinationEntry holds the destination twice, as on AWS: clients that are older than
// ExtendedS3DestinationDescription read the other one.
type destinationEntry struct {
	DestinationId                    string
	S3DestinationDescription         S3Destination
	ExtendedS3DestinationDescription ExtendedS3Destination
}

// seconds is a time as awsJson writes it: seconds since 1970, with a fraction.
type seconds time.Time

// MarshalJSON writes milliseconds as the fraction.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(s).UnixMilli())/1000, 'f', 3, 64), nil
}

func (s *Service) describe(_ context.Context, req *request) (any, *wire.Error) {
	l := s.find(req.DeliveryStreamName)
	if l == nil {
		return nil, s.notFound(req.DeliveryStreamName)
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
	limit := req.Limit
	if limit == 0 {
		limit = defaultListing
	}
	names := []string{}
	more := false
	for _, stream := range s.Streams() {
		if stream.Name <= req.ExclusiveStartDeliveryStreamName || (req.DeliveryStreamType != "" && req.DeliveryStreamType != "DirectPut") {
			continue
		}
		if len(names) == limit {
			more = true
			break
		}
		names = append(names, stream.Name)
	}
	return map[string]any{"DeliveryStreamNames": names, "HasMoreDeliveryStreams": more}, nil
}

func (s *Service) tag(ctx context.Context, req *request) (any, *wire.Error) {
	return s.changeTags(ctx, req, func(old []Tag) ([]Tag, *wire.Error) { return withTags(old, req.Tags) })
}

func (s *Service) untag(ctx context.Context, req *request) (any, *wire.Error) {
	return s.changeTags(ctx, req, func(old []Tag) ([]Tag, *wire.Error) {
		return slices.DeleteFunc(slices.Clone(old), func(t Tag) bool { return slices.Contains(req.TagKeys, t.Key) }), nil
	})
}

// changeTags leaves version and delivery as they are.
func (s *Service) changeTags(ctx context.Context, req *request, change func([]Tag) ([]Tag, *wire.Error)) (any, *wire.Error) {
	s.change.Lock()
	defer s.change.Unlock()
	l := s.find(req.DeliveryStreamName)
	if l == nil {
		return nil, s.notFound(req.DeliveryStreamName)
	}
	stream := l.current()
	if stream.Status != StatusActive {
		return nil, s.notActive(stream)
	}
	tags, err := change(stream.Tags)
	if err != nil {
		return nil, err
	}
	stream.Tags = tags
	if err := s.save(ctx, l, stream); err != nil {
		return nil, s.failed("change tags", stream.Name, err)
	}
	return struct{}{}, nil
}

// withTags is old with the tags of more, which replace those of the same key.
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
	l := s.find(req.DeliveryStreamName)
	if l == nil {
		return nil, s.notFound(req.DeliveryStreamName)
	}
	limit := req.Limit
	if limit == 0 {
		limit = maxTags
	}
	tags := []Tag{}
	more := false
	for _, t := range l.current().Tags {
		if t.Key <= req.ExclusiveStartTagKey {
			continue
		}
		if len(tags) == limit {
			more = true
			break
		}
		tags = append(tags, t)
	}
	return map[string]any{"Tags": tags, "HasMoreTags": more}, nil
}

// startEncryption refuses: records lie on this machine's disk as they came, and an answer
// that says ENABLED would be a lie that somebody relies on.
func (s *Service) startEncryption(_ context.Context, req *request) (any, *wire.Error) {
	if s.find(req.DeliveryStreamName) == nil {
		return nil, s.notFound(req.DeliveryStreamName)
	}
	if c := req.DeliveryStreamEncryptionConfigurationInput; c != nil && c.KeyType == "AWS_OWNED_CMK" && c.KeyARN != "" {
		return nil, invalid("KeyARN cannot be specified when KeyType is AWS_OWNED_CMK")
	}
	return nil, refused(noSSE)
}

// stopEncryption is always done already.
func (s *Service) stopEncryption(_ context.Context, req *request) (any, *wire.Error) {
	if s.find(req.DeliveryStreamName) == nil {
		return nil, s.notFound(req.DeliveryStreamName)
	}
	return struct{}{}, nil
}
