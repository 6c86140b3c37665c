package lambda

import (
	"net/http"
	"slices"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

func (s *Service) createFunction(w http.ResponseWriter, r *request) *wire.Error {
	var in struct {
		FunctionName  string
		Code          *codeInput
		Architectures []string
		Tags          map[string]string
		settings
	}
	if apiErr := r.decode(&in); apiErr != nil {
		return apiErr
	}
	name, apiErr := s.resolve(in.FunctionName, "")
	switch {
	case apiErr != nil:
		return apiErr
	case in.Role == nil:
		return validation("null", "role", "Member must not be null")
	case in.Code == nil:
		return validation("null", "code", "Member must not be null")
	case in.Runtime == nil:
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	case in.Handler == nil:
		return invalid("Handler is a mandatory parameter for functions created with deployment packages.")
	}
	if apiErr := unsupported(r.body); apiErr != nil {
		return apiErr
	}
	doc := s.newDocument(name)
	if apiErr := in.apply(&doc); apiErr != nil {
		return apiErr
	}
	if doc.Architecture, apiErr = architecture(in.Architectures, doc.Architecture); apiErr != nil {
		return apiErr
	}
	if apiErr := checkTags(in.Tags); apiErr != nil {
		return apiErr
	}
	doc.Tags = in.Tags
	zipped, apiErr := s.zipOf(r.Context(), in.Code)
	if apiErr != nil {
		return apiErr
	}

	s.writing.Lock()
	defer s.writing.Unlock()
	if _, exists := s.get(name); exists {
		return conflict("Function already exist: %s", name)
	}
	if apiErr := s.putCode(&doc, zipped); apiErr != nil {
		return apiErr
	}
	return s.commit(w, r, http.StatusCreated, doc)
}

func architecture(given []string, current string) (string, *wire.Error) {
	switch {
	case len(given) == 0:
		return current, nil
	case len(given) > 1 || !slices.Contains([]string{"x86_64", "arm64"}, given[0]):
		return "", invalid("Architectures takes one of x86_64 and arm64.")
	}
	return given[0], nil
}

// commit saves doc and responds with its configuration.
func (s *Service) commit(w http.ResponseWriter, r *request, status int, doc document) *wire.Error {
	if refused := s.stored(doc, s.save(r.Context(), doc)); refused != nil {
		return refused
	}
	wire.WriteJSON(w, wire.RESTJSON, status, s.configuration(&doc))
	return nil
}

// stored logs an error of storing doc and returns the response to it.
func (s *Service) stored(doc document, err error) *wire.Error {
	if err == nil {
		return nil
	}
	s.cfg.Logger.Error("function not stored", "function", doc.Name, "error", err)
	return internal("The function could not be stored.")
}

// find returns a copy of a function's document, and whether the function is a builtin.
func (s *Service) find(name string) (doc document, builtin bool, apiErr *wire.Error) {
	d, ok := s.get(name)
	if !ok {
		return document{}, false, notFound("Function not found: %s", s.arn(name))
	}
	return d.doc, d.builtin, nil
}

// editable returns a copy of the document of an uploaded function that has the revision, which may be "".
// builtin is the message for a builtin, with a verb for its name.
func (s *Service) editable(name, revision, builtin string) (document, *wire.Error) {
	doc, isBuiltin, apiErr := s.find(name)
	switch {
	case apiErr != nil:
		return doc, apiErr
	case isBuiltin:
		return doc, invalid(builtin, name)
	case revision != "" && revision != doc.RevisionID:
		return doc, precondition()
	}
	return doc, nil
}

func (s *Service) updateCode(w http.ResponseWriter, r *request) *wire.Error {
	var in struct {
		codeInput
		Architectures []string
		DryRun        bool
		RevisionID    string `json:"RevisionId"`
	}
	if apiErr := r.decode(&in); apiErr != nil {
		return apiErr
	}
	if apiErr := unsupported(r.body); apiErr != nil {
		return apiErr
	}
	if _, _, apiErr := s.find(r.name); apiErr != nil {
		return apiErr
	}
	zipped, apiErr := s.zipOf(r.Context(), &in.codeInput)
	if apiErr != nil {
		return apiErr
	}

	s.writing.Lock()
	defer s.writing.Unlock()
	doc, _, apiErr := s.find(r.name)
	switch {
	case apiErr != nil:
		return apiErr
	case in.RevisionID != "" && in.RevisionID != doc.RevisionID:
		return precondition()
	}
	if doc.Architecture, apiErr = architecture(in.Architectures, doc.Architecture); apiErr != nil {
		return apiErr
	}
	if apiErr := s.putCode(&doc, zipped); apiErr != nil {
		return apiErr
	}
	s.touch(&doc)
	if in.DryRun {
		wire.WriteJSON(w, wire.RESTJSON, http.StatusOK, s.configuration(&doc))
		return nil
	}
	return s.commit(w, r, http.StatusOK, doc)
}

func (s *Service) updateConfiguration(w http.ResponseWriter, r *request) *wire.Error {
	var in settings
	if apiErr := r.decode(&in); apiErr != nil {
		return apiErr
	}
	if apiErr := unsupported(r.body); apiErr != nil {
		return apiErr
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	doc, apiErr := s.editable(r.name, in.RevisionID, "%s is built in and has no settings: upload code for it first.")
	if apiErr != nil {
		return apiErr
	}
	if apiErr := in.apply(&doc); apiErr != nil {
		return apiErr
	}
	s.touch(&doc)
	return s.commit(w, r, http.StatusOK, doc)
}

func (s *Service) deleteFunction(w http.ResponseWriter, r *request) *wire.Error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, apiErr := s.editable(r.name, "", "%s is built in and cannot be deleted."); apiErr != nil {
		return apiErr
	}
	if err := documents.Erase(r.Context(), s.store, keyPrefix+r.name); err != nil {
		s.cfg.Logger.Error("function not deleted", "function", r.name, "error", err)
		return internal("The function could not be deleted.")
	}
	s.replace(r.name, nil)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// annotate changes settings that do not affect a function's processes: its policy and its tags.
func (s *Service) annotate(r *request, revision string, change func(*document) *wire.Error, answer func()) *wire.Error {
	s.writing.Lock()
	defer s.writing.Unlock()
	doc, apiErr := s.editable(r.name, revision, "%s is built in and has no policy or tags: upload code for it first.")
	if apiErr != nil {
		return apiErr
	}
	if apiErr := change(&doc); apiErr != nil {
		return apiErr
	}
	s.touch(&doc)
	if apiErr := s.stored(doc, s.saveDocument(r.Context(), doc)); apiErr != nil {
		return apiErr
	}
	answer()
	return nil
}
