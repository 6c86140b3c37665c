// Package openapi reads the part of an OpenAPI 2.0 or 3.0 document, JSON or YAML, that makes
// a REST API of API Gateway: paths, methods, which of them need an API key, and their
// x-amazon-apigateway-integration. What would change how the API behaves and cannot be
// served is an error; what only describes it (schemas, examples, contact) is passed over.
package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Document is what an import takes from an OpenAPI document.
type Document struct {
	Title, Description, Version string
	KeySource                   string // HEADER, AUTHORIZER, or "" when the document does not say
	BinaryMediaTypes            []string
	Paths                       []Path   // in the order of the paths
	Warnings                    []string // what API Gateway does not apply, where that may surprise
}

// Path is one path template and its methods, in the order of the methods.
type Path struct {
	Path       string
	Operations []Operation
}

// Operation is one method of a path.
type Operation struct {
	Method         string // GET, ..., or ANY
	OperationID    string
	APIKeyRequired bool
	PathParameters map[string]bool // "method.request.path.NAME": required
	Integration    *Integration    // nil: none given, the method cannot be deployed
}

// Integration is x-amazon-apigateway-integration, as it stands.
type Integration struct {
	Type                string
	HTTPMethod          string
	URI                 string
	ConnectionType      string
	PassthroughBehavior string
	TimeoutInMillis     int
	RequestParameters   map[string]string
	RequestTemplates    map[string]string
	Responses           map[string]Response // by selection pattern, "default" for none
}

// Response is one of an integration's responses.
type Response struct {
	StatusCode         string
	ResponseParameters map[string]string
	ResponseTemplates  map[string]string
}

// maxPaths is API Gateway's quota of resources per API.
const maxPaths = 300

// Parse reads a document. The error says what is wrong or not supported, and where.
func Parse(data []byte) (*Document, error) {
	root, err := decode(data)
	if err != nil {
		return nil, err
	}
	r := reader{schemes: map[string]bool{}}
	return r.document(root)
}

type reader struct {
	schemes map[string]bool // security schemes; true: an API key in x-api-key
}

func (r *reader) document(root object) (*Document, error) {
	swagger, oas := text(root["swagger"]), text(root["openapi"])
	switch {
	case swagger == "2" || swagger == "2.0":
	case oas == "3.0" || strings.HasPrefix(oas, "3.0."):
	case swagger == "" && oas == "":
		return nil, errors.New(`neither "swagger" nor "openapi" says which version the document is`)
	default:
		return nil, fmt.Errorf("version %.20q is not supported: 2.0 and 3.0.x are", swagger+oas)
	}
	for _, name := range []string{"x-amazon-apigateway-policy", "x-amazon-apigateway-gateway-responses",
		"x-amazon-apigateway-request-validator", "x-amazon-apigateway-minimum-compression-size"} {
		if _, ok := root[name]; ok {
			return nil, fmt.Errorf("%s is not supported", name)
		}
	}
	info := sub(root, "info")
	d := &Document{Title: text(info["title"]), Description: text(info["description"]), Version: text(info["version"])}
	if d.Title == "" {
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
	if len(list(root["security"])) > 0 {
		d.Warnings = append(d.Warnings, "security at the top of the document is not applied: give each operation its own")
	}
	var err error
	if d.Paths, err = r.paths(sub(root, "paths")); err != nil {
		return nil, err
	}
	return d, nil
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

func (r *reader) paths(paths object) ([]Path, error) {
	if len(paths) > maxPaths {
		return nil, fmt.Errorf("more than %d paths", maxPaths)
	}
	var out []Path
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if strings.HasPrefix(name, "x-") {
			continue
		}
		if !strings.HasPrefix(name, "/") {
			return nil, fmt.Errorf("path %.100q does not start with a slash", name)
		}
		item, ok := paths[name].(object)
		if !ok {
			return nil, fmt.Errorf("path %.100q is not an object", name)
		}
		p, err := r.path(name, item)
		if err != nil {
			return nil, fmt.Errorf("path %.100q: %w", name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

const anyMethod = "x-amazon-apigateway-any-method"

func (r *reader) path(name string, item object) (Path, error) {
	p := Path{Path: name}
	shared := pathParameters(name, item)
	for _, field := range slices.Sorted(maps.Keys(item)) {
		method := strings.ToUpper(field)
		switch field {
		case "get", "put", "post", "delete", "options", "head", "patch":
		case anyMethod:
			method = "ANY"
		case "parameters", "summary", "description", "servers":
			continue
		default:
			if strings.HasPrefix(field, "x-") {
				continue
			}
			return p, fmt.Errorf("%.100q is not supported", field)
		}
		op, ok := item[field].(object)
		if !ok {
			return p, fmt.Errorf("%s is not an object", field)
		}
		o, err := r.operation(name, method, op)
		if err != nil {
			return p, fmt.Errorf("%s: %w", field, err)
		}
		maps.Copy(o.PathParameters, shared)
		p.Operations = append(p.Operations, o)
	}
	return p, nil
}

func (r *reader) operation(path, method string, op object) (Operation, error) {
	o := Operation{Method: method, OperationID: text(op["operationId"]), PathParameters: pathParameters(path, op)}
	if _, ok := op["x-amazon-apigateway-request-validator"]; ok {
		return o, errors.New("x-amazon-apigateway-request-validator is not supported")
	}
	if _, ok := op["x-amazon-apigateway-auth"]; ok {
		return o, errors.New("x-amazon-apigateway-auth is not supported")
	}
	// Only the operation's own security counts: API Gateway passes over the document's.
	for _, alternative := range list(op["security"]) {
		names, _ := alternative.(object)
		for name := range names {
			isKey, known := r.schemes[name]
			switch {
			case isKey:
				o.APIKeyRequired = true
			case !known:
				return o, fmt.Errorf("security scheme %.100q is not defined", name)
			default:
				return o, fmt.Errorf("security scheme %.100q is not supported: only an API key in the header x-api-key is", name)
			}
		}
	}
	if raw, ok := op["x-amazon-apigateway-integration"]; ok {
		in, isObject := raw.(object)
		if !isObject {
			return o, errors.New("x-amazon-apigateway-integration is not an object")
		}
		var err error
		o.Integration, err = integrationOf(in)
		return o, err
	}
	return o, nil
}

// pathParameters is the parameters that are part of the path, each required.
func pathParameters(path string, of object) map[string]bool {
	out := map[string]bool{}
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			out["method.request.path."+strings.TrimSuffix(strings.TrimSuffix(name, "}"), "+")] = true
		}
	}
	for _, e := range list(of["parameters"]) {
		if p, ok := e.(object); ok && text(p["in"]) == "path" && text(p["name"]) != "" {
			out["method.request.path."+text(p["name"])] = true
		}
	}
	return out
}
