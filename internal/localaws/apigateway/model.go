package apigateway

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"
)

// The documents. Those in the Service's maps are immutable: a change clones the document, modifies
// the clone, writes it to the store and then puts it into the map, so readers may keep the old one.

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

// integration is both the stored document and the wire format.
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

// deployment is a snapshot of an API. Only its description may change.
type deployment struct {
	ID          string               `json:"id"`
	API         string               `json:"api"`
	Description string               `json:"description,omitempty"`
	Created     time.Time            `json:"created"`
	KeySource   KeySource            `json:"keySource"`
	Resources   map[string]*resource `json:"resources"` // by id, those with methods
}

type stage struct {
	API                  string              `json:"api"`
	Name                 string              `json:"name"`
	DeploymentID         string              `json:"deploymentId"`
	Description          string              `json:"description,omitempty"`
	DocumentationVersion string              `json:"documentationVersion,omitempty"`
	Created              time.Time           `json:"created"`
	Updated              time.Time           `json:"updated"`
	Variables            map[string]string   `json:"variables,omitempty"`
	MethodSettings       map[string]Throttle `json:"methodSettings,omitempty"` // their other members have AWS's defaults
	AccessLog            *AccessLog          `json:"accessLogSettings,omitempty"`
	Tags                 map[string]string   `json:"tags,omitempty"`
}

// apiKey holds a secret: Value leaves this package only in the responses in which AWS returns it.
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

// String and GoString omit the value, in case a key is printed by accident.
func (k *apiKey) String() string   { return "API key " + k.ID }
func (k *apiKey) GoString() string { return k.String() }

type plan struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	ProductCode string            `json:"productCode,omitempty"`
	Created     time.Time         `json:"created"`
	Stages      []planStage       `json:"apiStages"`
	Throttle    *Throttle         `json:"throttle,omitempty"`
	Quota       *Quota            `json:"quota,omitempty"`
	QuotaSince  time.Time         `json:"quotaSince"` // the quota's offset applies to the period that contains this time
	Tags        map[string]string `json:"tags,omitempty"`
}

// planStage is both the stored document and the wire format.
type planStage struct {
	API      string              `json:"apiId"`
	Stage    string              `json:"stage"`
	Throttle map[string]Throttle `json:"throttle,omitempty"` // by "/path/METHOD"
}

// member is the association of a key with a plan.
type member struct {
	Since time.Time `json:"since"`
	Local bool      `json:"local,omitempty"` // created by ApplyLocal
}

// order returns the sort key of a list: resources are listed by age, then id.
func (a *restAPI) order() string    { return orderOf(a.Created, a.ID) }
func (d *deployment) order() string { return orderOf(d.Created, d.ID) }
func (k *apiKey) order() string     { return orderOf(k.Created, k.ID) }
func (p *plan) order() string       { return orderOf(p.Created, p.ID) }

func orderOf(created time.Time, id string) string {
	return created.UTC().Format("20060102T150405.000000000") + id
}

// clone returns a shallow copy; nil of nil.
func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// put sets a value in a map, which it creates if it is nil.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// withResource returns a copy of the API with r added or replaced.
func (a *restAPI) withResource(r *resource) *restAPI {
	c := clone(a)
	c.Resources = maps.Clone(a.Resources)
	c.Resources[r.ID] = r
	return c
}

// withMethod returns a copy of the resource with m added or replaced.
func (r *resource) withMethod(m *method) *resource {
	c := clone(r)
	c.Methods = maps.Clone(r.Methods)
	put(&c.Methods, m.HTTPMethod, m)
	return c
}

// clonePlan copies a plan with everything that a patch may change in place.
func clonePlan(p *plan) *plan {
	c := clone(p)
	c.Stages = slices.Clone(p.Stages)
	for i := range c.Stages {
		c.Stages[i].Throttle = maps.Clone(c.Stages[i].Throttle)
	}
	c.Throttle, c.Quota = clone(p.Throttle), clone(p.Quota)
	return c
}

// cloneStage copies a stage with everything that a patch may change in place.
func cloneStage(s *stage) *stage {
	c := clone(s)
	c.Variables = maps.Clone(s.Variables)
	c.MethodSettings = maps.Clone(s.MethodSettings)
	c.AccessLog = clone(s.AccessLog)
	return c
}

const (
	idChars  = "abcdefghijklmnopqrstuvwxyz0123456789"
	idLength = 10
	// valueLength is the length of the API key values that API Gateway generates.
	valueLength = 40
)

// newID returns a random id like AWS's: ten lower-case letters and digits.
func newID() string { return strings.ToLower(rand.Text()[:idLength]) }

// newValue returns a random API key value like AWS's: 40 letters and digits.
func newValue() string { return (rand.Text() + rand.Text())[:valueLength] }

// derivedID hashes the parts to an id, which is the same on every machine.
func derivedID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	out := make([]byte, idLength)
	for i := range out {
		out[i] = idChars[int(sum[i])%len(idChars)]
	}
	return string(out)
}

// validID reports whether stagelog.yaml may use the id.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return strings.Trim(id, idChars+"-_") == ""
}
