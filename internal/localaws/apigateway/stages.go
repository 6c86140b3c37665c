package apigateway

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"

	"github.com/stagelog/stagelog/internal/record"
)

const (
	maxStages    = 10 // AWS's default quota per API
	maxVariables = 100
)

var (
	stageName     = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	variableName  = regexp.MustCompile(`^[a-zA-Z0-9_]{1,64}$`)
	variableValue = regexp.MustCompile(`^[A-Za-z0-9\-._~:/?#&=,]{0,512}$`)
)

func (s *Service) stageOperations() []operation {
	return []operation{
		{"POST /restapis/{api}/deployments", http.StatusCreated, s.writing(s.createDeployment)},
		{"GET /restapis/{api}/deployments", http.StatusOK, s.reading(s.getDeployments)},
		{"GET /restapis/{api}/deployments/{deployment}", http.StatusOK, s.reading(s.getDeployment)},
		{"PATCH /restapis/{api}/deployments/{deployment}", http.StatusOK, s.writing(patch(s.deploymentOf, update[deployment]{
			"updateDeploymentInput", clone[deployment], (*deployment).patch, nil, s.putDeployment}, (*deployment).listWire))},
		{"DELETE /restapis/{api}/deployments/{deployment}", http.StatusAccepted, s.writing(remove(s.deploymentOf, s.deleteDeployment))},

		{"POST /restapis/{api}/stages", http.StatusCreated, s.writing(s.createStage)},
		{"GET /restapis/{api}/stages", http.StatusOK, s.reading(s.getStages)},
		{"GET /restapis/{api}/stages/{stage}", http.StatusOK, s.reading(get(s.stageOf, (*stage).wire))},
		{"PATCH /restapis/{api}/stages/{stage}", http.StatusOK, s.writing(patch(s.stageOf, s.stageUpdate(), (*stage).wire))},
		{"DELETE /restapis/{api}/stages/{stage}", http.StatusAccepted, s.writing(remove(s.stageOf, s.dropStage))},
	}
}

// stageWire is AWS's Stage.
type stageWire struct {
	DeploymentID         string                       `json:"deploymentId"`
	StageName            string                       `json:"stageName"`
	Description          string                       `json:"description,omitempty"`
	CacheClusterEnabled  bool                         `json:"cacheClusterEnabled"`
	CacheClusterStatus   string                       `json:"cacheClusterStatus"`
	MethodSettings       map[string]methodSettingWire `json:"methodSettings"`
	Variables            map[string]string            `json:"variables,omitempty"`
	DocumentationVersion string                       `json:"documentationVersion,omitempty"`
	AccessLogSettings    *AccessLog                   `json:"accessLogSettings,omitempty"`
	TracingEnabled       bool                         `json:"tracingEnabled"`
	Tags                 *map[string]string           `json:"tags,omitempty"`
	CreatedDate          epoch                        `json:"createdDate"`
	LastUpdatedDate      epoch                        `json:"lastUpdatedDate"`
}

// methodSettingWire is AWS's MethodSetting, with AWS's defaults for features that are not supported.
type methodSettingWire struct {
	MetricsEnabled    bool    `json:"metricsEnabled"`
	DataTraceEnabled  bool    `json:"dataTraceEnabled"`
	BurstLimit        int     `json:"throttlingBurstLimit"`
	RateLimit         float64 `json:"throttlingRateLimit"`
	CachingEnabled    bool    `json:"cachingEnabled"`
	CacheTTLInSeconds int     `json:"cacheTtlInSeconds"`
	CacheEncrypted    bool    `json:"cacheDataEncrypted"`
	RequireAuth       bool    `json:"requireAuthorizationForCacheControl"`
	Unauthorized      string  `json:"unauthorizedCacheControlHeaderStrategy"`
}

func (st *stage) wire() stageWire {
	w := stageWire{
		DeploymentID: st.DeploymentID, StageName: st.Name, Description: st.Description, CacheClusterStatus: "NOT_AVAILABLE",
		MethodSettings: map[string]methodSettingWire{}, Variables: st.Variables, DocumentationVersion: st.DocumentationVersion,
		AccessLogSettings: st.AccessLog, Tags: tagsIfAny(st.Tags), CreatedDate: epoch(st.Created), LastUpdatedDate: epoch(st.Updated),
	}
	for name, m := range st.MethodSettings {
		w.MethodSettings[name] = methodSettingWire{
			BurstLimit: m.Burst, RateLimit: m.Rate,
			CacheTTLInSeconds: 300, RequireAuth: true, Unauthorized: "SUCCEED_WITH_RESPONSE_HEADER",
		}
	}
	return w
}

// throttleOf returns the throttle of a method: its own method setting, else that of all methods.
func (st *stage) throttleOf(path, httpMethod string) *Throttle {
	for _, name := range []string{settingName(path, httpMethod), "*/*"} {
		if m, ok := st.MethodSettings[name]; ok {
			if m.Rate < 0 || m.Burst < 0 {
				return nil // -1 turns throttling off
			}
			return &m
		}
	}
	return nil
}

type stageInput struct {
	StageName            string            `json:"stageName"`
	DeploymentID         string            `json:"deploymentId"`
	Description          string            `json:"description"`
	CacheClusterEnabled  bool              `json:"cacheClusterEnabled"`
	CacheClusterSize     string            `json:"cacheClusterSize"`
	Variables            map[string]string `json:"variables"`
	DocumentationVersion string            `json:"documentationVersion"`
	CanarySettings       *struct{}         `json:"canarySettings"`
	TracingEnabled       bool              `json:"tracingEnabled"`
	Tags                 map[string]string `json:"tags"`
}

func (s *Service) createStage(c *call) (any, error) {
	var in stageInput
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := checkFeatures(in.CacheClusterEnabled, in.CacheClusterSize, in.CanarySettings, in.TracingEnabled); err != nil {
		return nil, err
	}
	a, err := s.apiOf(c)
	if err != nil {
		return nil, err
	}
	d, err := s.deployment(a.ID, in.DeploymentID)
	if err != nil {
		return nil, err
	}
	if s.stages[a.ID][in.StageName] != nil {
		return nil, conflict("Stage already exists")
	}
	st, err := s.newStage(a, d, in)
	if err != nil {
		return nil, err
	}
	return answer(st, s.putStage(c.Context(), st), (*stage).wire)
}

// checkFeatures refuses the features of a stage that stagelog does not support.
func checkFeatures(cache bool, cacheSize string, canary *struct{}, tracing bool) error {
	switch {
	case cache || cacheSize != "":
		return unsupported("cache clusters")
	case canary != nil:
		return unsupported("canary releases")
	case tracing:
		return unsupported("X-Ray tracing")
	}
	return nil
}

// newStage checks the input and returns a stage that is not stored yet.
func (s *Service) newStage(a *restAPI, d *deployment, in stageInput) (*stage, error) {
	switch {
	case !stageName.MatchString(in.StageName):
		return nil, badRequest("Stage name only allows a-zA-Z0-9_-")
	case len(in.Description) > maxDescription:
		return nil, badRequest("Description can be at most %d characters", maxDescription)
	case len(in.DocumentationVersion) > 64:
		return nil, badRequest("Documentation version can be at most 64 characters")
	case len(s.stages[a.ID]) >= maxStages:
		return nil, limitExceeded("Maximum number of Stages for this API has been reached")
	}
	if err := checkVariables(in.Variables); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	now := s.now()
	return &stage{
		API: a.ID, Name: in.StageName, DeploymentID: d.ID, Description: in.Description, Variables: in.Variables,
		DocumentationVersion: in.DocumentationVersion, Tags: in.Tags, Created: now, Updated: now,
	}, nil
}

func checkVariables(vars map[string]string) error {
	if len(vars) > maxVariables {
		return badRequest("At most %d stage variables are allowed", maxVariables)
	}
	for name, value := range vars {
		if !variableName.MatchString(name) {
			return badRequest("Stage variable names only allow a-zA-Z0-9_, at most 64 characters")
		}
		if !variableValue.MatchString(value) {
			return badRequest("Stage variable value is invalid: it must match the pattern [A-Za-z0-9-._~:/?#&=,]+, at most 512 characters")
		}
	}
	return nil
}

// putStage stores a stage and makes it visible. The caller holds mu.
func (s *Service) putStage(ctx context.Context, st *stage) error {
	if err := s.save(ctx, docKey(kindStage, st.API, st.Name), st); err != nil {
		return err
	}
	inner(s.stages, st.API)[st.Name] = st
	s.showStage(st)
	return nil
}

// stage finds a stage. The caller holds mu.
func (s *Service) stage(apiID, name string) (*stage, error) {
	if _, err := s.api(apiID); err != nil {
		return nil, err
	}
	if st := s.stages[apiID][name]; st != nil {
		return st, nil
	}
	return nil, notFound("Invalid stage identifier specified")
}

func (s *Service) stageOf(c *call) (*stage, error) {
	return s.stage(c.PathValue("api"), c.PathValue("stage"))
}

// getStages returns all stages at once: the operation has no paging.
func (s *Service) getStages(c *call) (any, error) {
	a, err := s.apiOf(c)
	if err != nil {
		return nil, err
	}
	list := []stageWire{}
	for _, st := range s.stagesOf(a.ID, c.query("deploymentId")) {
		list = append(list, st.wire())
	}
	return page{Item: list}, nil
}

// dropStage deletes a stage and removes it from the usage plans, as AWS does. The caller holds mu.
func (s *Service) dropStage(ctx context.Context, st *stage) error {
	if err := s.erase(ctx, docKey(kindStage, st.API, st.Name)); err != nil {
		return err
	}
	delete(s.stages[st.API], st.Name)
	s.rt.stages.remove(record.StageRef{API: st.API, Stage: st.Name})
	for _, p := range s.plans {
		if i := p.stageIndex(st.API, st.Name); i >= 0 {
			c := clonePlan(p)
			c.Stages = slices.Delete(c.Stages, i, i+1)
			if err := s.putPlan(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) stageUpdate() update[stage] {
	return update[stage]{"updateStageInput", cloneStage, (*stage).patch, func(_, st *stage) error {
		if s.deployments[st.API][st.DeploymentID] == nil {
			return badRequest("Invalid Deployment identifier specified")
		}
		st.Updated = s.now()
		return checkVariables(st.Variables)
	}, s.putStage}
}

// SetAccessLog sets a stage's access log with the checks of UpdateStage; a zero setting removes it.
// It writes nothing if the setting does not change.
func (s *Service) SetAccessLog(ctx context.Context, at record.StageRef, to AccessLog) error {
	changed := false
	err := s.shared.Change(ctx, func() error {
		st, err := s.stage(at.API, at.Stage)
		if err != nil {
			return err
		}
		var have AccessLog
		if st.AccessLog != nil {
			have = *st.AccessLog
		}
		if changed = have != to; !changed {
			return nil
		}
		ops := []patchOp{
			{Op: "replace", Path: pathDestination, Value: &to.DestinationARN},
			{Op: "replace", Path: pathFormat, Value: &to.Format},
		}
		if to == (AccessLog{}) {
			ops = []patchOp{{Op: "remove", Path: pathAccessLog}}
		}
		_, err = s.stageUpdate().apply(ctx, st, ops)
		return err
	})
	if changed && err == nil {
		s.notify()
	}
	return err
}

// StageRefs lists the stages of an API, sorted by name.
func (s *Service) StageRefs(apiID string) []record.StageRef {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []record.StageRef
	for _, name := range slices.Sorted(maps.Keys(s.stages[apiID])) {
		out = append(out, record.StageRef{API: apiID, Stage: name})
	}
	return out
}
