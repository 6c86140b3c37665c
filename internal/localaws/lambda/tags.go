package lambda

import (
	"encoding/json"
	"maps"
	"net/http"
	"unicode/utf8"
)

// Limits of tags (AWS).
const (
	maxTags          = 50
	maxTagKeyRunes   = 128
	maxTagValueRunes = 256
)

func checkTags(tags map[string]string) *apiError {
	if len(tags) > maxTags {
		return invalid("A function may have %d tags.", maxTags)
	}
	for key, value := range tags {
		if n := utf8.RuneCountInString(key); n < 1 || n > maxTagKeyRunes || utf8.RuneCountInString(value) > maxTagValueRunes {
			return invalid("A tag's key has 1 to %d characters, its value at most %d.", maxTagKeyRunes, maxTagValueRunes)
		}
	}
	return nil
}

func (s *Service) listTags(w http.ResponseWriter, r *request) *apiError {
	doc, _, apiErr := s.find(r.name)
	if apiErr != nil {
		return apiErr
	}
	tags := doc.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"Tags": tags})
	return nil
}

func (s *Service) tagResource(w http.ResponseWriter, r *request) *apiError {
	var in struct{ Tags map[string]string }
	if err := json.Unmarshal(r.body, &in); err != nil {
		return badContent("Could not parse request body into json.")
	}
	return s.annotate(r, "", func(doc *document) *apiError {
		tags := maps.Clone(doc.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, in.Tags)
		doc.Tags = tags
		return checkTags(tags)
	}, func() { w.WriteHeader(http.StatusNoContent) })
}

func (s *Service) untagResource(w http.ResponseWriter, r *request) *apiError {
	return s.annotate(r, "", func(doc *document) *apiError {
		doc.Tags = maps.Clone(doc.Tags)
		for _, key := range r.URL.Query()["tagKeys"] {
			delete(doc.Tags, key)
		}
		return nil
	}, func() { w.WriteHeader(http.StatusNoContent) })
}
