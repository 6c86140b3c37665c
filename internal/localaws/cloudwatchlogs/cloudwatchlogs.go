// Package cloudwatchlogs serves the part of CloudWatch Logs that a pipeline needs on one machine: log groups
// and log streams can be created, read and deleted. They contain no events: failures go to the process's
// own log.
package cloudwatchlogs

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	maxGroups  = 10_000
	maxStreams = 1000 // of a group
	maxPage    = 50
)

// Service serves CloudWatch Logs of one account and Region. It is safe for concurrent use.
type Service struct {
	arn    string // of a log group, before its name
	now    func() time.Time
	groups *documents.Set[group]
	operations
}

type operations = wire.JSONService[request]

// group is the stored form of a log group. Times are in milliseconds.
type group struct {
	Name      string            `json:"name"`
	Created   int64             `json:"created"`
	Retention int               `json:"retention,omitempty"` // days; 0: unlimited
	Tags      map[string]string `json:"tags,omitempty"`
	Streams   map[string]int64  `json:"streams,omitempty"` // creation times
}

// Open reads the log groups. region and account, which has 12 digits, are part of their ARNs.
func Open(ctx context.Context, region, account string, store record.Store) (*Service, error) {
	s := &Service{arn: "arn:aws:logs:" + region + ":" + account + ":log-group:", now: time.Now}
	var err error
	s.groups, err = documents.Open[group](ctx, store, documents.Config{Prefix: "group/", Max: maxGroups, Errors: documents.Errors{
		NotFound:  func(string) *wire.Error { return notFound("group") },
		Exists:    func(string) *wire.Error { return exists("group") },
		Limit:     limit(),
		TooLarge:  limit(),
		NotStored: &wire.Error{Code: "ServiceUnavailableException", Message: "The service cannot complete the request.", Fault: true},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the log groups: %w", err)
	}
	s.operations = operations{Target: "Logs_20140328.", Serves: "log groups and log streams", Operations: map[string]func(context.Context, *request) (any, *wire.Error){
		"CreateLogGroup":        s.createGroup,
		"DescribeLogGroups":     s.describeGroups,
		"DeleteLogGroup":        s.deleteGroup,
		"PutRetentionPolicy":    s.putRetention,
		"DeleteRetentionPolicy": s.deleteRetention,
		"TagResource":           s.tag,
		"UntagResource":         s.untag,
		"ListTagsForResource":   s.listTags,
		"CreateLogStream":       s.createStream,
		"DeleteLogStream":       s.deleteStream,
		"DescribeLogStreams":    s.describeStreams,
		"GetLogEvents":          s.noEvents,
		"FilterLogEvents":       s.noEvents,
	}}
	return s, nil
}

// Follow applies the changes of other processes of the cluster until ctx ends.
func (s *Service) Follow(ctx context.Context) error { return s.groups.Follow(ctx) }

// request holds the members of all supported requests.
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

var nameForm = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)

func (s *Service) createGroup(ctx context.Context, in *request) (any, *wire.Error) {
	switch {
	case !nameForm.MatchString(in.LogGroupName):
		return nil, invalid("Value at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+")
	case len(in.Tags) > wire.MaxTags:
		return nil, limit()
	}
	return nil, s.groups.Create(ctx, in.LogGroupName, &group{Name: in.LogGroupName, Created: s.now().UnixMilli(), Tags: in.Tags})
}

type groupJSON struct {
	Name      string `json:"logGroupName"`
	Created   int64  `json:"creationTime"`
	Retention int    `json:"retentionInDays,omitempty"`
	Metrics   int    `json:"metricFilterCount"`
	ARN       string `json:"arn"`
	Stored    int64  `json:"storedBytes"`
	Class     string `json:"logGroupClass"`
	PlainARN  string `json:"logGroupArn"` // without ":*"
}

// describeGroups lists groups sorted by name. The token is the last name of the previous page.
func (s *Service) describeGroups(_ context.Context, in *request) (any, *wire.Error) {
	out := struct {
		Groups []groupJSON `json:"logGroups"`
		Next   string      `json:"nextToken,omitempty"`
	}{Groups: []groupJSON{}}
	names, next := in.page(s.groups.Names(), in.LogGroupNamePrefix)
	for _, name := range names {
		if g, refused := s.groups.Get(name); refused == nil { // else it was deleted meanwhile
			out.Groups = append(out.Groups, groupJSON{Name: name, Created: g.Created, Retention: g.Retention, ARN: s.arn + name + ":*", PlainARN: s.arn + name, Class: "STANDARD"})
		}
	}
	out.Next = next
	return out, nil
}

// page returns one page of the sorted names that begin with prefix, and the token of the next page.
func (in *request) page(names []string, prefix string) (page []string, next string) {
	limit := maxPage
	if in.Limit > 0 {
		limit = min(in.Limit, maxPage)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	return wire.Page(names, in.NextToken, limit)
}

func (s *Service) deleteGroup(ctx context.Context, in *request) (any, *wire.Error) {
	return nil, s.groups.Delete(ctx, in.LogGroupName, nil)
}

func (s *Service) putRetention(ctx context.Context, in *request) (any, *wire.Error) {
	if retentions := record.LogRetentionDays(); !slices.Contains(retentions, in.RetentionInDays) {
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
		if len(g.Tags) > wire.MaxTags {
			return &wire.Error{Code: "TooManyTagsException", Message: fmt.Sprintf("A resource can have no more than %d tags.", wire.MaxTags)}
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
	g, refused := s.groups.Get(s.nameIn(in))
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
			return exists("stream")
		case len(g.Streams) >= maxStreams:
			return limit()
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
			return notFound("stream")
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
	g, refused := s.groups.Get(s.nameIn(in))
	if refused != nil {
		return nil, refused
	}
	out := struct {
		Streams []streamJSON `json:"logStreams"`
		Next    string       `json:"nextToken,omitempty"`
	}{Streams: []streamJSON{}}
	names, next := in.page(slices.Sorted(maps.Keys(g.Streams)), in.LogStreamNamePrefix)
	for _, name := range names {
		out.Streams = append(out.Streams, streamJSON{Name: name, Created: g.Streams[name], ARN: s.arn + g.Name + ":log-stream:" + name})
	}
	out.Next = next
	return out, nil
}

// noEvents returns an empty list of events.
func (s *Service) noEvents(_ context.Context, in *request) (any, *wire.Error) {
	g, refused := s.groups.Get(s.nameIn(in))
	if refused != nil {
		return nil, refused
	}
	if _, there := g.Streams[in.LogStreamName]; in.LogStreamName != "" && !there {
		return nil, notFound("stream")
	}
	return struct {
		Events []struct{} `json:"events"`
	}{[]struct{}{}}, nil
}

// nameIn returns the name of the group in a request, which contains the name, or the ARN with or without
// ":*".
func (s *Service) nameIn(in *request) string {
	name := in.LogGroupName
	for _, other := range []string{in.LogGroupIdentifier, in.ResourceArn} {
		if name == "" {
			name = strings.TrimSuffix(strings.TrimPrefix(other, s.arn), ":*")
		}
	}
	return name
}

func (s *Service) change(ctx context.Context, in *request, change func(*group) *wire.Error) (any, *wire.Error) {
	return nil, s.groups.Change(ctx, s.nameIn(in), change)
}

func invalid(message string) *wire.Error {
	return &wire.Error{Code: "InvalidParameterException", Message: "1 validation error detected: " + message}
}

func notFound(what string) *wire.Error {
	return &wire.Error{Code: "ResourceNotFoundException", Message: "The specified log " + what + " does not exist."}
}

func exists(what string) *wire.Error {
	return &wire.Error{Code: "ResourceAlreadyExistsException", Message: "The specified log " + what + " already exists"}
}

func limit() *wire.Error {
	return &wire.Error{Code: "LimitExceededException", Message: "Resource limit exceeded."}
}
