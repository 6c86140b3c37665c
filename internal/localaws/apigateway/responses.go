package apigateway

import "github.com/stagelog/stagelog/internal/localaws/wire"

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
