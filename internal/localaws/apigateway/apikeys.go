package apigateway

import (
	"cmp"
	"context"
	"net/http"
	"strings"
)

const (
	maxKeys        = 10_000 // AWS's quota per account and Region
	minValue       = 20
	maxValue       = 128
	maxKeyText     = 2048 // the description
	maxCustomerID  = 1024
	planKeyType    = "API_KEY"
	maxPlansPerKey = 10 // AWS's quota
)

func (s *Service) keyOperations() []operation {
	return []operation{
		{"POST /apikeys", http.StatusCreated, s.writing(s.createAPIKey)},
		{"GET /apikeys", http.StatusOK, s.reading(s.getAPIKeys)},
		{"GET /apikeys/{key}", http.StatusOK, s.reading(s.getAPIKey)},
		{"PATCH /apikeys/{key}", http.StatusOK, s.writing(patch(s.keyOf, update[apiKey]{
			"updateApiKeyInput", clone[apiKey], (*apiKey).patch, func(_, k *apiKey) error { k.Updated = s.now(); return nil }, s.putKey}, (*apiKey).fullWire))},
		{"DELETE /apikeys/{key}", http.StatusAccepted, s.writing(remove(s.keyOf, s.dropKey))},
	}
}

// apiKeyWire is AWS's ApiKey. Value is set only in the responses in which AWS returns it.
type apiKeyWire struct {
	ID              string             `json:"id"`
	Value           string             `json:"value,omitempty"`
	Name            string             `json:"name,omitempty"`
	CustomerID      string             `json:"customerId,omitempty"`
	Description     string             `json:"description,omitempty"`
	Enabled         bool               `json:"enabled"`
	CreatedDate     epoch              `json:"createdDate"`
	LastUpdatedDate epoch              `json:"lastUpdatedDate"`
	StageKeys       []string           `json:"stageKeys"`
	Tags            *map[string]string `json:"tags,omitempty"`
}

func (k *apiKey) wire(withValue bool, tags *map[string]string) apiKeyWire {
	w := apiKeyWire{
		ID: k.ID, Name: k.Name, CustomerID: k.CustomerID, Description: k.Description, Enabled: k.Enabled,
		CreatedDate: epoch(k.Created), LastUpdatedDate: epoch(k.Updated), StageKeys: []string{}, Tags: tags,
	}
	if withValue {
		w.Value = k.Value
	}
	return w
}

func (k *apiKey) createdWire() apiKeyWire { return k.wire(true, tagsIfAny(k.Tags)) }
func (k *apiKey) fullWire() apiKeyWire    { return k.wire(false, tagsOf(k.Tags)) }

type apiKeyInput struct {
	Name               string            `json:"name"`
	Description        string            `json:"description"`
	Enabled            bool              `json:"enabled"`
	GenerateDistinctID bool              `json:"generateDistinctId"`
	Value              string            `json:"value"`
	StageKeys          []struct{}        `json:"stageKeys"`
	CustomerID         string            `json:"customerId"`
	Tags               map[string]string `json:"tags"`
}

func (s *Service) createAPIKey(c *call) (any, error) {
	if c.query("mode") != "" {
		return nil, unsupported("ImportApiKeys")
	}
	var in apiKeyInput
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if len(in.StageKeys) > 0 {
		return nil, unsupported("stageKeys, which usage plans have replaced")
	}
	k, err := s.newAPIKey(in, "")
	if err != nil {
		return nil, err
	}
	return answer(k, s.putKey(c.Context(), k), (*apiKey).createdWire)
}

// newAPIKey checks the input and returns a key that is not stored yet; id "" generates one.
// The caller holds mu.
func (s *Service) newAPIKey(in apiKeyInput, id string) (*apiKey, error) {
	in.Value = cmp.Or(in.Value, newValue())
	switch {
	case len(in.Value) < minValue:
		return nil, badRequest("API Key value should be at least %d characters", minValue)
	case len(in.Value) > maxValue:
		return nil, badRequest("API Key value exceeds maximum size of %d characters", maxValue)
	case strings.ContainsFunc(in.Value, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, badRequest("API Key value can only hold printable ASCII characters without spaces")
	case len(s.keys) >= maxKeys:
		return nil, limitExceeded("Maximum number of API Keys for this account has been reached")
	}
	if _, taken := s.keyByHash[hashValue(in.Value)]; taken {
		return nil, conflict("API Key already exists")
	}
	now := s.now()
	k := &apiKey{
		ID: cmp.Or(id, newID()), Value: in.Value, Name: in.Name, CustomerID: in.CustomerID, Description: in.Description,
		Enabled: in.Enabled, Created: now, Updated: now, Tags: in.Tags,
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	return k, checkTags(in.Tags)
}

func (k *apiKey) check() error {
	switch {
	case hasControl(k.Name):
		return badRequest("Invalid API Key name: it contains a control character or is not UTF-8.")
	case len(k.Name) > maxName:
		return badRequest("Invalid API Key name, can be at most %d characters.", maxName)
	case len(k.Description) > maxKeyText:
		return badRequest("Invalid API Key description specified.")
	case len(k.CustomerID) > maxCustomerID:
		return badRequest("Invalid API Key customerId specified.")
	}
	return nil
}

// putKey stores a key and makes it visible. The caller holds mu.
func (s *Service) putKey(ctx context.Context, k *apiKey) error {
	if err := s.save(ctx, docKey(kindKey, k.ID), k); err != nil {
		return err
	}
	s.keys[k.ID] = k
	s.keyByHash[hashValue(k.Value)] = k.ID
	s.showKey(k)
	return nil
}

// key finds a key. The caller holds mu.
func (s *Service) key(id string) (*apiKey, error) {
	if k := s.keys[id]; k != nil {
		return k, nil
	}
	return nil, notFound("Invalid API Key identifier specified")
}

func (s *Service) keyOf(c *call) (*apiKey, error) { return s.key(c.PathValue("key")) }

func (s *Service) getAPIKeys(c *call) (any, error) {
	prefix, customer := c.query("name"), c.query("customerId")
	var all []*apiKey
	for _, k := range s.keys {
		if strings.HasPrefix(k.Name, prefix) && (customer == "" || k.CustomerID == customer) {
			all = append(all, k)
		}
	}
	withValues := c.flag("includeValues")
	return pageOf(c, all, (*apiKey).order, func(k *apiKey) apiKeyWire { return k.wire(withValues, tagsIfAny(k.Tags)) })
}

func (s *Service) getAPIKey(c *call) (any, error) {
	k, err := s.keyOf(c)
	return answer(k, err, func(k *apiKey) apiKeyWire { return k.wire(c.flag("includeValue"), tagsOf(k.Tags)) })
}

func (k *apiKey) patch(op patchOp) error {
	paths := allowed{"replace": {"/description", "/enabled", "/name", "/customerId"}}
	if !paths.has(op) {
		return paths.refuse(op)
	}
	switch op.Path {
	case "/description":
		k.Description = op.value()
	case "/enabled":
		k.Enabled = strings.EqualFold(op.value(), "true") // anything else is false, as recorded
	case "/name":
		k.Name = op.value()
	case "/customerId":
		k.CustomerID = op.value()
	}
	return k.check()
}

// dropKey deletes a key and removes it from its plans. The caller holds mu.
func (s *Service) dropKey(ctx context.Context, k *apiKey) error {
	if err := s.erase(ctx, docKey(kindKey, k.ID)); err != nil {
		return err
	}
	s.hideKey(k)
	delete(s.keys, k.ID)
	delete(s.keyByHash, hashValue(k.Value))
	for planID := range s.members {
		if s.members[planID][k.ID] == nil {
			continue
		}
		if err := s.dropMember(ctx, planID, k.ID); err != nil {
			return err
		}
	}
	return nil
}
