package apigateway

import (
	"maps"
	"slices"
	"time"
)

// The documents. One that is in the Service's maps is immutable: a change clones it, changes
// the clone, writes that to the store and then puts it into the map. Readers that hold an
// old one are never disturbed.

type restAPI struct {
	ID               string               `json:"id"`
	Name             string               `json:"name"`
	Description      string               `json:"description,omitempty"`
	Version          string               `json:"version,omitempty"`
	Created          time.Time            `json:"created"`
	KeySource        KeySource            `json:"keySource"`
	Endpoint         endpoint             `json:"endpoint"`
	BinaryMediaTypes []string             `json:"binaryMediaTypes,omitempty"`
	Tags             map[string]string    `json:"tags,omitempty"`
	Root             string               `json:"root"`
	Resources        map[string]*resource `json:"resources"`
}

type endpoint struct {
	Types         []string `json:"types"`
	IPAddressType string   `json:"ipAddressType"`
}

type resource struct {
	ID       string             `json:"id"`
	ParentID string             `json:"parentId,omitempty"`
	PathPart string             `json:"pathPart,omitempty"`
	Path     string             `json:"path"`
	Methods  map[string]*method `json:"methods,omitempty"`
}

type method struct {
	HTTPMethod        string                    `json:"httpMethod"`
	AuthorizationType string                    `json:"authorizationType"`
	APIKeyRequired    bool                      `json:"apiKeyRequired"`
	OperationName     string                    `json:"operationName,omitempty"`
	RequestParameters map[string]bool           `json:"requestParameters,omitempty"`
	Responses         map[string]methodResponse `json:"methodResponses,omitempty"`
	Integration       *integration              `json:"methodIntegration,omitempty"`
}

type methodResponse struct {
	StatusCode         string            `json:"statusCode"`
	ResponseParameters map[string]bool   `json:"responseParameters,omitempty"`
	ResponseModels     map[string]string `json:"responseModels,omitempty"`
}

// integration has the wire's names: it is stored and answered alike.
type integration struct {
	Type                IntegrationType                `json:"type"`
	HTTPMethod          string                         `json:"httpMethod,omitempty"`
	URI                 string                         `json:"uri,omitempty"`
	ConnectionType      string                         `json:"connectionType,omitempty"`
	RequestParameters   map[string]string              `json:"requestParameters,omitempty"`
	RequestTemplates    map[string]string              `json:"requestTemplates,omitempty"`
	PassthroughBehavior string                         `json:"passthroughBehavior"`
	TimeoutInMillis     int                            `json:"timeoutInMillis"`
	CacheNamespace      string                         `json:"cacheNamespace"`
	CacheKeyParameters  []string                       `json:"cacheKeyParameters"`
	Responses           map[string]integrationResponse `json:"integrationResponses,omitempty"`
}

type integrationResponse struct {
	StatusCode         string            `json:"statusCode"`
	SelectionPattern   string            `json:"selectionPattern,omitempty"`
	ResponseParameters map[string]string `json:"responseParameters,omitempty"`
	ResponseTemplates  map[string]string `json:"responseTemplates,omitempty"`
}

// deployment is an API as it was when it was deployed. It never changes but for its description.
type deployment struct {
	ID          string               `json:"id"`
	API         string               `json:"api"`
	Description string               `json:"description,omitempty"`
	Created     time.Time            `json:"created"`
	KeySource   KeySource            `json:"keySource"`
	Resources   map[string]*resource `json:"resources"` // by id, those with methods
}

type stage struct {
	API                  string                   `json:"api"`
	Name                 string                   `json:"name"`
	DeploymentID         string                   `json:"deploymentId"`
	Description          string                   `json:"description,omitempty"`
	DocumentationVersion string                   `json:"documentationVersion,omitempty"`
	Created              time.Time                `json:"created"`
	Updated              time.Time                `json:"updated"`
	Variables            map[string]string        `json:"variables,omitempty"`
	MethodSettings       map[string]methodSetting `json:"methodSettings,omitempty"`
	AccessLog            *accessLogSettings       `json:"accessLogSettings,omitempty"`
	Tags                 map[string]string        `json:"tags,omitempty"`
}

type accessLogSettings struct {
	DestinationARN string `json:"destinationArn,omitempty"`
	Format         string `json:"format,omitempty"`
}

// methodSetting holds the members of AWS's MethodSetting that may differ from its defaults here.
type methodSetting struct {
	BurstLimit int     `json:"burstLimit"`
	RateLimit  float64 `json:"rateLimit"`
}

// apiKey holds a secret: Value leaves this package only where AWS gives it out.
type apiKey struct {
	ID          string            `json:"id"`
	Value       string            `json:"value"`
	Name        string            `json:"name,omitempty"`
	CustomerID  string            `json:"customerId,omitempty"`
	Description string            `json:"description,omitempty"`
	Enabled     bool              `json:"enabled"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// String and GoString keep the value out of whatever prints a key by accident.
func (k *apiKey) String() string   { return "API key " + k.ID }
func (k *apiKey) GoString() string { return k.String() }

type plan struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	ProductCode string            `json:"productCode,omitempty"`
	Created     time.Time         `json:"created"`
	Stages      []planStage       `json:"apiStages"`
	Throttle    *throttle         `json:"throttle,omitempty"`
	Quota       *quota            `json:"quota,omitempty"`
	QuotaSince  time.Time         `json:"quotaSince"` // its offset holds in the period of this moment
	Tags        map[string]string `json:"tags,omitempty"`
}

// planStage, throttle and quota have the wire's names: they are stored and answered alike.
type planStage struct {
	API      string              `json:"apiId"`
	Stage    string              `json:"stage"`
	Throttle map[string]throttle `json:"throttle,omitempty"` // by "/path/METHOD"
}

type throttle struct {
	BurstLimit int     `json:"burstLimit"`
	RateLimit  float64 `json:"rateLimit"`
}

type quota struct {
	Limit  int64  `json:"limit"`
	Offset int    `json:"offset"`
	Period Period `json:"period"`
}

// member is a key's place in a plan.
type member struct {
	Since time.Time `json:"since"`
	Local bool      `json:"local,omitempty"` // made by ApplyLocal
}

func clone[T any](p *T) *T { c := *p; return &c }

// put sets a value in a map, which it makes when there is none.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// withResource is the API with r put in.
func (a *restAPI) withResource(r *resource) *restAPI {
	c := clone(a)
	c.Resources = maps.Clone(a.Resources)
	c.Resources[r.ID] = r
	return c
}

// withMethod is the resource with m put in.
func (r *resource) withMethod(m *method) *resource {
	c := clone(r)
	c.Methods = maps.Clone(r.Methods)
	if c.Methods == nil {
		c.Methods = map[string]*method{}
	}
	c.Methods[m.HTTPMethod] = m
	return c
}

// clonePlan copies what a patch may change in place.
func clonePlan(p *plan) *plan {
	c := clone(p)
	c.Stages = slices.Clone(p.Stages)
	for i := range c.Stages {
		c.Stages[i].Throttle = maps.Clone(c.Stages[i].Throttle)
	}
	if p.Throttle != nil {
		c.Throttle = clone(p.Throttle)
	}
	if p.Quota != nil {
		c.Quota = clone(p.Quota)
	}
	return c
}

// cloneStage copies what a patch may change in place.
func cloneStage(s *stage) *stage {
	c := clone(s)
	c.Variables = maps.Clone(s.Variables)
	c.MethodSettings = maps.Clone(s.MethodSettings)
	if s.AccessLog != nil {
		c.AccessLog = clone(s.AccessLog)
	}
	return c
}
