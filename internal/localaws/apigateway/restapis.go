package apigateway

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const (
	maxName        = 1024
	maxDescription = 1024
	maxAPIs        = 600 // AWS's quota of regional APIs per account and Region
	maxVersion     = 64
	maxMediaTypes  = 50
)

func (s *Service) apiOperations() []operation {
	return []operation{
		{"POST /restapis", http.StatusCreated, s.createRestAPI},
		{"GET /restapis", http.StatusOK, s.reading(s.getRestAPIs)},
		{"GET /restapis/{api}", http.StatusOK, s.reading(get(s.apiOf, (*restAPI).listWire))},
		{"PUT /restapis/{api}", http.StatusOK, s.putRestAPI},
		{"PATCH /restapis/{api}", http.StatusOK, s.writing(patch(s.apiOf, update[restAPI]{
			"updateRestApiInput", clone[restAPI], (*restAPI).patch, nil, s.putAPI}, (*restAPI).fullWire))},
		{"DELETE /restapis/{api}", http.StatusAccepted, s.writing(remove(s.apiOf, s.dropAPI))},

		{"GET /restapis/{api}/resources", http.StatusOK, s.reading(s.getResources)},
		{"GET /restapis/{api}/resources/{resource}", http.StatusOK, s.reading(s.getResource)},
		{"POST /restapis/{api}/resources/{resource}", http.StatusCreated, s.writing(s.createResource)},
		{"DELETE /restapis/{api}/resources/{resource}", http.StatusAccepted, s.writing(s.deleteResource)},

		{"PUT /restapis/{api}/resources/{resource}/methods/{method}", http.StatusCreated, s.writing(s.putMethod)},
		{"GET /restapis/{api}/resources/{resource}/methods/{method}", http.StatusOK, s.reading(get(s.method, func(p at) *method { return p.m }))},
		{"PATCH /restapis/{api}/resources/{resource}/methods/{method}", http.StatusOK, s.writing(s.updateMethod)},
		{"DELETE /restapis/{api}/resources/{resource}/methods/{method}", http.StatusNoContent, s.writing(s.deleteMethod)},
		{"PUT /restapis/{api}/resources/{resource}/methods/{method}/responses/{status}", http.StatusCreated, s.writing(s.putMethodResponse)},
		{"GET /restapis/{api}/resources/{resource}/methods/{method}/responses/{status}", http.StatusOK, s.reading(getResponse(s.method, methodResponses))},
		{"DELETE /restapis/{api}/resources/{resource}/methods/{method}/responses/{status}", http.StatusNoContent, s.writing(deleteResponse(s, s.method, methodResponses))},

		{"PUT /restapis/{api}/resources/{resource}/methods/{method}/integration", http.StatusCreated, s.writing(s.putIntegration)},
		{"GET /restapis/{api}/resources/{resource}/methods/{method}/integration", http.StatusOK, s.reading(get(s.integrated, func(p at) *integration { return p.m.Integration }))},
		{"PATCH /restapis/{api}/resources/{resource}/methods/{method}/integration", http.StatusOK, s.writing(s.updateIntegration)},
		{"DELETE /restapis/{api}/resources/{resource}/methods/{method}/integration", http.StatusNoContent, s.writing(s.deleteIntegration)},
		{"PUT /restapis/{api}/resources/{resource}/methods/{method}/integration/responses/{status}", http.StatusCreated, s.writing(s.putIntegrationResponse)},
		{"GET /restapis/{api}/resources/{resource}/methods/{method}/integration/responses/{status}", http.StatusOK, s.reading(getResponse(s.integrated, integrationResponses))},
		{"DELETE /restapis/{api}/resources/{resource}/methods/{method}/integration/responses/{status}", http.StatusNoContent, s.writing(deleteResponse(s, s.integrated, integrationResponses))},
	}
}

// restAPIWire is AWS's RestApi.
type restAPIWire struct {
	ID                        string             `json:"id"`
	Name                      string             `json:"name"`
	Description               string             `json:"description,omitempty"`
	CreatedDate               epoch              `json:"createdDate"`
	Version                   string             `json:"version,omitempty"`
	BinaryMediaTypes          []string           `json:"binaryMediaTypes,omitempty"`
	APIKeySource              KeySource          `json:"apiKeySource"`
	EndpointConfiguration     endpoint           `json:"endpointConfiguration"`
	DisableExecuteAPIEndpoint bool               `json:"disableExecuteApiEndpoint"`
	RootResourceID            string             `json:"rootResourceId"`
	Tags                      *map[string]string `json:"tags,omitempty"`
}

func (a *restAPI) wire(tags *map[string]string) restAPIWire {
	return restAPIWire{
		ID: a.ID, Name: a.Name, Description: a.Description, CreatedDate: epoch(a.Created), Version: a.Version,
		BinaryMediaTypes: a.BinaryMediaTypes, APIKeySource: a.KeySource, EndpointConfiguration: a.Endpoint,
		RootResourceID: a.Root, Tags: tags,
	}
}

func (a *restAPI) listWire() restAPIWire { return a.wire(tagsIfAny(a.Tags)) }
func (a *restAPI) fullWire() restAPIWire { return a.wire(tagsOf(a.Tags)) }

type restAPIInput struct {
	Name                      string            `json:"name"`
	Description               *string           `json:"description"`
	Version                   string            `json:"version"`
	CloneFrom                 string            `json:"cloneFrom"`
	BinaryMediaTypes          []string          `json:"binaryMediaTypes"`
	MinimumCompressionSize    *int              `json:"minimumCompressionSize"`
	APIKeySource              KeySource         `json:"apiKeySource"`
	EndpointConfiguration     *endpointInput    `json:"endpointConfiguration"`
	Policy                    string            `json:"policy"`
	Tags                      map[string]string `json:"tags"`
	DisableExecuteAPIEndpoint bool              `json:"disableExecuteApiEndpoint"`
	SecurityPolicy            string            `json:"securityPolicy"`
	EndpointAccessMode        string            `json:"endpointAccessMode"`
}

type endpointInput struct {
	Types          []string `json:"types"`
	IPAddressType  string   `json:"ipAddressType"`
	VPCEndpointIDs []string `json:"vpcEndpointIds"`
}

func (s *Service) createRestAPI(c *call) (any, error) {
	switch c.query("mode") {
	case "":
	case "import":
		return s.importRestAPI(c)
	default:
		return nil, badRequest("Invalid mode specified")
	}
	var in restAPIInput
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	return s.writing(func(c *call) (any, error) {
		a, err := s.newRestAPI(in, "")
		if err != nil {
			return nil, err
		}
		return answer(a, s.putAPI(c.Context(), a), (*restAPI).listWire)
	})(c)
}

// newRestAPI checks the input and returns an API with a root resource; id "" generates one.
func (s *Service) newRestAPI(in restAPIInput, id string) (*restAPI, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if len(s.apis) >= maxAPIs {
		return nil, limitExceeded("Maximum number of APIs for this account has been reached")
	}
	a := &restAPI{
		ID: cmp.Or(id, newID()), Name: in.Name, Version: in.Version, Created: s.now(), KeySource: cmp.Or(in.APIKeySource, KeyFromHeader),
		Endpoint: endpoint{Types: []string{"EDGE"}, IPAddressType: "ipv4"}, BinaryMediaTypes: in.BinaryMediaTypes, Tags: in.Tags,
	}
	if in.Description != nil {
		a.Description = *in.Description
	}
	if e := in.EndpointConfiguration; e != nil && len(e.Types) > 0 {
		a.Endpoint.Types = e.Types
	}
	a.Root = derivedID("resource", a.ID, "/")
	a.Resources = map[string]*resource{a.Root: {ID: a.Root, Path: "/"}}
	return a, nil
}

func (in *restAPIInput) check() error {
	switch {
	case in.Name == "":
		return badRequest("Name cannot be empty")
	case len(in.Name) > maxName:
		return badRequest("Invalid API name, can be at most %d characters.", maxName)
	case in.Description != nil && *in.Description == "":
		return badRequest("Description cannot be an empty string")
	case in.Description != nil && len(*in.Description) > maxDescription:
		return badRequest("Description can be at most %d characters", maxDescription)
	case len(in.Version) > maxVersion:
		return badRequest("Version can be at most %d characters", maxVersion)
	case len(in.BinaryMediaTypes) > maxMediaTypes:
		return badRequest("At most %d binary media types are allowed", maxMediaTypes)
	case !in.APIKeySource.valid():
		return invalid(clip(string(in.APIKeySource)), "createRestApiInput.apiKeySource", "Member must satisfy enum value set: [HEADER, AUTHORIZER]")
	case in.CloneFrom != "":
		return unsupported("cloneFrom")
	case in.Policy != "":
		return unsupported("resource policies")
	case in.MinimumCompressionSize != nil:
		return unsupported("minimumCompressionSize")
	case in.DisableExecuteAPIEndpoint:
		return unsupported("disableExecuteApiEndpoint")
	case in.SecurityPolicy != "" || in.EndpointAccessMode != "":
		return unsupported("securityPolicy and endpointAccessMode")
	}
	if err := in.EndpointConfiguration.check(); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

func (k KeySource) valid() bool { return k == "" || k == KeyFromHeader || k == KeyFromAuthorizer }

func (e *endpointInput) check() error {
	switch {
	case e == nil:
		return nil
	case len(e.Types) > 1:
		return badRequest("Cannot create an api with multiple Endpoint Types.")
	case e.IPAddressType != "" && e.IPAddressType != "ipv4" && e.IPAddressType != "dualstack":
		return invalid(clip(e.IPAddressType), "createRestApiInput.endpointConfiguration.ipAddressType", "Member must satisfy enum value set: [ipv4, dualstack]")
	case len(e.VPCEndpointIDs) > 0 || len(e.Types) == 1 && e.Types[0] == "PRIVATE":
		return unsupported("private APIs")
	case len(e.Types) == 1 && e.Types[0] != "EDGE" && e.Types[0] != "REGIONAL":
		return invalid("["+clip(e.Types[0])+"]", "createRestApiInput.endpointConfiguration.types",
			"Member must satisfy constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]")
	}
	return nil
}

// putAPI stores an API and makes it visible. The caller holds mu.
func (s *Service) putAPI(ctx context.Context, a *restAPI) error {
	if err := s.save(ctx, docKey(kindAPI, a.ID), a); err != nil {
		return err
	}
	s.apis[a.ID] = a
	for _, st := range s.stages[a.ID] {
		s.showStage(st) // its view contains the API's name
	}
	return nil
}

func (s *Service) api(id string) (*restAPI, error) {
	if a := s.apis[id]; a != nil {
		return a, nil
	}
	return nil, notFound("Invalid API identifier specified %s:%s", s.cfg.Account, clip(id))
}

func (s *Service) apiOf(c *call) (*restAPI, error) { return s.api(c.PathValue("api")) }

func (s *Service) getRestAPIs(c *call) (any, error) {
	return pageOf(c, slices.Collect(maps.Values(s.apis)), (*restAPI).order, (*restAPI).listWire)
}

func (a *restAPI) patch(op patchOp) error {
	if mediaType, ok := strings.CutPrefix(op.Path, "/binaryMediaTypes/"); ok {
		return a.patchMediaTypes(op, unescapePointer(mediaType))
	}
	if op.Op != "replace" {
		return badRequest("Invalid patch path %s", clip(op.Path))
	}
	v := op.value()
	switch {
	case op.Path == "/name" && v == "":
		return badRequest("Name cannot be empty")
	case op.Path == "/name" && len(v) <= maxName:
		a.Name = v
	case op.Path == "/description" && len(v) <= maxDescription:
		a.Description = v
	case op.Path == "/version" && len(v) <= maxVersion:
		a.Version = v
	case op.Path == "/apiKeySource" && v != "" && KeySource(v).valid():
		a.KeySource = KeySource(v)
	case op.Path == "/disableExecuteApiEndpoint" && v == "false":
	case slices.Contains([]string{"/name", "/description", "/version", "/apiKeySource"}, op.Path):
		return badRequest("Invalid value for %s", op.Path)
	case slices.Contains([]string{"/policy", "/minimumCompressionSize", "/disableExecuteApiEndpoint", "/securityPolicy", "/endpointAccessMode"}, op.Path),
		strings.HasPrefix(op.Path, "/endpointConfiguration/"):
		return unsupported("updates of " + clip(op.Path))
	default:
		return badRequest("Invalid patch path %s", clip(op.Path))
	}
	return nil
}

func (a *restAPI) patchMediaTypes(op patchOp, mediaType string) error {
	rest := slices.DeleteFunc(slices.Clone(a.BinaryMediaTypes), func(have string) bool { return have == mediaType })
	switch op.Op {
	case "add":
		rest = append(rest, mediaType)
	case "replace":
		rest = append(rest, op.value())
	}
	if len(rest) > maxMediaTypes {
		return badRequest("At most %d binary media types are allowed", maxMediaTypes)
	}
	a.BinaryMediaTypes = rest
	return nil
}

// dropAPI deletes an API with its stages and deployments. The caller holds mu.
func (s *Service) dropAPI(ctx context.Context, a *restAPI) error {
	for _, st := range s.stages[a.ID] {
		if err := s.dropStage(ctx, st); err != nil {
			return err
		}
	}
	if err := s.erase(ctx, docKey(kindAPI, a.ID)); err != nil {
		return err
	}
	delete(s.apis, a.ID)
	for id := range s.deployments[a.ID] {
		if err := s.erase(ctx, docKey(kindDeployment, a.ID, id)); err != nil {
			return err
		}
		delete(s.deployments[a.ID], id)
	}
	return nil
}
