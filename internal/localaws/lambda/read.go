package lambda

import (
	"net/http"
	"strconv"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

func (s *Service) getFunction(w http.ResponseWriter, r *request) *wire.Error {
	doc, builtin, apiErr := s.find(r.name)
	if apiErr != nil {
		return apiErr
	}
	// AWS also returns a link to the code.
	code := map[string]string{"RepositoryType": "S3"}
	if builtin {
		code["RepositoryType"] = "builtin"
	}
	answer := map[string]any{"Configuration": s.configuration(&doc), "Code": code}
	if len(doc.Tags) > 0 {
		answer["Tags"] = doc.Tags
	}
	wire.WriteJSON(w, wire.RESTJSON, http.StatusOK, answer)
	return nil
}

func (s *Service) getConfiguration(w http.ResponseWriter, r *request) *wire.Error {
	doc, _, apiErr := s.find(r.name)
	if apiErr != nil {
		return apiErr
	}
	wire.WriteJSON(w, wire.RESTJSON, http.StatusOK, s.configuration(&doc))
	return nil
}

// maxPage is the maximum page size of ListFunctions, also for larger values of MaxItems (AWS: 50).
const maxPage = 50

func (s *Service) listFunctions(w http.ResponseWriter, r *request) *wire.Error {
	q := r.URL.Query()
	items := maxPage
	if v := q.Get("MaxItems"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 10_000 {
			return validation(v, "maxItems", "Member must have value between 1 and 10000")
		}
		items = min(n, maxPage)
	}
	names, next := wire.Page(s.names(), q.Get("Marker"), items)
	answer := struct {
		NextMarker *string
		Functions  []configuration
	}{Functions: []configuration{}}
	if next != "" {
		answer.NextMarker = &next
	}
	for _, name := range names {
		if doc, _, apiErr := s.find(name); apiErr == nil { // else it was deleted meanwhile
			answer.Functions = append(answer.Functions, s.configuration(&doc))
		}
	}
	wire.WriteJSON(w, wire.RESTJSON, http.StatusOK, answer)
	return nil
}
