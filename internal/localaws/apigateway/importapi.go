package apigateway

import (
	"maps"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/apigateway/openapi"
)

func (s *Service) importRestAPI(c *call) (any, error) {
	endpointType, err := c.importParameters()
	if err != nil {
		return nil, err
	}
	doc, err := c.importDocument()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.newRestAPI(restAPIInput{Name: doc.Title, Version: clipTo(doc.Version, 64), APIKeySource: KeySource(doc.KeySource), BinaryMediaTypes: doc.BinaryMediaTypes}, "")
	if err != nil {
		return nil, err
	}
	a.Description = clipTo(doc.Description, maxDescription)
	if endpointType != "" {
		a.Endpoint.Types = []string{endpointType}
	}
	if err := a.take(doc); err != nil {
		return nil, err
	}
	if err := s.putAPI(c.Context(), a); err != nil {
		return nil, err
	}
	w := a.listWire()
	w.Warnings = doc.Warnings
	return w, nil
}

// putRestAPI replaces an API's resources by a document's, or adds them to it.
func (s *Service) putRestAPI(c *call) (any, error) {
	mode := c.query("mode")
	if mode != "overwrite" && mode != "merge" {
		return nil, badRequest(`Enumeration value of OpenAPI import mode must be "overwrite" or "merge"`)
	}
	endpointType, err := c.importParameters()
	if err != nil {
		return nil, err
	}
	doc, err := c.importDocument()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.api(c.PathValue("api"))
	if err != nil {
		return nil, err
	}
	a := clone(old)
	a.Resources = maps.Clone(old.Resources)
	if mode == "overwrite" {
		a.Name, a.Description, a.Version = doc.Title, clipTo(doc.Description, maxDescription), clipTo(doc.Version, 64)
		a.Resources = map[string]*resource{a.Root: {ID: a.Root, Path: "/"}}
	}
	if endpointType != "" {
		a.Endpoint.Types = []string{endpointType}
	}
	if doc.KeySource != "" {
		a.KeySource = KeySource(doc.KeySource)
	}
	if err := a.take(doc); err != nil {
		return nil, err
	}
	if err := s.putAPI(c.Context(), a); err != nil {
		return nil, err
	}
	w := a.wire(tagsOf(a.Tags))
	w.Warnings = doc.Warnings
	return w, nil
}

// importParameters reads the parameters of an import, which stand in the query. It gives the
// endpoint type, "" for none.
func (c *call) importParameters() (endpointType string, err error) {
	for name, values := range c.URL.Query() {
		v := values[0]
		switch {
		case name == "mode" || name == "failonwarnings":
		case name == "endpointConfigurationTypes" && (v == "EDGE" || v == "REGIONAL"):
			endpointType = v
		case name == "basepath" && v == "ignore", name == "ignore" && v == "documentation":
		default:
			return "", unsupported("the import parameter " + clip(name) + "=" + clip(v))
		}
	}
	return endpointType, nil
}

// importDocument reads the document of a call.
func (c *call) importDocument() (*openapi.Document, error) {
	body, err := c.body(maxImport)
	if err != nil {
		return nil, err
	}
	doc, err := openapi.Parse(body)
	if err != nil {
		return nil, badRequest("Unable to import the document: %s", err)
	}
	switch {
	case len(doc.Title) > maxName:
		return nil, badRequest("Invalid API name, can be at most %d characters.", maxName)
	case len(doc.BinaryMediaTypes) > maxMediaTypes:
		return nil, badRequest("At most %d binary media types are allowed", maxMediaTypes)
	case len(doc.Warnings) > 0 && c.flag("failonwarnings"):
		return nil, badRequest("Warnings found during import: %s", strings.Join(doc.Warnings, "; "))
	}
	return doc, nil
}

func clipTo(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
