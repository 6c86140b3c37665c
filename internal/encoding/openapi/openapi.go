// Package openapi reads the part of an OpenAPI 2.0 or 3.0 document, JSON or YAML, that defines a REST
// API of API Gateway: paths, methods, whether they require an API key, their responses, and their
// x-amazon-apigateway-integration. It ignores schemas, examples and other descriptions.
package openapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Document holds the imported part of an OpenAPI document.
type Document struct {
	Title, Description, Version string
	KeySource                   string // HEADER, AUTHORIZER, or "" if not set
	BinaryMediaTypes            []string
	Paths                       []Path   // sorted by path
	Warnings                    []string // unsupported features that are ignored; only from ParseRoutes
}

// Path is one path template and its methods, sorted.
type Path struct {
	Path       string
	Operations []Operation
}

// Operation is one method of a path.
type Operation struct {
	Method         string // GET, ..., or ANY
	OperationID    string
	APIKeyRequired bool
	SecurityGiven  bool                // the operation or the document has a security member
	PathParameters map[string]bool     // "method.request.path.NAME": required
	Responses      map[string]Response // by status, 100 to 599
	Integration    *Integration        // nil if missing; the method cannot be deployed then
}

// Response is one response that a method declares.
type Response struct {
	Headers []string          // names, sorted
	Models  map[string]string // schema name by media type
}

// maxPaths is API Gateway's quota of resources per API.
const maxPaths = 300

// Parse reads a document like ImportRestApi. Anything unsupported that would change the API's behavior
// is an error with its location.
func Parse(data []byte) (*Document, error) { return parse(data, false) }

// ParseRoutes reads the routes of a document whose requests all go to one upstream. It ignores
// integrations, and returns API Gateway features other than routing and API keys as warnings.
func ParseRoutes(data []byte) (*Document, error) {
	d, err := parse(data, true)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(d.Paths, func(p Path) bool { return len(p.Operations) > 0 }) {
		return nil, errors.New("the document has no path with an operation")
	}
	if d.KeySource == "AUTHORIZER" {
		d.KeySource = ""
		d.Warnings = append(d.Warnings, "x-amazon-apigateway-api-key-source AUTHORIZER is not supported; API keys are read from the header x-api-key")
	}
	return d, nil
}

func parse(data []byte, routesOnly bool) (*Document, error) {
	root, err := decode(data)
	if err != nil {
		return nil, err
	}
	r := reader{routesOnly: routesOnly, schemes: map[string]bool{}}
	d, err := r.document(root)
	if err != nil {
		return nil, err
	}
	d.Warnings = r.warnings
	return d, nil
}

type reader struct {
	routesOnly bool
	warnings   []string
	schemes    map[string]bool // security schemes; true for an API key in x-api-key
	security   any             // the document's, for operations without their own; nil means none
	produces   []any           // the document's media types (OpenAPI 2.0)
}

// unsupported returns an error, or records it as a warning if only the routes are read.
func (r *reader) unsupported(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if !r.routesOnly {
		return err
	}
	if text := err.Error(); !slices.Contains(r.warnings, text) {
		r.warnings = append(r.warnings, text)
	}
	return nil
}

func (r *reader) document(root object) (*Document, error) {
	if err := checkVersion(text(root["swagger"]), text(root["openapi"])); err != nil {
		return nil, err
	}
	for _, name := range []string{"x-amazon-apigateway-policy", "x-amazon-apigateway-gateway-responses",
		"x-amazon-apigateway-request-validator", "x-amazon-apigateway-minimum-compression-size"} {
		if _, ok := root[name]; !ok {
			continue
		}
		if err := r.unsupported("%s is not supported", name); err != nil {
			return nil, err
		}
	}
	info := sub(root, "info")
	d := &Document{Title: text(info["title"]), Description: text(info["description"]), Version: text(info["version"])}
	if d.Title == "" && !r.routesOnly {
		return nil, errors.New("info.title, the API's name, is missing")
	}
	d.KeySource = strings.ToUpper(text(root["x-amazon-apigateway-api-key-source"]))
	if d.KeySource != "" && d.KeySource != "HEADER" && d.KeySource != "AUTHORIZER" {
		return nil, errors.New("x-amazon-apigateway-api-key-source must be HEADER or AUTHORIZER")
	}
	for _, t := range list(root["x-amazon-apigateway-binary-media-types"]) {
		d.BinaryMediaTypes = append(d.BinaryMediaTypes, text(t))
	}
	r.securitySchemes(root)
	r.security, r.produces = root["security"], list(root["produces"])
	var err error
	d.Paths, err = r.paths(sub(root, "paths"))
	return d, err
}

func checkVersion(swagger, oas string) error {
	switch {
	case swagger == "2", swagger == "2.0":
	case oas == "3.0", strings.HasPrefix(oas, "3.0."):
	case swagger == "" && oas == "":
		return errors.New(`the document has no version in "swagger" or "openapi"`)
	default:
		return fmt.Errorf("version %.20q is not supported; use 2.0 or 3.0.x", swagger+oas)
	}
	return nil
}

func (r *reader) securitySchemes(root object) {
	for _, defs := range []object{sub(root, "securityDefinitions"), sub(sub(root, "components"), "securitySchemes")} {
		for name := range defs {
			s := sub(defs, name)
			_, authorizer := s["x-amazon-apigateway-authorizer"]
			_, authtype := s["x-amazon-apigateway-authtype"]
			r.schemes[name] = text(s["type"]) == "apiKey" && text(s["in"]) == "header" &&
				strings.EqualFold(text(s["name"]), "x-api-key") && !authorizer && !authtype
		}
	}
}

// applySecurity sets whether the operation requires an API key, by its own security or, without one,
// the document's. An empty list requires none.
func (r *reader) applySecurity(o *Operation, op object) error {
	security := r.security
	if own, ok := op["security"]; ok {
		security = own
	}
	if security == nil {
		return nil
	}
	alternatives, ok := security.([]any)
	if !ok {
		return errors.New("security is not a list")
	}
	o.SecurityGiven = true
	for _, alternative := range alternatives {
		names, ok := alternative.(object)
		if !ok {
			return errors.New("security contains something other than an object")
		}
		for name := range names {
			isKey, known := r.schemes[name]
			switch {
			case isKey:
				o.APIKeyRequired = true
				continue
			case !known:
				return fmt.Errorf("security scheme %.100q is not defined", name)
			}
			err := r.unsupported("security scheme %.100q is not supported; use an API key in the header x-api-key", name)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
