package apigateway

import (
	"errors"
	"maps"
	"strings"

	"github.com/stagelog/stagelog/internal/encoding/openapi"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// importInput is the input of an import: a document, and the endpoint type from the query ("" for none).
type importInput struct {
	doc          *openapi.Document
	endpointType string
}

func (s *Service) importRestAPI(c *call) (any, error) {
	in, err := c.importInput()
	if err != nil {
		return nil, err
	}
	return s.writing(func(c *call) (any, error) {
		a, err := s.newRestAPI(restAPIInput{Name: in.doc.Title, BinaryMediaTypes: in.doc.BinaryMediaTypes}, "")
		if err != nil {
			return nil, err
		}
		a.describe(in.doc)
		if err := a.importAll(in); err != nil {
			return nil, err
		}
		return answer(a, s.putAPI(c.Context(), a), (*restAPI).listWire)
	})(c)
}

// putRestAPI replaces an API's resources with a document's, or merges them.
func (s *Service) putRestAPI(c *call) (any, error) {
	mode := c.query("mode")
	if mode != "" && mode != "overwrite" && mode != "merge" {
		return nil, badRequest(`Enumeration value of OpenAPI import mode must be "overwrite" or "merge"`)
	}
	in, err := c.importInput()
	if err != nil {
		return nil, err
	}
	return s.writing(func(c *call) (any, error) {
		old, err := s.apiOf(c)
		if err != nil {
			return nil, err
		}
		a := clone(old)
		a.Resources = maps.Clone(old.Resources)
		if mode == "overwrite" {
			a.Name = in.doc.Title
			a.describe(in.doc)
			a.Resources = map[string]*resource{a.Root: {ID: a.Root, Path: "/"}}
		}
		if err := a.importAll(in); err != nil {
			return nil, err
		}
		return answer(a, s.putAPI(c.Context(), a), (*restAPI).fullWire)
	})(c)
}

// describe sets the API's description and version to the document's.
func (a *restAPI) describe(doc *openapi.Document) {
	a.Description, a.Version = clipTo(doc.Description, maxDescription), clipTo(doc.Version, maxVersion)
}

// importAll applies an import to the API, whose maps it changes.
func (a *restAPI) importAll(in importInput) error {
	if in.endpointType != "" {
		a.Endpoint.Types = []string{in.endpointType}
	}
	if in.doc.KeySource != "" {
		a.KeySource = KeySource(in.doc.KeySource)
	}
	return a.addPaths(in.doc.Paths)
}

// addPaths adds paths and their methods to the API, whose maps it changes.
func (a *restAPI) addPaths(paths []openapi.Path) error {
	for _, p := range paths {
		r, err := a.ensurePath(p.Path)
		if err != nil {
			return prefixed("Unable to create resource at path '"+clip(p.Path)+"'", err)
		}
		for _, op := range p.Operations {
			m, err := methodOf(op, r)
			if err != nil {
				return prefixed("Unable to put integration on '"+op.Method+"' for resource at path '"+clip(p.Path)+"'", err)
			}
			r = r.withMethod(m)
		}
		a.Resources[r.ID] = r
	}
	return nil
}

// prefixed returns a refusal with the failed action before its message.
func prefixed(what string, err error) error {
	var e *wire.Error
	if !errors.As(err, &e) {
		return err
	}
	return &wire.Error{Status: e.Status, Code: e.Code, Message: what + ": " + e.Message}
}

// ensurePath returns the resource of a path, creating it and its parents if they are missing.
func (a *restAPI) ensurePath(path string) (*resource, error) {
	at := a.Resources[a.Root]
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		child := a.child(at, part)
		if child == nil {
			var err error
			id := derivedID("resource", a.ID, strings.TrimSuffix(at.Path, "/")+"/"+part)
			if child, err = a.newResource(at, part, id); err != nil {
				return nil, err
			}
			a.Resources[child.ID] = child
		}
		at = child
	}
	return at, nil
}

func (a *restAPI) child(parent *resource, part string) *resource {
	for _, r := range a.Resources {
		if r.ParentID == parent.ID && r.PathPart == part {
			return r
		}
	}
	return nil
}

func methodOf(op openapi.Operation, r *resource) (*method, error) {
	m := &method{
		HTTPMethod: op.Method, AuthorizationType: "NONE", APIKeyRequired: op.APIKeyRequired,
		OperationName: clipTo(op.OperationID, maxName), RequestParameters: op.PathParameters,
	}
	for status, resp := range op.Responses {
		put(&m.Responses, status, methodResponseOf(status, resp))
	}
	if op.Integration == nil {
		return m, nil
	}
	in := &integration{
		Type: IntegrationType(strings.ToUpper(op.Integration.Type)), HTTPMethod: strings.ToUpper(op.Integration.HTTPMethod),
		URI: op.Integration.URI, ConnectionType: op.Integration.ConnectionType, RequestParameters: op.Integration.RequestParameters,
		RequestTemplates: op.Integration.RequestTemplates, PassthroughBehavior: strings.ToUpper(op.Integration.PassthroughBehavior),
		TimeoutInMillis: op.Integration.TimeoutInMillis,
	}
	for pattern, resp := range op.Integration.Responses {
		if pattern == "default" {
			pattern = ""
		}
		put(&in.Responses, resp.StatusCode, integrationResponse{
			StatusCode: resp.StatusCode, SelectionPattern: pattern,
			ResponseParameters: resp.ResponseParameters, ResponseTemplates: resp.ResponseTemplates,
		})
	}
	if err := in.checked(r.ID); err != nil {
		return nil, err
	}
	if in.Type == HTTPProxy {
		in.Responses = nil // a proxy passes the upstream's response on; AWS ignores them as well
	}
	m.Integration = in
	return m, nil
}

func methodResponseOf(status string, from openapi.Response) methodResponse {
	resp := methodResponse{StatusCode: status, ResponseModels: from.Models}
	for _, header := range from.Headers {
		put(&resp.ResponseParameters, responseHeader+header, false)
	}
	return resp
}

// importInput reads the query and the document of an import.
func (c *call) importInput() (in importInput, err error) {
	for name, values := range c.URL.Query() {
		v := values[0]
		switch {
		case name == "mode" || name == "failonwarnings":
		case name == "endpointConfigurationTypes" && (v == "EDGE" || v == "REGIONAL"):
			in.endpointType = v
		case name == "basepath" && v == "ignore", name == "ignore" && v == "documentation":
		default:
			return in, unsupported("the import parameter " + clip(name) + "=" + clip(v))
		}
	}
	in.doc, err = openapi.Parse(c.body)
	switch {
	case err != nil:
		return in, badRequest("Unable to import the document: %s", err)
	case len(in.doc.Title) > maxName:
		return in, badRequest("Invalid API name, can be at most %d characters.", maxName)
	case len(in.doc.BinaryMediaTypes) > maxMediaTypes:
		return in, badRequest("At most %d binary media types are allowed", maxMediaTypes)
	}
	return in, nil
}

func clipTo(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
