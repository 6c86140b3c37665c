package lambda

import (
	"errors"
	"slices"
	"strconv"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

func (s *Service) createFunction(r *request) (any, *wire.Error) {
	var in struct {
		FunctionName  string
		Code          *codeInput
		Architectures []string
		Tags          map[string]string
		settings
	}
	if apiErr := r.decode(&in); apiErr != nil {
		return nil, apiErr
	}
	name, apiErr := s.resolve(in.FunctionName, "")
	switch {
	case apiErr != nil:
		return nil, apiErr
	case in.Role == nil:
		return nil, validation("null", "role", "Member must not be null")
	case in.Code == nil:
		return nil, validation("null", "code", "Member must not be null")
	case in.Runtime == nil:
		return nil, invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	case in.Handler == nil:
		return nil, invalid("Handler is a mandatory parameter for functions created with deployment packages.")
	}
	if apiErr := unsupported(r.body); apiErr != nil {
		return nil, apiErr
	}
	doc := s.newDocument(name)
	if apiErr := in.apply(&doc); apiErr != nil {
		return nil, apiErr
	}
	if doc.Architecture, apiErr = architecture(in.Architectures, doc.Architecture); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := checkTags(in.Tags); apiErr != nil {
		return nil, apiErr
	}
	doc.Tags = in.Tags
	zipped, apiErr := s.zipOf(r.Context(), in.Code)
	if apiErr != nil {
		return nil, apiErr
	}

	if apiErr := s.begin(r.Context()); apiErr != nil {
		return nil, apiErr
	}
	defer s.writing.Unlock()
	if _, exists := s.get(name); exists {
		return nil, conflict("Function already exist: %s", name)
	}
	if apiErr := s.putCode(&doc, zipped); apiErr != nil {
		return nil, apiErr
	}
	return s.commit(r, doc)
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

// commit saves doc and returns its configuration.
func (s *Service) commit(r *request, doc document) (any, *wire.Error) {
	return s.configuration(&doc), s.stored(doc, s.save(r.Context(), doc))
}

// stored logs an error of storing doc and returns the response to it.
func (s *Service) stored(doc document, err error) *wire.Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, record.ErrConflict):
		return conflict("The function %s was changed at the same time. Try again.", doc.Name)
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

func (s *Service) updateCode(r *request) (any, *wire.Error) {
	var in struct {
		codeInput
		Architectures []string
		DryRun        bool
		RevisionID    string `json:"RevisionId"`
	}
	if apiErr := r.decode(&in); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := unsupported(r.body); apiErr != nil {
		return nil, apiErr
	}
	if _, _, apiErr := s.find(r.name); apiErr != nil {
		return nil, apiErr
	}
	zipped, apiErr := s.zipOf(r.Context(), &in.codeInput)
	if apiErr != nil {
		return nil, apiErr
	}

	if apiErr := s.begin(r.Context()); apiErr != nil {
		return nil, apiErr
	}
	defer s.writing.Unlock()
	doc, _, apiErr := s.find(r.name)
	switch {
	case apiErr != nil:
		return nil, apiErr
	case in.RevisionID != "" && in.RevisionID != doc.RevisionID:
		return nil, precondition()
	}
	if doc.Architecture, apiErr = architecture(in.Architectures, doc.Architecture); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.putCode(&doc, zipped); apiErr != nil {
		return nil, apiErr
	}
	s.touch(&doc)
	if in.DryRun {
		return s.configuration(&doc), nil
	}
	return s.commit(r, doc)
}

func (s *Service) updateConfiguration(r *request) (any, *wire.Error) {
	var in settings
	if apiErr := r.decode(&in); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := unsupported(r.body); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.begin(r.Context()); apiErr != nil {
		return nil, apiErr
	}
	defer s.writing.Unlock()
	doc, apiErr := s.editable(r.name, in.RevisionID, "%s is built in and has no settings: upload code for it first.")
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := in.apply(&doc); apiErr != nil {
		return nil, apiErr
	}
	s.touch(&doc)
	return s.commit(r, doc)
}

func (s *Service) deleteFunction(r *request) (any, *wire.Error) {
	if apiErr := s.begin(r.Context()); apiErr != nil {
		return nil, apiErr
	}
	defer s.writing.Unlock()
	if _, apiErr := s.editable(r.name, "", "%s is built in and cannot be deleted."); apiErr != nil {
		return nil, apiErr
	}
	old := s.oldCode(r.Context(), r.name, "")
	if err := s.shared.Erase(r.Context(), keyPrefix+r.name); err != nil {
		s.cfg.Logger.Error("function not deleted", "function", r.name, "error", err)
		return nil, internal("The function could not be deleted.")
	}
	s.forgetCode(r.Context(), r.name, old)
	s.replace(r.name, nil)
	return nil, nil
}

// annotate changes settings that do not affect a function's processes: its policy and its tags.
func (s *Service) annotate(r *request, revision string, change func(*document) *wire.Error) *wire.Error {
	if apiErr := s.begin(r.Context()); apiErr != nil {
		return apiErr
	}
	defer s.writing.Unlock()
	doc, apiErr := s.editable(r.name, revision, "%s is built in and has no policy or tags: upload code for it first.")
	if apiErr != nil {
		return apiErr
	}
	if apiErr := change(&doc); apiErr != nil {
		return apiErr
	}
	s.touch(&doc)
	return s.stored(doc, s.saveDocument(r.Context(), doc))
}

func (s *Service) getFunction(r *request) (any, *wire.Error) {
	doc, builtin, apiErr := s.find(r.name)
	if apiErr != nil {
		return nil, apiErr
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
	return answer, nil
}

func (s *Service) getConfiguration(r *request) (any, *wire.Error) {
	doc, _, apiErr := s.find(r.name)
	return s.configuration(&doc), apiErr
}

// maxPage is the maximum page size of ListFunctions, also for larger values of MaxItems (AWS: 50).
const maxPage = 50

func (s *Service) listFunctions(r *request) (any, *wire.Error) {
	q := r.URL.Query()
	items := maxPage
	if v := q.Get("MaxItems"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 10_000 {
			return nil, validation(v, "maxItems", "Member must have value between 1 and 10000")
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
	return answer, nil
}
