package lambda

import (
	"maps"
	"net/http"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

func checkTags(tags map[string]string) *wire.Error {
	if len(tags) > wire.MaxTags {
		return invalid("A function can have at most %d tags.", wire.MaxTags)
	}
	for key, value := range tags {
		if !wire.ValidTag(key, value) {
			return invalid("A tag's key must have 1 to %d characters, its value at most %d.", wire.MaxTagKey, wire.MaxTagValue)
		}
	}
	return nil
}

func (s *Service) listTags(w http.ResponseWriter, r *request) *wire.Error {
	doc, _, apiErr := s.find(r.name)
	if apiErr != nil {
		return apiErr
	}
	tags := doc.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	wire.WriteJSON(w, wire.RESTJSON, http.StatusOK, map[string]any{"Tags": tags})
	return nil
}

func (s *Service) tagResource(w http.ResponseWriter, r *request) *wire.Error {
	var in struct{ Tags map[string]string }
	if apiErr := r.decode(&in); apiErr != nil {
		return apiErr
	}
	return s.annotate(r, "", func(doc *document) *wire.Error {
		tags := maps.Clone(doc.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, in.Tags)
		doc.Tags = tags
		return checkTags(tags)
	}, func() { w.WriteHeader(http.StatusNoContent) })
}

func (s *Service) untagResource(w http.ResponseWriter, r *request) *wire.Error {
	return s.annotate(r, "", func(doc *document) *wire.Error {
		doc.Tags = maps.Clone(doc.Tags)
		for _, key := range r.URL.Query()["tagKeys"] {
			delete(doc.Tags, key)
		}
		return nil
	}, func() { w.WriteHeader(http.StatusNoContent) })
}
