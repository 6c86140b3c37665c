package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Integration holds x-amazon-apigateway-integration with its members unchanged.
type Integration struct {
	Type                string
	HTTPMethod          string
	URI                 string
	ConnectionType      string
	PassthroughBehavior string
	TimeoutInMillis     int
	RequestParameters   map[string]string
	RequestTemplates    map[string]string
	Responses           map[string]IntegrationResponse // by selection pattern, "default" for none
}

// IntegrationResponse is one of an integration's responses.
type IntegrationResponse struct {
	StatusCode         string
	ResponseParameters map[string]string
	ResponseTemplates  map[string]string
}

func integrationOf(in object) (*Integration, error) {
	out := &Integration{Responses: map[string]IntegrationResponse{}}
	var err error
	for name, v := range in {
		switch name {
		case "type":
			out.Type = text(v)
		case "httpMethod":
			out.HTTPMethod = text(v)
			if strings.EqualFold(out.HTTPMethod, anyMethod) {
				out.HTTPMethod = "ANY"
			}
		case "uri":
			out.URI = text(v)
		case "connectionType":
			out.ConnectionType = strings.ToUpper(text(v))
		case "passthroughBehavior":
			out.PassthroughBehavior = text(v)
		case "timeoutInMillis":
			if out.TimeoutInMillis, err = strconv.Atoi(text(v)); err != nil {
				return nil, errors.New("timeoutInMillis is not a number")
			}
		case "requestParameters":
			out.RequestParameters, err = texts(name, v)
		case "requestTemplates":
			out.RequestTemplates, err = texts(name, v)
		case "responses":
			err = out.responses(v)
		case "payloadFormatVersion", "cacheNamespace":
		default:
			return nil, fmt.Errorf("integration member %.100q is not supported", name)
		}
		if err != nil {
			return nil, err
		}
	}
	if out.Type == "" {
		return nil, errors.New("the integration has no type")
	}
	return out, nil
}

func (in *Integration) responses(v any) error {
	all, ok := v.(object)
	if !ok {
		return errors.New("responses is not an object")
	}
	for pattern, e := range all {
		o, ok := e.(object)
		if !ok {
			return fmt.Errorf("response %.100q is not an object", pattern)
		}
		r := IntegrationResponse{StatusCode: text(o["statusCode"])}
		if !validStatus(r.StatusCode) {
			return fmt.Errorf("response %.100q has no valid statusCode", pattern)
		}
		var err error
		if r.ResponseParameters, err = texts("responseParameters", o["responseParameters"]); err != nil {
			return err
		}
		if r.ResponseTemplates, err = texts("responseTemplates", o["responseTemplates"]); err != nil {
			return err
		}
		in.Responses[pattern] = r
	}
	return nil
}

// text returns a scalar as written, or "" for any other value.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	}
	return ""
}

// texts reads an object of scalars. A template may also be an object or list, which is encoded as JSON.
func texts(name string, v any) (map[string]string, error) {
	if v == nil {
		return nil, nil
	}
	o, ok := v.(object)
	if !ok {
		return nil, fmt.Errorf("%s is not an object", name)
	}
	out := make(map[string]string, len(o))
	for k, e := range o {
		switch e.(type) {
		case nil:
		case object, []any:
			data, err := json.Marshal(e)
			if err != nil {
				return nil, fmt.Errorf("%s cannot be encoded as JSON", name)
			}
			out[k] = string(data)
		default:
			out[k] = text(e)
		}
	}
	return out, nil
}

func sub(o object, name string) object {
	s, _ := o[name].(object)
	return s
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
