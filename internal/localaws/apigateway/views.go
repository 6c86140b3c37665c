package apigateway

import (
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// Runtime is what the stage server reads. A *Service implements it. Every method may be
// called by many goroutines at once, and none waits for the store. What is returned is
// immutable: a change in the control API gives new values and leaves the old ones as they are.
type Runtime interface {
	// Route is the deployed stage of an API, false when there is none. The same pointer is
	// returned until something of that stage changes, so that a caller may keep what it
	// compiled from it beside the pointer.
	Route(apiID, stage string) (*StageView, bool)
	// Key finds an API key by its value. Disabled keys are found too: see KeyView.Enabled.
	Key(value string) (KeyView, bool)
	// PlanFor is the usage plan that a key has on a stage. There is at most one.
	PlanFor(keyID, apiID, stage string) (PlanView, bool)
	// Take counts one request of the key in the plan's usage if the plan's quota allows it,
	// and answers false, counting nothing, when the quota of the period that holds at is used
	// up. A plan without a quota always allows it.
	Take(planID, keyID string, at time.Time) bool
	// Count counts one request of the key in the plan's usage, whatever the quota says.
	Count(planID, keyID string, at time.Time)
	// Used is the number of requests counted on the days (UTC) from from to to, both included.
	Used(planID, keyID string, from, to time.Time) int64
}

// KeySource says where a stage finds the caller's API key.
type KeySource string

// The sources of an API key (RestApi.apiKeySource).
const (
	KeyFromHeader     KeySource = "HEADER"     // the x-api-key header
	KeyFromAuthorizer KeySource = "AUTHORIZER" // a Lambda authorizer's usageIdentifierKey: no authorizers here, so no request has a key
)

// StageView is one stage with the deployment that it shows.
type StageView struct {
	APIID, APIName string
	Stage          string
	DeploymentID   string
	KeySource      KeySource
	AccessLog      AccessLog
	Variables      map[string]string // the stage's variables; already filled in where an integration's URI names one
	// Routes has one entry per resource that has methods, in the order of precedence: where
	// several match a path, the first in the list is API Gateway's choice.
	Routes []Route
}

// AccessLog is a stage's access log settings. Logging is off unless both are set.
type AccessLog struct {
	DestinationARN string `json:"destinationArn,omitempty"` // a Firehose delivery stream, or a CloudWatch Logs group
	Format         string `json:"format,omitempty"`         // one line of text and $context variables
}

// Enabled reports whether the stage writes an access log.
func (a AccessLog) Enabled() bool { return a.DestinationARN != "" && a.Format != "" }

// Route is one resource of a deployed API.
type Route struct {
	ResourceID string            // $context.resourceId
	Path       string            // the template, "/orders/{id}" or "/{proxy+}": $context.resourcePath
	Segments   []Segment         // Path cut at its slashes; none for "/"
	Methods    map[string]Method // by HTTP method; "ANY" takes every method that has no entry of its own
}

// Segment is one part of a path template.
type Segment struct {
	Literal string // the text, when the segment is no parameter
	Param   string // the parameter's name, "" for a literal
	Greedy  bool   // {name+}: takes the rest of the path, at least one segment
}

// Method is how one method of a resource is served.
type Method struct {
	HTTPMethod     string // as deployed: GET, ..., or ANY
	APIKeyRequired bool
	Throttle       *Throttle // the stage's method setting for all callers together; nil: none
	Integration    Integration
}

// IntegrationType says what stands behind a method.
type IntegrationType string

// The types of integration that are served; others are refused when they are made.
const (
	HTTPProxy IntegrationType = "HTTP_PROXY" // the request goes to URI as it is
	Mock      IntegrationType = "MOCK"       // the answer is made here, from Integration.Mock
)

// Integration is what stands behind a method.
type Integration struct {
	Type       IntegrationType
	HTTPMethod string // the method towards the upstream; ANY passes the caller's on
	// URI is the upstream's address. It may hold {name} in its path: Params says which path
	// parameter fills it. Stage variables are filled in already.
	URI     string
	Params  map[string]string // variable of URI: path parameter of the route, without braces
	Timeout time.Duration     // how long the upstream may take, at most 29 s
	Mock    MockAnswer        // what a MOCK integration answers
}

// MockAnswer is the fixed answer of a MOCK integration.
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

// PlanView is a usage plan as it holds for one stage.
type PlanView struct {
	ID, Name string
	Throttle *Throttle // for each key by itself; nil: none
	Quota    *Quota    // for each key by itself; nil: none
	// Methods overrides Throttle for single methods of this stage. The name of an entry is
	// the resource's path, a slash and the method: "/orders/{id}/GET"; see PlanView.ThrottleFor.
	Methods map[string]Throttle
}

// ThrottleFor is the bucket that a request to a method draws from, and its name: a bucket is
// per plan, key, stage and that name ("" for the plan's own). It is nil when nothing limits it.
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

// Period is how often a quota starts again.
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

// Start is the first day, UTC midnight, of the period that holds at.
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

// KeyInfo is an API key in a listing: never its value.
type KeyInfo struct {
	ID, Name, CustomerID string
	Enabled              bool
}

// PlanInfo is a usage plan in a listing, with its stages and keys.
type PlanInfo struct {
	ID, Name string
	Stages   []record.StageRef
	Keys     []KeyInfo // in the order of their names, then ids
}
