// Package cloudwatchlogs is CloudWatch Logs for one machine, as far as log groups and log streams go:
// what builds a pipeline makes them, and they can be read. Nothing here writes into them: what
// goes wrong is in the process's own log.
package cloudwatchlogs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	keyPrefix  = "group/"
	maxGroups  = 10_000
	maxStreams = 1000 // of a group
	maxTags    = 50
)

// retentions are the days that PutRetentionPolicy takes.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// Service is CloudWatch Logs.
type Service struct {
	arn   string // of a log group, before its name
	store record.Store
	now   func() time.Time

	mu     sync.Mutex // guards groups, and keeps the order of writes
	groups map[string]*group
}

// group is a log group as it is stored. Times are in milliseconds.
type group struct {
	Name      string            `json:"name"`
	Created   int64             `json:"created"`
	Retention int               `json:"retention,omitempty"` // days; 0 is for ever
	Tags      map[string]string `json:"tags,omitempty"`
	Streams   map[string]int64  `json:"streams,omitempty"` // when each was created
}

// Open reads the log groups. account is of 12 digits; it and the Region stand in their ARNs.
func Open(ctx context.Context, region, account string, store record.Store) (*Service, error) {
	s := &Service{arn: "arn:aws:logs:" + region + ":" + account + ":log-group:", store: store, now: time.Now, groups: map[string]*group{}}
	err := store.All(ctx, keyPrefix, func(key string, value []byte, _ uint64) error {
		var g group
		if err := json.Unmarshal(value, &g); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		s.groups[g.Name] = &g
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open the log groups: %w", err)
	}
	return s, nil
}

// request is the members of all requests that are served.
type request struct {
	LogGroupName        string
	LogGroupIdentifier  string
	LogGroupNamePrefix  string
	LogStreamName       string
	LogStreamNamePrefix string
	ResourceArn         string
	RetentionInDays     int
	Tags                map[string]string
	TagKeys             []string
	Limit               int
	NextToken           string
}

// targetPrefix is before the operation in X-Amz-Target.
const targetPrefix = "Logs_20140328."

var operations = map[string]func(*Service, context.Context, *request) (any, *wire.Error){
	"CreateLogGroup":        (*Service).createGroup,
	"DescribeLogGroups":     (*Service).describeGroups,
	"DeleteLogGroup":        (*Service).deleteGroup,
	"PutRetentionPolicy":    (*Service).putRetention,
	"DeleteRetentionPolicy": (*Service).deleteRetention,
	"TagResource":           (*Service).tag,
	"UntagResource":         (*Service).untag,
	"ListTagsForResource":   (*Service).listTags,
	"CreateLogStream":       (*Service).createStream,
	"DeleteLogStream":       (*Service).deleteStream,
	"DescribeLogStreams":    (*Service).describeStreams,
	"GetLogEvents":          (*Service).noEvents,
	"FilterLogEvents":       (*Service).noEvents,
}

// ServeHTTP answers a request that awswire has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	serve, ok := operations[name]
	if !ok {
		wire.WriteError(w, wire.JSON11, &wire.Error{Code: "UnknownOperationException", Message: "stagelog serves log groups and log streams, and not the operation " + name + "."})
		return
	}
	var in request
	if err := json.Unmarshal(wire.Body(r), &in); err != nil {
		wire.WriteError(w, wire.JSON11, &wire.Error{Code: "SerializationException", Message: "The request's body is not the JSON that " + name + " takes."})
		return
	}
	s.mu.Lock()
	result, refused := serve(s, r.Context(), &in)
	s.mu.Unlock()
	if refused != nil {
		wire.WriteError(w, wire.JSON11, refused)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if result == nil {
		return // these have an empty body
	}
	_ = json.NewEncoder(w).Encode(result) // the client has gone, or gets it
}

var nameForm = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)

func (s *Service) createGroup(ctx context.Context, in *request) (any, *wire.Error) {
	switch {
	case !nameForm.MatchString(in.LogGroupName):
		return nil, invalid("Value at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+")
	case s.groups[in.LogGroupName] != nil:
		return nil, &wire.Error{Code: "ResourceAlreadyExistsException", Message: "The specified log group already exists"}
	case len(s.groups) >= maxGroups || len(in.Tags) > maxTags:
		return nil, &wire.Error{Code: "LimitExceededException", Message: "Resource limit exceeded."}
	}
	return nil, s.save(ctx, &group{Name: in.LogGroupName, Created: s.now().UnixMilli(), Tags: in.Tags})
}

type groupJSON struct {
	Name      string `json:"logGroupName"`
	Created   int64  `json:"creationTime"`
	Retention int    `json:"retentionInDays,omitempty"`
	Metrics   int    `json:"metricFilterCount"`
	ARN       string `json:"arn"`
	Stored    int64  `json:"storedBytes"`
	Class     string `json:"logGroupClass"`
	PlainARN  string `json:"logGroupArn"` // without the :* of the other
}

// describeGroups answers in the order of names. The token is the last name of the page before.
func (s *Service) describeGroups(_ context.Context, in *request) (any, *wire.Error) {
	out := struct {
		Groups []groupJSON `json:"logGroups"`
		Next   string      `json:"nextToken,omitempty"`
	}{Groups: []groupJSON{}}
	names := page(slices.Sorted(maps.Keys(s.groups)), in.LogGroupNamePrefix, in, &out.Next)
	for _, name := range names {
		g := s.groups[name]
		out.Groups = append(out.Groups, groupJSON{Name: name, Created: g.Created, Retention: g.Retention, ARN: s.arn + name + ":*", PlainARN: s.arn + name, Class: "STANDARD"})
	}
	return out, nil
}

// page is the names of one page: those with the prefix, behind the token.
func page(names []string, prefix string, in *request, next *string) []string {
	limit := 50
	if in.Limit > 0 && in.Limit < limit {
		limit = in.Limit
	}
	var kept []string
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) || name <= in.NextToken {
			continue
		}
		if len(kept) == limit {
			*next = kept[limit-1]
			break
		}
		kept = append(kept, name)
	}
	return kept
}

func (s *Service) deleteGroup(ctx context.Context, in *request) (any, *wire.Error) {
	if _, refused := s.find(in); refused != nil {
		return nil, refused
	}
	if err := s.store.Delete(ctx, keyPrefix+in.LogGroupName); err != nil {
		return nil, notStored
	}
	delete(s.groups, in.LogGroupName)
	return nil, nil
}

func (s *Service) putRetention(ctx context.Context, in *request) (any, *wire.Error) {
	if !slices.Contains(retentions, in.RetentionInDays) {
		return nil, invalid(fmt.Sprintf("Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %v", in.RetentionInDays, retentions))
	}
	return s.change(ctx, in, func(g *group) *wire.Error { g.Retention = in.RetentionInDays; return nil })
}

func (s *Service) deleteRetention(ctx context.Context, in *request) (any, *wire.Error) {
	return s.change(ctx, in, func(g *group) *wire.Error { g.Retention = 0; return nil })
}

func (s *Service) tag(ctx context.Context, in *request) (any, *wire.Error) {
	return s.change(ctx, in, func(g *group) *wire.Error {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		maps.Copy(g.Tags, in.Tags)
		if len(g.Tags) > maxTags {
			return &wire.Error{Code: "TooManyTagsException", Message: "A resource can have no more than 50 tags."}
		}
		return nil
	})
}

func (s *Service) untag(ctx context.Context, in *request) (any, *wire.Error) {
	return s.change(ctx, in, func(g *group) *wire.Error {
		for _, key := range in.TagKeys {
			delete(g.Tags, key)
		}
		return nil
	})
}

func (s *Service) listTags(_ context.Context, in *request) (any, *wire.Error) {
	g, refused := s.find(in)
	if refused != nil {
		return nil, refused
	}
	tags := g.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return struct {
		Tags map[string]string `json:"tags"`
	}{tags}, nil
}

func (s *Service) createStream(ctx context.Context, in *request) (any, *wire.Error) {
	return s.change(ctx, in, func(g *group) *wire.Error {
		_, there := g.Streams[in.LogStreamName]
		switch {
		case in.LogStreamName == "" || len(in.LogStreamName) > 512 || strings.ContainsAny(in.LogStreamName, ":*"):
			return invalid("Value at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*")
		case there:
			return &wire.Error{Code: "ResourceAlreadyExistsException", Message: "The specified log stream already exists"}
		case len(g.Streams) >= maxStreams:
			return &wire.Error{Code: "LimitExceededException", Message: "Resource limit exceeded."}
		}
		if g.Streams == nil {
			g.Streams = map[string]int64{}
		}
		g.Streams[in.LogStreamName] = s.now().UnixMilli()
		return nil
	})
}

func (s *Service) deleteStream(ctx context.Context, in *request) (any, *wire.Error) {
	return s.change(ctx, in, func(g *group) *wire.Error {
		if _, there := g.Streams[in.LogStreamName]; !there {
			return noStream
		}
		delete(g.Streams, in.LogStreamName)
		return nil
	})
}

type streamJSON struct {
	Name    string `json:"logStreamName"`
	Created int64  `json:"creationTime"`
	ARN     string `json:"arn"`
	Stored  int64  `json:"storedBytes"`
}

func (s *Service) describeStreams(_ context.Context, in *request) (any, *wire.Error) {
	g, refused := s.find(in)
	if refused != nil {
		return nil, refused
	}
	out := struct {
		Streams []streamJSON `json:"logStreams"`
		Next    string       `json:"nextToken,omitempty"`
	}{Streams: []streamJSON{}}
	for _, name := range page(slices.Sorted(maps.Keys(g.Streams)), in.LogStreamNamePrefix, in, &out.Next) {
		out.Streams = append(out.Streams, streamJSON{Name: name, Created: g.Streams[name], ARN: s.arn + g.Name + ":log-stream:" + name})
	}
	return out, nil
}

// noEvents answers that a log is empty.
func (s *Service) noEvents(_ context.Context, in *request) (any, *wire.Error) {
	g, refused := s.find(in)
	if refused != nil {
		return nil, refused
	}
	if _, there := g.Streams[in.LogStreamName]; in.LogStreamName != "" && !there {
		return nil, noStream
	}
	return struct {
		Events []struct{} `json:"events"`
	}{[]struct{}{}}, nil
}

// find is the group that a request is about, by name or by ARN with or without ":*".
func (s *Service) find(in *request) (*group, *wire.Error) {
	name := in.LogGroupName
	for _, other := range []string{in.LogGroupIdentifier, in.ResourceArn} {
		if name == "" {
			name = strings.TrimSuffix(strings.TrimPrefix(other, s.arn), ":*")
		}
	}
	if g := s.groups[name]; g != nil {
		return g, nil
	}
	return nil, &wire.Error{Code: "ResourceNotFoundException", Message: "The specified log group does not exist."}
}

// change stores a changed copy of a group, and keeps it once it is durable.
func (s *Service) change(ctx context.Context, in *request, do func(*group) *wire.Error) (any, *wire.Error) {
	found, refused := s.find(in)
	if refused != nil {
		return nil, refused
	}
	g := *found
	g.Tags, g.Streams = maps.Clone(g.Tags), maps.Clone(g.Streams)
	if refused := do(&g); refused != nil {
		return nil, refused
	}
	return nil, s.save(ctx, &g)
}

func (s *Service) save(ctx context.Context, g *group) *wire.Error {
	value, err := json.Marshal(g)
	if err == nil {
		_, err = s.store.Set(ctx, keyPrefix+g.Name, value)
	}
	if err != nil {
		return notStored
	}
	s.groups[g.Name] = g
	return nil
}

func invalid(message string) *wire.Error {
	return &wire.Error{Code: "InvalidParameterException", Message: "1 validation error detected: " + message}
}

var (
	noStream  = &wire.Error{Code: "ResourceNotFoundException", Message: "The specified log stream does not exist."}
	notStored = &wire.Error{Code: "ServiceUnavailableException", Message: "The service cannot complete the request.", Fault: true}
)
