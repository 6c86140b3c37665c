package openapi

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

func integrationOf(in object) (*Integration, error) {
	out := &Integration{Responses: map[string]Response{}}
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
				return nil, fmt.Errorf("timeoutInMillis is not a number")
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
		return nil, fmt.Errorf("the integration has no type")
	}
	return out, nil
}

func (in *Integration) responses(v any) error {
	all, ok := v.(object)
	if !ok {
		return fmt.Errorf("responses is not an object")
	}
	for pattern, e := range all {
		o, ok := e.(object)
		if !ok {
			return fmt.Errorf("response %.100q is not an object", pattern)
		}
		r := Response{StatusCode: text(o["statusCode"])}
		if len(r.StatusCode) != 3 || r.StatusCode[0] < '1' || r.StatusCode[0] > '5' || strings.Trim(r.StatusCode[1:], "0123456789") != "" {
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

// text is a scalar as it was written, "" for anything else.
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

// texts is an object of scalars; a template may also be written out as JSON.
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
				return nil, fmt.Errorf("%s does not encode", name)
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
