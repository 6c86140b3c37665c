package apigateway

func badStatus(code string) *Error {
	return invalid(clip(code), "statusCode", `Member must satisfy regular expression pattern: [1-5]\d\d`)
}

func unknownStatus() *Error { return notFound("Invalid Response status code specified") }

func (s *Service) putMethodResponse(c *call) (any, error) {
	code := c.PathValue("status")
	resp := methodResponse{StatusCode: code}
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
	resp.ResponseParameters, resp.ResponseModels = in.ResponseParameters, in.ResponseModels
	_, err := s.change(c, s.method, func(_ at, m *method) error {
		if _, ok := m.Responses[code]; ok {
			return conflict("Response already exists for this resource")
		}
		if m.Responses == nil {
			m.Responses = map[string]methodResponse{}
		}
		m.Responses[code] = resp
		return nil
	})
	return resp, err
}

func (s *Service) getMethodResponse(c *call) (any, error) {
	p, err := s.method(c)
	if err != nil {
		return nil, err
	}
	resp, ok := p.m.Responses[c.PathValue("status")]
	if !ok {
		return nil, unknownStatus()
	}
	return resp, nil
}

func (s *Service) deleteMethodResponse(c *call) (any, error) {
	_, err := s.change(c, s.method, func(_ at, m *method) error {
		if _, ok := m.Responses[c.PathValue("status")]; !ok {
			return unknownStatus()
		}
		delete(m.Responses, c.PathValue("status"))
		return nil
	})
	return nil, err
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
			return unsupported("integration responses of type " + string(m.Integration.Type) + ": a proxy passes the upstream's answer on")
		}
		if m.Integration.Responses == nil {
			m.Integration.Responses = map[string]integrationResponse{}
		}
		m.Integration.Responses[code] = resp
		return resp.checked()
	})
	return resp, err
}

func (s *Service) getIntegrationResponse(c *call) (any, error) {
	p, err := s.integrated(c)
	if err != nil {
		return nil, err
	}
	resp, ok := p.m.Integration.Responses[c.PathValue("status")]
	if !ok {
		return nil, unknownStatus()
	}
	return resp, nil
}

func (s *Service) deleteIntegrationResponse(c *call) (any, error) {
	_, err := s.change(c, s.integrated, func(_ at, m *method) error {
		if _, ok := m.Integration.Responses[c.PathValue("status")]; !ok {
			return unknownStatus()
		}
		delete(m.Integration.Responses, c.PathValue("status"))
		return nil
	})
	return nil, err
}
