package apigateway

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	maxResources = 300 // AWS's quota per API
	maxPathPart  = 255
)

var pathPart = regexp.MustCompile(`^([a-zA-Z0-9._:-]+|\{[a-zA-Z0-9._:-]+\+?\})$`)

// resourceWire is AWS's Resource.
type resourceWire struct {
	ID       string         `json:"id"`
	ParentID string         `json:"parentId,omitempty"`
	PathPart string         `json:"pathPart,omitempty"`
	Path     string         `json:"path"`
	Methods  map[string]any `json:"resourceMethods,omitempty"`
}

// wire returns the resource in AWS's format. Its methods are empty objects unless embed is set.
func (r *resource) wire(embed bool) resourceWire {
	w := resourceWire{ID: r.ID, ParentID: r.ParentID, PathPart: r.PathPart, Path: r.Path}
	for name, m := range r.Methods {
		put(&w.Methods, name, any(struct{}{}))
		if embed {
			w.Methods[name] = m
		}
	}
	return w
}

func (c *call) embeds(what string) bool {
	return slices.ContainsFunc(c.URL.Query()["embed"], func(v string) bool { return slices.Contains(strings.Split(v, ","), what) })
}

func (s *Service) getResources(c *call) (any, error) {
	a, err := s.apiOf(c)
	if err != nil {
		return nil, err
	}
	embed := c.embeds("methods")
	return pageOf(c, slices.Collect(maps.Values(a.Resources)), func(r *resource) string { return r.Path },
		func(r *resource) resourceWire { return r.wire(embed) })
}

// resource finds a resource. For an unknown API it returns the error of an unknown resource, as AWS does.
func (s *Service) resource(apiID, id string) (*restAPI, *resource, error) {
	a := s.apis[apiID]
	if a == nil || a.Resources[id] == nil {
		return nil, nil, notFound("Invalid Resource identifier specified")
	}
	return a, a.Resources[id], nil
}

func (s *Service) getResource(c *call) (any, error) {
	_, r, err := s.resource(c.PathValue("api"), c.PathValue("resource"))
	return answer(r, err, func(r *resource) resourceWire { return r.wire(c.embeds("methods")) })
}

func (s *Service) createResource(c *call) (any, error) {
	var in struct {
		PathPart string `json:"pathPart"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a, parent, err := s.resource(c.PathValue("api"), c.PathValue("resource"))
	if err != nil {
		return nil, err
	}
	r, err := a.newResource(parent, in.PathPart, newID())
	if err != nil {
		return nil, err
	}
	return answer(r, s.putAPI(c.Context(), a.withResource(r)), func(r *resource) resourceWire { return r.wire(false) })
}

// newResource checks a new child of parent against its siblings, and returns it without adding it to the API.
func (a *restAPI) newResource(parent *resource, part, id string) (*resource, error) {
	variable := strings.HasPrefix(part, "{")
	switch {
	case len(part) > maxPathPart || !pathPart.MatchString(part):
		return nil, badRequest("Resource's path part only allow a-zA-Z0-9._-: and curly braces at the beginning and the end and an optional plus sign before the closing brace.")
	case strings.HasSuffix(parent.PathPart, "+}"):
		return nil, badRequest("Cannot create a child of a resource with a greedy path variable: %s", parent.PathPart)
	case len(a.Resources) >= maxResources:
		return nil, limitExceeded("Maximum number of Resources for this API has been reached")
	}
	for _, sibling := range a.Resources {
		switch {
		case sibling.ParentID != parent.ID:
		case sibling.PathPart == part:
			return nil, conflict("Another resource with the same parent already has this name: %s", part)
		case variable && strings.HasPrefix(sibling.PathPart, "{"):
			return nil, badRequest("A sibling (%s) of this resource already has a variable path part -- only one is allowed", sibling.PathPart)
		}
	}
	return &resource{ID: id, ParentID: parent.ID, PathPart: part, Path: strings.TrimSuffix(parent.Path, "/") + "/" + part}, nil
}

func (s *Service) deleteResource(c *call) (any, error) {
	old, r, err := s.resource(c.PathValue("api"), c.PathValue("resource"))
	if err != nil {
		return nil, err
	}
	if r.ParentID == "" {
		return nil, badRequest("Root resource cannot be deleted")
	}
	a := clone(old)
	a.Resources = maps.Clone(old.Resources)
	maps.DeleteFunc(a.Resources, func(_ string, other *resource) bool {
		return other.ID == r.ID || strings.HasPrefix(other.Path, r.Path+"/")
	})
	return nil, s.putAPI(c.Context(), a)
}
