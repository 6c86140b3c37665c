package apigateway

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

const (
	maxURI         = 2048
	minTimeout     = 50 * time.Millisecond
	maxTimeout     = 29 * time.Second
	pathParamTo    = "integration.request.path."
	pathParamFrom  = "method.request.path."
	responseHeader = "method.response.header."
)

const badEndpoint = "Invalid HTTP endpoint specified for URI"

var (
	stageVariable = regexp.MustCompile(`\$\{stageVariables\.([a-zA-Z0-9_]+)\}`)
	uriVariable   = regexp.MustCompile(`\{([^{}]+?)\+?\}`)
)

// checked fills in an integration's defaults and refuses settings that stagelog does not support, so
// that a deployed integration behaves as configured.
func (in *integration) checked(resourceID string) error {
	switch in.Type {
	case HTTPProxy:
		if err := in.checkProxy(); err != nil {
			return err
		}
	case Mock:
		if err := in.checkMock(); err != nil {
			return err
		}
	case "HTTP", "AWS", "AWS_PROXY":
		return unsupported("integrations of type " + string(in.Type) + ": use HTTP_PROXY or MOCK")
	default:
		return invalid(clip(string(in.Type)), "putIntegrationInput.type", "Member must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]")
	}
	in.PassthroughBehavior = cmp.Or(in.PassthroughBehavior, "WHEN_NO_MATCH")
	in.CacheNamespace = cmp.Or(in.CacheNamespace, resourceID)
	in.TimeoutInMillis = cmp.Or(in.TimeoutInMillis, int(maxTimeout/time.Millisecond))
	if t := time.Duration(in.TimeoutInMillis) * time.Millisecond; t < minTimeout || t > maxTimeout {
		return badRequest("Timeout should be between 50 ms and 29000 ms")
	}
	if in.CacheKeyParameters == nil {
		in.CacheKeyParameters = []string{}
	}
	return nil
}

func (in *integration) checkProxy() error {
	if in.HTTPMethod == "" {
		return badRequest("Enumeration value for HttpMethod must be non-empty")
	}
	if !validMethod(in.HTTPMethod) {
		return badRequest(badMethod)
	}
	if !validEndpoint(in.URI) {
		return badRequest(badEndpoint)
	}
	if in.ConnectionType = cmp.Or(in.ConnectionType, "INTERNET"); in.ConnectionType != "INTERNET" {
		return unsupported("the connection type " + clip(in.ConnectionType))
	}
	if len(in.RequestTemplates) > 0 {
		return unsupported("request templates of an HTTP_PROXY integration")
	}
	for to, from := range in.RequestParameters {
		if !strings.HasPrefix(to, pathParamTo) || !strings.HasPrefix(from, pathParamFrom) {
			return unsupported("the parameter mapping " + clip(to) + " = " + clip(from) + ": only integration.request.path.NAME = method.request.path.NAME is")
		}
	}
	return nil
}

func (in *integration) checkMock() error {
	if len(in.RequestParameters) > 0 {
		return unsupported("parameter mappings of a MOCK integration")
	}
	if _, err := in.mockStatus(); err != nil {
		return err
	}
	for _, r := range in.Responses {
		if err := r.checked(); err != nil {
			return err
		}
	}
	return nil
}

// checked refuses responses that need a template engine.
func (r integrationResponse) checked() error {
	for name, value := range r.ResponseParameters {
		if !strings.HasPrefix(name, responseHeader) || !isConstant(value) {
			return unsupported("the response parameter " + clip(name) + ": only constant headers, in single quotes, are")
		}
	}
	for _, t := range r.ResponseTemplates {
		if strings.ContainsAny(t, "$#") {
			return unsupported("response templates other than constant text")
		}
	}
	return nil
}

func isConstant(value string) bool {
	return len(value) >= 2 && strings.HasPrefix(value, "'") && strings.HasSuffix(value, "'")
}

func validEndpoint(uri string) bool {
	if uri == "" || len(uri) > maxURI {
		return false
	}
	if stageVariable.MatchString(uri) {
		return true // the address depends on the stage
	}
	u, err := url.Parse(uriVariable.ReplaceAllString(uri, "x"))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// mockStatus returns the statusCode in the request template of a MOCK integration.
func (in *integration) mockStatus() (int, error) {
	t, ok := in.RequestTemplates["application/json"]
	if !ok {
		return 200, nil
	}
	var answer struct {
		StatusCode int `json:"statusCode"`
	}
	if json.Unmarshal([]byte(t), &answer) != nil || answer.StatusCode < 100 || answer.StatusCode > 599 {
		return 0, unsupported(`request templates of a MOCK integration other than {"statusCode": N}`)
	}
	return answer.StatusCode, nil
}

// view returns the integration for a stage with these variables.
func (in *integration) view(variables map[string]string) Integration {
	v := Integration{Type: in.Type, HTTPMethod: in.HTTPMethod, Timeout: time.Duration(in.TimeoutInMillis) * time.Millisecond}
	if in.Type == Mock {
		v.Mock = in.mockAnswer()
		return v
	}
	v.URI = stageVariable.ReplaceAllStringFunc(in.URI, func(ref string) string {
		return variables[stageVariable.FindStringSubmatch(ref)[1]]
	})
	v.Params = map[string]string{}
	for _, m := range uriVariable.FindAllStringSubmatch(v.URI, -1) {
		v.Params[m[1]] = m[1]
	}
	for to, from := range in.RequestParameters {
		v.Params[strings.TrimPrefix(to, pathParamTo)] = strings.TrimPrefix(from, pathParamFrom)
	}
	return v
}

// mockAnswer returns the response whose pattern matches the status in the template, else the one
// without a pattern, else only the status.
func (in *integration) mockAnswer() MockAnswer {
	status, _ := in.mockStatus() // checked when it was put
	answer := MockAnswer{Status: status}
	var chosen *integrationResponse
	for _, code := range slices.Sorted(maps.Keys(in.Responses)) {
		r := in.Responses[code]
		if r.SelectionPattern == "" && chosen == nil || r.SelectionPattern == strconv.Itoa(status) {
			chosen = &r
		}
	}
	if chosen == nil {
		return answer
	}
	if n, err := strconv.Atoi(chosen.StatusCode); err == nil {
		answer.Status = n
	}
	answer.Headers = map[string]string{}
	for name, value := range chosen.ResponseParameters {
		answer.Headers[strings.TrimPrefix(name, responseHeader)] = value[1 : len(value)-1]
	}
	for contentType, body := range chosen.ResponseTemplates {
		if body != "" && (answer.Body == "" || contentType == "application/json") {
			answer.Body, answer.Headers["Content-Type"] = body, contentType
		}
	}
	return answer
}

func badStatus(code string) *wire.Error {
	return invalid(clip(code), "statusCode", `Member must satisfy regular expression pattern: [1-5]\d\d`)
}

func unknownStatus() *wire.Error { return notFound("Invalid Response status code specified") }

func methodResponses(m *method) map[string]methodResponse { return m.Responses }

func integrationResponses(m *method) map[string]integrationResponse { return m.Integration.Responses }

// getResponse returns the handler that reads one of the responses of the method that find returns.
func getResponse[R any](find func(*call) (at, error), responses func(*method) map[string]R) handler {
	return func(c *call) (any, error) {
		p, err := find(c)
		if err != nil {
			return nil, err
		}
		resp, ok := responses(p.m)[c.PathValue("status")]
		if !ok {
			return nil, unknownStatus()
		}
		return resp, nil
	}
}

// deleteResponse returns the handler that deletes one of the responses of the method that find returns.
func deleteResponse[R any](s *Service, find func(*call) (at, error), responses func(*method) map[string]R) handler {
	return func(c *call) (any, error) {
		_, err := s.change(c, find, func(_ at, m *method) error {
			if _, ok := responses(m)[c.PathValue("status")]; !ok {
				return unknownStatus()
			}
			delete(responses(m), c.PathValue("status"))
			return nil
		})
		return nil, err
	}
}

func (s *Service) putMethodResponse(c *call) (any, error) {
	code := c.PathValue("status")
	var in struct {
		ResponseParameters map[string]bool   `json:"responseParameters"`
		ResponseModels     map[string]string `json:"responseModels"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if !statusCode.MatchString(code) {
		return nil, badStatus(code)
	}
	resp := methodResponse{StatusCode: code, ResponseParameters: in.ResponseParameters, ResponseModels: in.ResponseModels}
	_, err := s.change(c, s.method, func(_ at, m *method) error {
		if _, ok := m.Responses[code]; ok {
			return conflict("Response already exists for this resource")
		}
		put(&m.Responses, code, resp)
		return nil
	})
	return resp, err
}

func (s *Service) putIntegrationResponse(c *call) (any, error) {
	code := c.PathValue("status")
	var in struct {
		SelectionPattern   string            `json:"selectionPattern"`
		ResponseParameters map[string]string `json:"responseParameters"`
		ResponseTemplates  map[string]string `json:"responseTemplates"`
		ContentHandling    string            `json:"contentHandling"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.ContentHandling != "" {
		return nil, unsupported("contentHandling")
	}
	if !statusCode.MatchString(code) {
		return nil, badStatus(code)
	}
	resp := integrationResponse{StatusCode: code, SelectionPattern: in.SelectionPattern,
		ResponseParameters: in.ResponseParameters, ResponseTemplates: in.ResponseTemplates}
	_, err := s.change(c, s.integrated, func(_ at, m *method) error {
		if m.Integration.Type != Mock {
			return unsupported("integration responses of type " + string(m.Integration.Type) + ": a proxy returns the upstream's response unchanged")
		}
		put(&m.Integration.Responses, code, resp)
		return resp.checked()
	})
	return resp, err
}
