package apigateway

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const badMethod = "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY"

var statusCode = regexp.MustCompile(`^[1-5]\d\d$`)

func validMethod(m string) bool {
	return slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY"}, m)
}

// at is the method that a call names, with its API and resource.
type at struct {
	api *restAPI
	res *resource
	m   *method
}

// method finds the method of a call. The caller holds mu.
func (s *Service) method(c *call) (at, error) {
	a, r, err := s.resource(c.PathValue("api"), c.PathValue("resource"))
	if err != nil {
		return at{}, err
	}
	m := r.Methods[c.PathValue("method")]
	if m == nil {
		return at{}, notFound("Invalid Method identifier specified")
	}
	return at{a, r, m}, nil
}

// integrated finds the method of a call, which must have an integration.
func (s *Service) integrated(c *call) (at, error) {
	p, err := s.method(c)
	if err == nil && p.m.Integration == nil {
		err = notFound("Invalid Integration identifier specified")
	}
	return p, err
}

// change applies fn to a copy of the method that find returns, and stores it.
func (s *Service) change(c *call, find func(*call) (at, error), fn func(at, *method) error) (*method, error) {
	p, err := find(c)
	if err != nil {
		return nil, err
	}
	m := clone(p.m)
	m.Responses = maps.Clone(p.m.Responses)
	if p.m.Integration != nil {
		m.Integration = clone(p.m.Integration)
		m.Integration.Responses = maps.Clone(p.m.Integration.Responses)
		m.Integration.RequestParameters = maps.Clone(p.m.Integration.RequestParameters)
	}
	if err := fn(p, m); err != nil {
		return nil, err
	}
	return m, s.putAPI(c.Context(), p.api.withResource(p.res.withMethod(m)))
}

func (s *Service) putMethod(c *call) (any, error) {
	var in struct {
		AuthorizationType   string            `json:"authorizationType"`
		AuthorizerID        string            `json:"authorizerId"`
		APIKeyRequired      bool              `json:"apiKeyRequired"`
		OperationName       string            `json:"operationName"`
		RequestParameters   map[string]bool   `json:"requestParameters"`
		RequestModels       map[string]string `json:"requestModels"`
		RequestValidatorID  string            `json:"requestValidatorId"`
		AuthorizationScopes []string          `json:"authorizationScopes"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a, r, err := s.resource(c.PathValue("api"), c.PathValue("resource"))
	if err != nil {
		return nil, err
	}
	name := c.PathValue("method")
	switch {
	case !validMethod(name):
		return nil, badRequest(badMethod)
	case r.Methods[name] != nil:
		return nil, conflict("Method already exists for this resource")
	case in.AuthorizationType == "CUSTOM" || in.AuthorizationType == "COGNITO_USER_POOLS" || in.AuthorizerID != "":
		return nil, badRequest("Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.")
	case in.AuthorizationType != "NONE":
		return nil, unsupported("the authorization type " + clip(in.AuthorizationType))
	case in.RequestValidatorID != "":
		return nil, badRequest("Invalid Request Validator identifier specified")
	case len(in.RequestModels) > 0 || len(in.AuthorizationScopes) > 0:
		return nil, unsupported("request models and authorization scopes")
	}
	m := &method{
		HTTPMethod: name, AuthorizationType: in.AuthorizationType, APIKeyRequired: in.APIKeyRequired,
		OperationName: clipTo(in.OperationName, maxName), RequestParameters: in.RequestParameters,
	}
	return m, s.putAPI(c.Context(), a.withResource(r.withMethod(m)))
}

func (s *Service) updateMethod(c *call) (any, error) {
	ops, err := c.patches("updateMethodInput")
	if err != nil {
		return nil, err
	}
	return s.change(c, s.method, func(_ at, m *method) error {
		for _, op := range ops {
			switch {
			case op.Op == "replace" && op.Path == "/apiKeyRequired":
				m.APIKeyRequired = op.value() == "true"
			case op.Op == "replace" && op.Path == "/operationName":
				m.OperationName = clipTo(op.value(), maxName)
			default:
				return badRequest("Invalid patch path %s", clip(op.Path))
			}
		}
		return nil
	})
}

func (s *Service) deleteMethod(c *call) (any, error) {
	p, err := s.method(c)
	if err != nil {
		return nil, err
	}
	r := clone(p.res)
	r.Methods = maps.Clone(r.Methods)
	delete(r.Methods, p.m.HTTPMethod)
	return nil, s.putAPI(c.Context(), p.api.withResource(r))
}

func (s *Service) putIntegration(c *call) (any, error) {
	var in struct {
		Type                  IntegrationType   `json:"type"`
		IntegrationHTTPMethod string            `json:"httpMethod"`
		URI                   string            `json:"uri"`
		ConnectionType        string            `json:"connectionType"`
		ConnectionID          string            `json:"connectionId"`
		Credentials           string            `json:"credentials"`
		RequestParameters     map[string]string `json:"requestParameters"`
		RequestTemplates      map[string]string `json:"requestTemplates"`
		PassthroughBehavior   string            `json:"passthroughBehavior"`
		CacheNamespace        string            `json:"cacheNamespace"`
		CacheKeyParameters    []string          `json:"cacheKeyParameters"`
		ContentHandling       string            `json:"contentHandling"`
		TimeoutInMillis       int               `json:"timeoutInMillis"`
		ResponseTransferMode  string            `json:"responseTransferMode"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	switch {
	case in.ConnectionID != "" || in.Credentials != "":
		return nil, unsupported("connectionId and credentials of an integration")
	case len(in.CacheKeyParameters) > 0:
		return nil, unsupported("caching")
	case in.ContentHandling != "":
		return nil, unsupported("contentHandling")
	case in.ResponseTransferMode != "" && in.ResponseTransferMode != "BUFFERED" && in.ResponseTransferMode != "STREAM":
		return nil, invalid(clip(in.ResponseTransferMode), "putIntegrationInput.responseTransferMode", "Member must satisfy enum value set: [BUFFERED, STREAM]")
	}
	m, err := s.change(c, s.method, func(p at, m *method) error {
		m.Integration = &integration{
			Type: in.Type, HTTPMethod: in.IntegrationHTTPMethod, URI: in.URI, ConnectionType: in.ConnectionType,
			RequestParameters: in.RequestParameters, RequestTemplates: in.RequestTemplates, PassthroughBehavior: in.PassthroughBehavior,
			TimeoutInMillis: in.TimeoutInMillis, CacheNamespace: in.CacheNamespace,
		}
		return m.Integration.checked(p.res.ID)
	})
	return answer(m, err, func(m *method) *integration { return m.Integration })
}

func (s *Service) updateIntegration(c *call) (any, error) {
	ops, err := c.patches("updateIntegrationInput")
	if err != nil {
		return nil, err
	}
	m, err := s.change(c, s.integrated, func(p at, m *method) error {
		for _, op := range ops {
			if err := m.Integration.patch(op); err != nil {
				return err
			}
		}
		return m.Integration.checked(p.res.ID)
	})
	return answer(m, err, func(m *method) *integration { return m.Integration })
}

func (in *integration) patch(op patchOp) error {
	if name, ok := strings.CutPrefix(op.Path, "/requestParameters/"); ok {
		if delete(in.RequestParameters, unescapePointer(name)); op.Op != "remove" {
			put(&in.RequestParameters, unescapePointer(name), op.value())
		}
		return nil
	}
	if op.Op != "replace" {
		return badRequest("Invalid patch path %s", clip(op.Path))
	}
	switch op.Path {
	case "/uri":
		in.URI = op.value()
	case "/httpMethod":
		in.HTTPMethod = op.value()
	case "/timeoutInMillis":
		n, err := strconv.Atoi(op.value())
		if err != nil {
			return badRequest("Timeout should be between 50 ms and 29000 ms")
		}
		in.TimeoutInMillis = n
	default:
		return badRequest("Invalid patch path %s", clip(op.Path))
	}
	return nil
}

func (s *Service) deleteIntegration(c *call) (any, error) {
	_, err := s.change(c, s.integrated, func(_ at, m *method) error { m.Integration = nil; return nil })
	return nil, err
}
