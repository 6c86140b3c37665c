package apigateway

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// deploymentWire is Deployment.
type deploymentWire struct {
	ID          string                               `json:"id"`
	Description string                               `json:"description,omitempty"`
	CreatedDate epoch                                `json:"createdDate"`
	APISummary  map[string]map[string]methodSnapshot `json:"apiSummary,omitempty"`
}

type methodSnapshot struct {
	AuthorizationType string `json:"authorizationType"`
	APIKeyRequired    bool   `json:"apiKeyRequired"`
}

func (d *deployment) wire(summary bool) deploymentWire {
	w := deploymentWire{ID: d.ID, Description: d.Description, CreatedDate: epoch(d.Created)}
	if !summary {
		return w
	}
	w.APISummary = map[string]map[string]methodSnapshot{}
	for _, r := range d.Resources {
		methods := map[string]methodSnapshot{}
		for name, m := range r.Methods {
			methods[name] = methodSnapshot{m.AuthorizationType, m.APIKeyRequired}
		}
		w.APISummary[r.Path] = methods
	}
	return w
}

func (d *deployment) listWire() deploymentWire { return d.wire(false) }

type deploymentInput struct {
	StageName           string            `json:"stageName"`
	StageDescription    string            `json:"stageDescription"`
	Description         string            `json:"description"`
	CacheClusterEnabled bool              `json:"cacheClusterEnabled"`
	CacheClusterSize    string            `json:"cacheClusterSize"`
	Variables           map[string]string `json:"variables"`
	CanarySettings      *struct{}         `json:"canarySettings"`
	TracingEnabled      bool              `json:"tracingEnabled"`
}

func (s *Service) createDeployment(c *call) (any, error) {
	var in deploymentInput
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	switch {
	case in.CacheClusterEnabled || in.CacheClusterSize != "":
		return nil, unsupported("cache clusters")
	case in.CanarySettings != nil:
		return nil, unsupported("canary releases")
	case in.TracingEnabled:
		return nil, unsupported("X-Ray tracing")
	case len(in.Description) > maxDescription || len(in.StageDescription) > maxDescription:
		return nil, badRequest("Description can be at most %d characters", maxDescription)
	}
	a, err := s.api(c.PathValue("api"))
	if err != nil {
		return nil, err
	}
	d, err := s.deploy(c.Context(), a, in)
	return answer(d, err, (*deployment).listWire)
}

// deploy takes a snapshot of the API, and points the named stage at it, which is made when it
// is missing. Called under mu.
func (s *Service) deploy(ctx context.Context, a *restAPI, in deploymentInput) (*deployment, error) {
	resources, err := a.snapshot()
	if err != nil {
		return nil, err
	}
	d := &deployment{ID: newID(), API: a.ID, Description: in.Description, Created: s.now(), KeySource: a.KeySource, Resources: resources}
	var st *stage
	if in.StageName != "" {
		if st, err = s.stageFor(a, d, in); err != nil {
			return nil, err
		}
	}
	if len(s.deployments[a.ID]) >= maxDeployments {
		if err := s.forgetDeployment(ctx, a.ID); err != nil {
			return nil, err
		}
	}
	if err := s.putDeployment(ctx, d); err != nil {
		return nil, err
	}
	if st != nil {
		return d, s.putStage(ctx, st)
	}
	return d, nil
}

// maxDeployments bounds what an API keeps. A script that deploys every minute would fill the
// store otherwise; the oldest that no stage shows makes room.
const maxDeployments = 500

func (s *Service) forgetDeployment(ctx context.Context, apiID string) error {
	var oldest *deployment
	for _, d := range s.deployments[apiID] {
		if len(s.stagesOf(apiID, d.ID)) == 0 && (oldest == nil || d.Created.Before(oldest.Created)) {
			oldest = d
		}
	}
	if oldest == nil {
		return limitExceeded("Maximum number of Deployments for this API has been reached")
	}
	return s.dropDeployment(ctx, oldest)
}

// snapshot is the API's resources that have methods, each of them integrated. The resources
// are immutable, so that sharing them is a copy.
func (a *restAPI) snapshot() (map[string]*resource, error) {
	out := map[string]*resource{}
	for id, r := range a.Resources {
		for _, m := range r.Methods {
			if m.Integration == nil {
				return nil, badRequest("No integration defined for method")
			}
		}
		if len(r.Methods) > 0 {
			out[id] = r
		}
	}
	if len(out) == 0 {
		return nil, badRequest("The REST API doesn't contain any methods")
	}
	return out, nil
}

func (s *Service) stageFor(a *restAPI, d *deployment, in deploymentInput) (*stage, error) {
	if old := s.stages[a.ID][in.StageName]; old != nil {
		st := cloneStage(old)
		st.DeploymentID, st.Updated = d.ID, s.now()
		if in.StageDescription != "" {
			st.Description = in.StageDescription
		}
		if in.Variables != nil {
			st.Variables = in.Variables
		}
		return st, checkVariables(in.Variables)
	}
	return s.newStage(a, d, stageInput{StageName: in.StageName, Description: in.StageDescription, Variables: in.Variables})
}

func (s *Service) deployment(apiID, id string) (*deployment, error) {
	if _, err := s.api(apiID); err != nil {
		return nil, err
	}
	if d := s.deployments[apiID][id]; d != nil {
		return d, nil
	}
	return nil, notFound("Invalid Deployment identifier specified")
}

func (s *Service) getDeployment(c *call) (any, error) {
	d, err := s.deployment(c.PathValue("api"), c.PathValue("deployment"))
	return answer(d, err, func(d *deployment) deploymentWire { return d.wire(c.embeds("apisummary")) })
}

func (s *Service) getDeployments(c *call) (any, error) {
	s.mu.RLock()
	_, err := s.api(c.PathValue("api"))
	all := slices.Collect(maps.Values(s.deployments[c.PathValue("api")]))
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	return pageOf(c, all, func(d *deployment) string { return orderOf(d.Created, d.ID) }, (*deployment).listWire)
}

func (s *Service) updateDeployment(c *call) (any, error) {
	old, err := s.deployment(c.PathValue("api"), c.PathValue("deployment"))
	d, err := patched(c, old, err, update[deployment]{"updateDeploymentInput", clone[deployment], (*deployment).patch})
	if err != nil {
		return nil, err
	}
	return answer(d, s.putDeployment(c.Context(), d), (*deployment).listWire)
}

func (d *deployment) patch(op patchOp) error {
	takes := allowed{"replace": {"/description"}}
	if !takes.has(op) || len(op.value()) > maxDescription {
		return takes.refuse(op)
	}
	d.Description = op.value()
	return nil
}

// putDeployment makes a deployment durable. Called under mu.
func (s *Service) putDeployment(ctx context.Context, d *deployment) error {
	if err := s.save(ctx, docKey(kindDeployment, d.API, d.ID), d); err != nil {
		return err
	}
	inner(s.deployments, d.API)[d.ID] = d
	return nil
}

func (s *Service) deleteDeployment(c *call) (any, error) {
	d, err := s.deployment(c.PathValue("api"), c.PathValue("deployment"))
	if err != nil {
		return nil, err
	}
	if len(s.stagesOf(d.API, d.ID)) > 0 {
		return nil, badRequest("Active stages pointing to this deployment must be moved or deleted")
	}
	return nil, s.dropDeployment(c.Context(), d)
}

func (s *Service) dropDeployment(ctx context.Context, d *deployment) error {
	if err := s.erase(ctx, docKey(kindDeployment, d.API, d.ID)); err != nil {
		return err
	}
	delete(s.deployments[d.API], d.ID)
	return nil
}

// stagesOf is the stages of an API in the order of their names, those of one deployment if
// deploymentID is not "".
func (s *Service) stagesOf(apiID, deploymentID string) []*stage {
	var out []*stage
	for _, st := range s.stages[apiID] {
		if deploymentID == "" || st.DeploymentID == deploymentID {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b *stage) int { return strings.Compare(a.Name, b.Name) })
	return out
}
