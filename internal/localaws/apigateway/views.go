package apigateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// Runtime is the view of the stage server. A *Service implements it. Its methods are safe for concurrent
// use, and do not wait for the store. Returned values are immutable: a change in the control API
// produces new ones.
type Runtime interface {
	// Route returns the deployed stage of an API, and whether it exists. The pointer stays the same until
	// the stage changes, so a caller can cache data derived from it by pointer.
	Route(apiID, stage string) (*StageView, bool)
	// Key finds an API key by its value. Disabled keys are found too: see KeyView.Enabled.
	Key(value string) (KeyView, bool)
	// PlanFor returns the usage plan of a key on a stage. There is at most one.
	PlanFor(keyID, apiID, stage string) (PlanView, bool)
	// Take counts one request of the key in the plan's usage and returns true, or returns false without
	// counting if the quota of the period that contains at is exhausted. A plan without a quota always
	// allows the request.
	Take(planID, keyID string, at time.Time) bool
	// Count counts one request of the key in the plan's usage, regardless of the quota.
	Count(planID, keyID string, at time.Time)
	// Used returns the number of requests counted on the days (UTC) from from to to, both included.
	Used(planID, keyID string, from, to time.Time) int64
}

// KeySource is the place of the caller's API key.
type KeySource string

// The sources of an API key (RestApi.apiKeySource).
const (
	KeyFromHeader     KeySource = "HEADER"     // the x-api-key header
	KeyFromAuthorizer KeySource = "AUTHORIZER" // a Lambda authorizer's usageIdentifierKey: no authorizers here, so no request has a key
)

// StageView is a stage with its deployment.
type StageView struct {
	APIID, APIName string
	Stage          string
	DeploymentID   string
	KeySource      KeySource
	AccessLog      AccessLog
	Variables      map[string]string // the stage's variables; already substituted in integration URIs
	// Routes has one entry per resource with methods, in order of precedence: if several match a path,
	// the first one is used.
	Routes []Route
}

// AccessLog is a stage's access log settings. Logging is off unless both are set.
type AccessLog struct {
	DestinationARN string `json:"destinationArn,omitempty"` // a Firehose delivery stream, or a CloudWatch Logs group
	Format         string `json:"format,omitempty"`         // one line of text and $context variables
}

// Enabled reports whether the stage writes an access log.
func (a AccessLog) Enabled() bool { return a.DestinationARN != "" && a.Format != "" }

// Stream returns the name of the delivery stream that the stage logs to, from
// arn:aws:firehose:REGION:ACCOUNT:deliverystream/NAME. ok is false if it logs to none.
func (a AccessLog) Stream() (name string, ok bool) {
	parts := strings.SplitN(a.DestinationARN, ":", 6)
	if !a.Enabled() || len(parts) != 6 || parts[0] != "arn" || parts[2] != "firehose" {
		return "", false
	}
	name, ok = strings.CutPrefix(parts[5], "deliverystream/")
	return name, ok && name != ""
}

// Route is one resource of a deployed API.
type Route struct {
	ResourceID string            // $context.resourceId
	Path       string            // the template, "/orders/{id}" or "/{proxy+}": $context.resourcePath
	Segments   []Segment         // Path split at its slashes; none for "/"
	Methods    map[string]Method // by HTTP method; "ANY" is for every method without an entry
}

// Segment is one part of a path template.
type Segment struct {
	Literal string // the text, unless the segment is a parameter
	Param   string // the parameter's name, "" for a literal
	Greedy  bool   // {name+}: matches the rest of the path, at least one segment
}

// Method is one method of a resource.
type Method struct {
	HTTPMethod     string // as deployed: GET, ..., or ANY
	APIKeyRequired bool
	Throttle       *Throttle // the stage's method setting, shared by all callers; nil: none
	Integration    Integration
}

// IntegrationType is the kind of a method's backend.
type IntegrationType string

// The supported types of integration; others are refused when they are created.
const (
	HTTPProxy IntegrationType = "HTTP_PROXY" // the request is forwarded to URI
	Mock      IntegrationType = "MOCK"       // the response is Integration.Mock
)

// Integration is the backend of a method.
type Integration struct {
	Type       IntegrationType
	HTTPMethod string // of the upstream request; ANY: the caller's method
	// URI is the upstream's address. Its path may contain {name}, replaced by the path parameter in
	// Params. Stage variables are already substituted.
	URI     string
	Params  map[string]string // variable of URI: path parameter of the route, without braces
	Timeout time.Duration     // of the upstream, at most 29 s
	Mock    MockAnswer        // response of a MOCK integration
}

// MockAnswer is the fixed response of a MOCK integration.
type MockAnswer struct {
	Status  int
	Headers map[string]string
	Body    string
}

// Throttle is a token bucket: Rate tokens a second, at most Burst at once. It is stored and sent
// under AWS's names.
type Throttle struct {
	Burst int     `json:"burstLimit"`
	Rate  float64 `json:"rateLimit"`
}

// KeyView is an API key without its value.
type KeyView struct {
	ID      string
	Name    string // the customer's name; may be empty: AWS allows keys without one
	Enabled bool
}

// PlanView is a usage plan on one stage.
type PlanView struct {
	ID, Name string
	Throttle *Throttle // per key; nil: none
	Quota    *Quota    // per key; nil: none
	// Methods overrides Throttle for single methods of this stage. The key is the resource's path, a slash
	// and the method: "/orders/{id}/GET"; see PlanView.ThrottleFor.
	Methods map[string]Throttle
}

// ThrottleFor returns the limits of a method and the name of the bucket that they apply to: there is one
// bucket per plan, key, stage and name ("" for the plan's own limits). t is nil if there is no limit.
func (p PlanView) ThrottleFor(resourcePath, httpMethod string) (bucket string, t *Throttle) {
	if len(p.Methods) > 0 {
		for _, m := range [2]string{httpMethod, "ANY"} {
			name := resourcePath + "/" + m
			if t, ok := p.Methods[name]; ok {
				return name, &t
			}
		}
	}
	return "", p.Throttle
}

// Period is the interval at which a quota is reset.
type Period string

// The periods of a quota. Days, weeks (from Sunday) and months are UTC's.
const (
	Day   Period = "DAY"
	Week  Period = "WEEK"
	Month Period = "MONTH"
)

// Quota is the number of requests that each key may make in a period. It is stored and sent
// under AWS's names.
type Quota struct {
	Limit  int64  `json:"limit"`
	Offset int    `json:"offset"` // requests subtracted from the limit of the first period, as AWS defines it
	Period Period `json:"period"`
}

// Start returns the first day, UTC midnight, of the period that contains at.
func (q Quota) Start(at time.Time) time.Time {
	at = at.UTC()
	day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	switch q.Period {
	case Week:
		return day.AddDate(0, 0, -int(day.Weekday()))
	case Month:
		return day.AddDate(0, 0, 1-day.Day())
	}
	return day
}

// KeyInfo is an API key in a listing, without its value.
type KeyInfo struct {
	ID, Name, CustomerID string
	Enabled              bool
}

// PlanInfo is a usage plan in a listing, with its stages and keys.
type PlanInfo struct {
	ID, Name string
	Stages   []record.StageRef
	Keys     []KeyInfo // sorted by name, then id
}

// Plans lists the usage plans with their stages and keys, sorted by name, then id.
func (s *Service) Plans() []PlanInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]PlanInfo, 0, len(s.plans))
	for _, p := range s.plans {
		info := PlanInfo{ID: p.ID, Name: p.Name}
		for _, st := range p.Stages {
			info.Stages = append(info.Stages, record.StageRef{API: st.API, Stage: st.Stage})
		}
		var keys []*apiKey
		for keyID := range s.members[p.ID] {
			keys = append(keys, s.keys[keyID])
		}
		info.Keys = keyInfos(keys)
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b PlanInfo) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return out
}

// Keys lists the API keys without their values, sorted by name, then id.
func (s *Service) Keys() []KeyInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return keyInfos(slices.Collect(maps.Values(s.keys)))
}

func keyInfos(keys []*apiKey) []KeyInfo {
	out := make([]KeyInfo, len(keys))
	for i, k := range keys {
		out[i] = KeyInfo{ID: k.ID, Name: k.Name, CustomerID: k.CustomerID, Enabled: k.Enabled}
	}
	slices.SortFunc(out, func(a, b KeyInfo) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return out
}
