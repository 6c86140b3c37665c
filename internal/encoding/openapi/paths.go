package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

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
	o := Operation{Method: method, OperationID: text(op["operationId"]), PathParameters: pathParameters(path, op), Responses: r.responses(op)}
	for _, name := range []string{"x-amazon-apigateway-request-validator", "x-amazon-apigateway-auth"} {
		if _, ok := op[name]; !ok {
			continue
		}
		if err := r.unsupported("%s is not supported", name); err != nil {
			return o, err
		}
	}
	if err := r.applySecurity(&o, op); err != nil {
		return o, err
	}
	raw, ok := op["x-amazon-apigateway-integration"]
	if !ok || r.routesOnly {
		return o, nil
	}
	in, isObject := raw.(object)
	if !isObject {
		return o, errors.New("x-amazon-apigateway-integration is not an object")
	}
	var err error
	o.Integration, err = integrationOf(in)
	return o, err
}

// pathParameters returns the path parameters, all of them required.
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

// responses returns the responses of an operation with a numeric status: API Gateway has no method
// response for "default" and "4XX".
func (r *reader) responses(op object) map[string]Response {
	var out map[string]Response
	for status, v := range sub(op, "responses") {
		o, ok := v.(object)
		if !ok || !validStatus(status) {
			continue
		}
		resp := Response{Headers: slices.Sorted(maps.Keys(sub(o, "headers")))}
		models := map[string]string{}
		for mediaType := range sub(o, "content") {
			addModel(models, mediaType, sub(sub(o, "content"), mediaType))
		}
		for _, mediaType := range r.mediaTypes(op) {
			addModel(models, mediaType, o)
		}
		if len(models) > 0 {
			resp.Models = models
		}
		if out == nil {
			out = map[string]Response{}
		}
		out[status] = resp
	}
	return out
}

// mediaTypes returns the media types that an operation of OpenAPI 2.0 produces.
func (r *reader) mediaTypes(op object) []string {
	produces := r.produces
	if own, ok := op["produces"]; ok {
		produces = list(own)
	}
	var out []string
	for _, t := range produces {
		out = append(out, text(t))
	}
	if len(out) == 0 {
		out = []string{"application/json"}
	}
	return out
}

// addModel adds the name of the response's schema, if it has one.
func addModel(models map[string]string, mediaType string, of object) {
	if ref := text(sub(of, "schema")["$ref"]); ref != "" {
		models[mediaType] = ref[strings.LastIndexByte(ref, '/')+1:]
	}
}

func validStatus(s string) bool {
	return len(s) == 3 && s[0] >= '1' && s[0] <= '5' && strings.Trim(s[1:], "0123456789") == ""
}
