package apigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (a *applier) ensureAPIs(ctx context.Context, want Local) error {
	seen := map[string]bool{}
	for _, api := range want.APIs {
		if seen[api.ID] {
			return fmt.Errorf("two APIs have the id %q", api.ID)
		}
		seen[api.ID] = true
		if err := a.locked(func() error { return a.ensureAPI(ctx, api) }); err != nil {
			return fmt.Errorf("API %q: %w", api.ID, localError(err))
		}
	}
	return nil
}

func (a *applier) ensureAPI(ctx context.Context, want LocalAPI) error {
	old := a.s.apis[want.ID]
	if !validID(want.ID) {
		return fmt.Errorf("invalid id: letters a-z, digits, - and _, at most 64")
	}
	if old != nil && !isLocal(old.Tags) {
		return fmt.Errorf("an API with this id exists that was made otherwise")
	}
	api, err := a.s.localAPI(want)
	if err != nil {
		return err
	}
	switch {
	case old == nil:
		a.done.Created = append(a.done.Created, "API "+want.ID)
	case sameJSON(old.Resources, api.Resources) && old.Name == api.Name && old.KeySource == api.KeySource:
		api = old
	default:
		api.Created, api.Tags = old.Created, old.Tags
		a.done.Changed = append(a.done.Changed, "API "+want.ID)
	}
	if api != old {
		if err := a.s.putAPI(ctx, api); err != nil {
			return err
		}
	}
	for _, name := range want.Stages {
		if err := a.ensureStage(ctx, api, name); err != nil {
			return fmt.Errorf("stage %q: %w", name, localError(err))
		}
	}
	return a.pruneDeployments(ctx, api.ID)
}

// localAPI is an API whose every path and method goes to the upstream.
func (s *Service) localAPI(want LocalAPI) (*restAPI, error) {
	name := want.Name
	if name == "" {
		name = want.ID
	}
	api, err := s.newRestAPI(restAPIInput{Name: name, EndpointConfiguration: &endpointInput{Types: []string{"REGIONAL"}}, Tags: localTags()}, want.ID)
	if err != nil {
		return nil, err
	}
	if strings.Contains(want.Upstream, "?") || strings.Contains(want.Upstream, "#") || strings.ContainsAny(want.Upstream, "{}$") {
		return nil, fmt.Errorf("upstream must be an address without a query, a fragment or variables")
	}
	base := strings.TrimSuffix(want.Upstream, "/")
	const proxy = "proxy"
	for path, uri := range map[string]string{"/": base + "/", "/{" + proxy + "+}": base + "/{" + proxy + "}"} {
		r, err := api.ensurePath(path)
		if err != nil {
			return nil, err
		}
		in := &integration{Type: HTTPProxy, HTTPMethod: "ANY", URI: uri}
		m := &method{HTTPMethod: "ANY", AuthorizationType: "NONE", APIKeyRequired: want.APIKeyRequired, Integration: in}
		if r.ParentID != "" {
			in.RequestParameters = map[string]string{pathParamTo + proxy: pathParamFrom + proxy}
			m.RequestParameters = map[string]bool{pathParamFrom + proxy: true}
		}
		if err := in.checked(r.ID); err != nil {
			return nil, err
		}
		api.Resources[r.ID] = r.withMethod(m)
	}
	return api, nil
}

// ensureStage makes the stage show the API as it is.
func (a *applier) ensureStage(ctx context.Context, api *restAPI, name string) error {
	st := a.s.stages[api.ID][name]
	if st != nil {
		d := a.s.deployments[api.ID][st.DeploymentID]
		if d.KeySource == api.KeySource && sameJSON(d.Resources, api.Resources) {
			return nil
		}
	}
	if _, err := a.s.deploy(ctx, api, deploymentInput{StageName: name, Description: "stagelog.yaml"}); err != nil {
		return err
	}
	what := "stage " + api.ID + "/" + name
	if st != nil {
		a.done.Changed = append(a.done.Changed, what)
		return nil
	}
	a.done.Created = append(a.done.Created, what)
	made := cloneStage(a.s.stages[api.ID][name])
	made.Tags = localTags()
	return a.s.putStage(ctx, made)
}

// pruneDeployments forgets the deployments of a local API that no stage shows.
func (a *applier) pruneDeployments(ctx context.Context, apiID string) error {
	for _, d := range maps.Clone(a.s.deployments[apiID]) {
		if len(a.s.stagesOf(apiID, d.ID)) > 0 {
			continue
		}
		if err := a.s.dropDeployment(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// removeAPIs removes the APIs and stages that are not wanted any more.
func (a *applier) removeAPIs(ctx context.Context, want Local) error {
	return a.locked(func() error {
		for _, api := range maps.Clone(a.s.apis) {
			i := slices.IndexFunc(want.APIs, func(w LocalAPI) bool { return w.ID == api.ID })
			switch {
			case !isLocal(api.Tags):
				continue
			case i < 0:
				if err := a.s.dropAPI(ctx, api); err != nil {
					return err
				}
				a.done.Removed = append(a.done.Removed, "API "+api.ID)
				continue
			}
			for _, st := range a.s.stagesOf(api.ID, "") {
				if !isLocal(st.Tags) || slices.Contains(want.APIs[i].Stages, st.Name) {
					continue
				}
				if err := a.s.dropStage(ctx, st); err != nil {
					return err
				}
				a.done.Removed = append(a.done.Removed, "stage "+api.ID+"/"+st.Name)
			}
		}
		return nil
	})
}

// sameJSON compares two documents as they are stored.
func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
