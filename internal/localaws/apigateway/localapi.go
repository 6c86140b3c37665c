package apigateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/encoding/openapi"
)

func (a *applier) ensureAPIs(ctx context.Context, want Local) error {
	seen := map[string]bool{}
	for _, api := range want.APIs {
		if seen[api.ID] {
			return fmt.Errorf("two APIs have the id %q", api.ID)
		}
		seen[api.ID] = true
		if err := a.locked(ctx, func() error { return a.ensureAPI(ctx, api) }); err != nil {
			return fmt.Errorf("API %q: %w", api.ID, localError(err))
		}
	}
	return nil
}

func (a *applier) ensureAPI(ctx context.Context, want LocalAPI) error {
	old := a.s.apis[want.ID]
	if !validID(want.ID) {
		return errors.New("invalid id: letters a-z, digits, - and _, at most 64")
	}
	if old != nil && !isLocal(old.Tags) {
		return errors.New("an API with this id already exists and is not from stagelog.yaml")
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

// localAPI returns an API whose methods all forward requests to the upstream.
func (s *Service) localAPI(want LocalAPI) (*restAPI, error) {
	in := restAPIInput{Name: cmp.Or(want.Name, want.ID), EndpointConfiguration: &endpointInput{Types: []string{"REGIONAL"}}, Tags: localTags()}
	api, err := s.newRestAPI(in, want.ID)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(want.Upstream, "?#{}$") {
		return nil, errors.New("upstream must be an address without a query, a fragment or variables")
	}
	if want.Upstream != MockUpstream && !validEndpoint(want.Upstream) {
		return nil, badRequest(badEndpoint)
	}
	return api, api.addPaths(want.paths())
}

// paths returns the document's paths, or two that match every request, with integrations that call the
// upstream.
func (want LocalAPI) paths() []openapi.Path {
	paths := []openapi.Path{{Path: "/", Operations: []openapi.Operation{{Method: "ANY"}}}, {Path: "/{proxy+}", Operations: []openapi.Operation{{Method: "ANY"}}}}
	if want.Document != nil {
		paths = want.Document.Paths
	}
	out := make([]openapi.Path, 0, len(paths))
	for _, p := range paths {
		ops := make([]openapi.Operation, 0, len(p.Operations))
		for _, op := range p.Operations {
			if !op.SecurityGiven {
				op.APIKeyRequired = want.APIKeyRequired
			}
			op.PathParameters, op.Integration = want.integration(p.Path, op.Method)
			ops = append(ops, op)
		}
		out = append(out, openapi.Path{Path: p.Path, Operations: ops})
	}
	return out
}

// mockIntegration is that of each method of an API with MockUpstream.
var mockIntegration = &openapi.Integration{
	Type:             string(Mock),
	RequestTemplates: map[string]string{"application/json": `{"statusCode": 200}`},
	Responses:        map[string]openapi.IntegrationResponse{"default": {StatusCode: "200", ResponseTemplates: map[string]string{"application/json": `{"message": "OK"}` + "\n"}}},
}

// integration returns a method's integration with the upstream, and the parameters of the path, which it
// forwards.
func (want LocalAPI) integration(path, httpMethod string) (params map[string]bool, in *openapi.Integration) {
	if want.Upstream == MockUpstream {
		return nil, mockIntegration
	}
	in = &openapi.Integration{Type: string(HTTPProxy), HTTPMethod: httpMethod}
	in.URI = strings.TrimSuffix(want.Upstream, "/") + strings.ReplaceAll(path, "+}", "}")
	for _, segment := range segmentsOf(path) {
		if segment.Param != "" {
			put(&params, pathParamFrom+segment.Param, true)
			put(&in.RequestParameters, pathParamTo+segment.Param, pathParamFrom+segment.Param)
		}
	}
	return params, in
}

// ensureStage deploys the API to the stage unless the stage is up to date.
func (a *applier) ensureStage(ctx context.Context, api *restAPI, name string) error {
	resources, err := api.snapshot()
	if err != nil {
		return err
	}
	st := a.s.stages[api.ID][name]
	if st != nil {
		d := a.s.deployments[api.ID][st.DeploymentID]
		if d.KeySource == api.KeySource && sameJSON(d.Resources, resources) {
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
	created := cloneStage(a.s.stages[api.ID][name])
	created.Tags = localTags()
	return a.s.putStage(ctx, created)
}

// pruneDeployments deletes the deployments of a local API that no stage uses.
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

// removeAPIs removes the APIs and stages that are no longer wanted.
func (a *applier) removeAPIs(ctx context.Context, want Local) error {
	return a.locked(ctx, func() error {
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

// sameJSON reports whether two documents have the same stored form.
func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
