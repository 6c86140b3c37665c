package apigateway

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// deploymentWire is AWS's Deployment.
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
	if err := checkFeatures(in.CacheClusterEnabled, in.CacheClusterSize, in.CanarySettings, in.TracingEnabled); err != nil {
		return nil, err
	}
	if len(in.Description) > maxDescription || len(in.StageDescription) > maxDescription {
		return nil, badRequest("Description can be at most %d characters", maxDescription)
	}
	a, err := s.apiOf(c)
	if err != nil {
		return nil, err
	}
	d, err := s.deploy(c.Context(), a, in)
	return answer(d, err, (*deployment).listWire)
}

// deploy creates a deployment of the API and points the named stage at it, creating the stage if it
// is missing. The caller holds mu.
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
		if err := s.dropOldestDeployment(ctx, a.ID); err != nil {
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

// maxDeployments is the number of deployments that an API keeps, so that a script that deploys every
// minute does not fill the store. A new one replaces the oldest that no stage uses.
const maxDeployments = 500

func (s *Service) dropOldestDeployment(ctx context.Context, apiID string) error {
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

// snapshot returns the API's resources that have methods, and fails if a method has no integration.
// The resources are immutable and therefore shared.
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

func (s *Service) deploymentOf(c *call) (*deployment, error) {
	return s.deployment(c.PathValue("api"), c.PathValue("deployment"))
}

func (s *Service) getDeployment(c *call) (any, error) {
	d, err := s.deploymentOf(c)
	return answer(d, err, func(d *deployment) deploymentWire { return d.wire(c.embeds("apisummary")) })
}

func (s *Service) getDeployments(c *call) (any, error) {
	a, err := s.apiOf(c)
	if err != nil {
		return nil, err
	}
	return pageOf(c, slices.Collect(maps.Values(s.deployments[a.ID])), (*deployment).order, (*deployment).listWire)
}

func (d *deployment) patch(op patchOp) error {
	paths := allowed{"replace": {"/description"}}
	if !paths.has(op) || len(op.value()) > maxDescription {
		return paths.refuse(op)
	}
	d.Description = op.value()
	return nil
}

// putDeployment stores a deployment. The caller holds mu.
func (s *Service) putDeployment(ctx context.Context, d *deployment) error {
	if err := s.save(ctx, docKey(kindDeployment, d.API, d.ID), d); err != nil {
		return err
	}
	inner(s.deployments, d.API)[d.ID] = d
	return nil
}

func (s *Service) deleteDeployment(ctx context.Context, d *deployment) error {
	if len(s.stagesOf(d.API, d.ID)) > 0 {
		return badRequest("Active stages pointing to this deployment must be moved or deleted")
	}
	return s.dropDeployment(ctx, d)
}

func (s *Service) dropDeployment(ctx context.Context, d *deployment) error {
	if err := s.erase(ctx, docKey(kindDeployment, d.API, d.ID)); err != nil {
		return err
	}
	delete(s.deployments[d.API], d.ID)
	return nil
}

// stagesOf returns the stages of an API sorted by name, only those of one deployment unless
// deploymentID is "".
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
